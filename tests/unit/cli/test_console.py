"""Events as lines on a terminal."""

import io
import re
from typing import Any

from shmtel.cli.console import format_event, print_batch
from shmtel.hub.handlers import EventBatch
from shmtel.hub.records import Record
from shmtel.wire.frames import Worker


def _record(**changed: Any) -> Record:
    values: dict[str, Any] = {
        "event_id": 0,
        "seq": 1,
        "timestamp_ns": 1_700_000_000_123_456_789,
        "threshold": 0,
        "correlation_id": None,
        "measurements": {"total": 59.5, "items": 3},
        "metadata": None,
        "span": None,
    }
    return Record(**{**values, **changed})


def test_an_event_is_one_line() -> None:
    """Time with milliseconds, worker, name, measurements, metadata, correlation."""
    record = _record(metadata={"shop": "north"}, correlation_id="order-1")
    line = format_event("order.priced", "worker-1", record)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.123 worker-1 order\.priced"
        r" total=59\.5 items=3 shop=north correlation_id=order-1",
        line,
    )


def test_an_event_cannot_steer_the_terminal() -> None:
    """What a worker wrote stays on its line and colours nothing."""
    record = _record(metadata={"a\n": "\x1b[2J"}, correlation_id="\r")
    line = format_event("x\x07", "w\x1b", record)
    assert line.isprintable()


def test_a_batch_is_a_line_per_event() -> None:
    """Each record is printed under its own name."""
    worker = Worker(worker_id="worker-1")
    records = [_record(), _record(event_id=1)]
    stream = io.StringIO()
    print_batch(EventBatch("node", worker, "00" * 16, ("a", "b"), records), stream)
    names = [line.split()[2] for line in stream.getvalue().splitlines()]
    assert names == ["a", "b"]
