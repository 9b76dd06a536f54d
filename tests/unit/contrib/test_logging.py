"""The logging filter."""

import json
import logging
import uuid
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

import shmtel
from shmtel.contrib.logging import CorrelationFilter
from shmtel.testing import capture

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FORMAT = "%(message)s %(correlation_id)s %(trace_id)s %(span_id)s"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, StringIO]]:
    """A logger with the filter at its handler, and what it has written."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(CorrelationFilter())
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)


def test_record_has_the_ids(log: tuple[logging.Logger, StringIO]) -> None:
    """Correlation ID, trace ID and span ID are those of the place of the call."""
    logger, stream = log
    with shmtel.correlation(traceparent=f"00-{TRACE}-00f067aa0ba902b7-01"):
        logger.warning("inside")
    assert stream.getvalue() == f"inside {TRACE} {TRACE} 00f067aa0ba902b7\n"


def test_missing_ids_are_dashes(log: tuple[logging.Logger, StringIO]) -> None:
    """A format always finds its fields."""
    logger, stream = log
    logger.warning("outside")
    assert stream.getvalue() == "outside - - -\n"


def test_opaque_id_is_not_shown_as_a_trace_id(
    log: tuple[logging.Logger, StringIO],
) -> None:
    """A request's name is no trace."""
    logger, stream = log
    with shmtel.correlation("order-4711"):
        logger.warning("inside")
    assert stream.getvalue() == "inside order-4711 - -\n"


def test_missing_may_be_null() -> None:
    """A JSON log wants null, not a dash."""
    record = logging.makeLogRecord({"msg": "x"})
    assert CorrelationFilter(missing=None).filter(record)
    fields = {key: record.__dict__[key] for key in ("correlation_id", "span_id")}
    assert json.dumps(fields) == '{"correlation_id": null, "span_id": null}'


def test_what_a_record_has_stays(log: tuple[logging.Logger, StringIO]) -> None:
    """An ID that was passed as `extra` is not overwritten, whatever it is."""
    logger, stream = log
    with shmtel.correlation("context"):
        logger.warning("a", extra={"correlation_id": TRACE})
        logger.warning("b", extra={"correlation_id": 17})
    assert stream.getvalue() == f"a {TRACE} {TRACE} -\nb 17 - -\n"


class Mute:
    """An ID without a text."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("thing", [uuid.UUID(TRACE), Mute()], ids=["uuid", "mute"])
def test_ids_that_are_no_text_are_logged_as_text(thing: Any) -> None:
    """A JSON log does not fail on what somebody gave to a span as its ID."""
    record = logging.makeLogRecord({"msg": "x"})
    with capture(), shmtel.span("job", None, thing):
        assert CorrelationFilter(missing=None).filter(record)
    found = record.__dict__["correlation_id"], record.__dict__["trace_id"]
    is_text = isinstance(thing, uuid.UUID)
    assert found == ((str(thing), TRACE) if is_text else (None, None))
