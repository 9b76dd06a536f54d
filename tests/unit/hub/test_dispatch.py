"""Handlers, and which events get to them."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from shmtel.hub.dispatch import Dispatcher
from shmtel.hub.handlers import EventBatch, RequiredHandlerError
from shmtel.hub.records import Record, decode_segment
from shmtel.hub.routes import Source
from shmtel.wire.frames import Segment
from support.frames import WORKER
from support.uplink import make_event, pack

NAMES = ["tool.start", "tool.stop", "gc.done"]


def make_source(*names: str) -> Source:
    """Return a ring with these event names."""
    return Source("node", WORKER, "ab" * 16, list(names or NAMES))


def make_records(*event_ids: int) -> list[Record]:
    """Return records of these events, with seqs from 1."""
    events = [make_event(seq, event_id) for seq, event_id in enumerate(event_ids, 1)]
    count = len(events)
    return decode_segment(Segment(1, 0, count, count, pack(events)), 3)


class Seen:
    """A handler of both kinds that remembers the names it was called with."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.calls = 0

    def event(
        self, event: str, _m: Mapping[str, float], _d: Mapping[str, Any], _c: Any
    ) -> None:
        """Remember an event."""
        self.calls += 1
        self.names.append(event)

    def batch(self, batch: EventBatch, _config: Any) -> None:
        """Remember the events of a batch."""
        self.calls += 1
        self.names += [batch.names[record.event_id] for record in batch.records]


@pytest.mark.parametrize("is_batch", [False, True])
@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("tool.stop",), ["tool.stop"]),
        (("tool.*",), ["tool.start", "tool.stop"]),
        (("*",), ["tool.start", "gc.done", "tool.stop"]),
        (("gc.*", "tool.start"), ["tool.start", "gc.done"]),
        (("*.stop", "tool.*"), ["tool.start", "tool.stop"]),
        (("TOOL.*", "tool"), []),
    ],
)
def test_events_go_to_who_wants_them(
    is_batch: bool, patterns: tuple[str, ...], expected: list[str]
) -> None:
    """A handler gets what its names and globs match, once, in order."""
    dispatcher, seen, source = Dispatcher(), Seen(), make_source()
    function: Callable[..., None] = seen.batch if is_batch else seen.event
    dispatcher.attach("h", patterns, function, is_batch=is_batch)
    assert dispatcher.routes(source).is_wanted == bool(expected)
    dispatcher.deliver(source, make_records(0, 2, 1))
    assert seen.names == expected
    assert seen.calls == (bool(expected) if is_batch else len(expected))


def test_arguments_of_an_event_handler() -> None:
    """Name, measurements, stamped metadata and the config that was attached."""
    dispatcher, calls = Dispatcher(), []
    config = {"unhashable": True}
    dispatcher.attach("h", ["gc.done"], lambda *given: calls.append(given), config)
    dispatcher.deliver(make_source(), make_records(2))
    ((event, measurements, metadata, given),) = calls
    assert (event, measurements) == ("gc.done", {"value": 1})
    assert (metadata["node"], metadata["worker_id"], metadata["seq"]) == (
        "node",
        "w-1",
        1,
    )
    assert given is config


def test_arguments_of_a_batch_handler() -> None:
    """The ring, its names and the records, and the config that was attached."""
    dispatcher, calls = Dispatcher(), []
    dispatcher.attach(
        "h", ["*"], lambda *given: calls.append(given), "config", is_batch=True
    )
    records = make_records(0, 1)
    dispatcher.deliver(make_source(), records)
    expected = EventBatch("node", WORKER, "ab" * 16, NAMES, records)
    assert calls == [(expected, "config")]


def test_ids_are_taken_once() -> None:
    """A handler id names one handler, until it is detached."""
    dispatcher = Dispatcher()
    dispatcher.attach("h", ["a"], print)
    with pytest.raises(ValueError, match="attached already"):
        dispatcher.attach("h", ["b"], print)
    assert dispatcher.detach("h")
    assert not dispatcher.detach("h")
    dispatcher.attach("h", ["b"], print)
    assert [handler.patterns for handler in dispatcher.handlers()] == [("b",)]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no event": ({"events": []}, "no event"),
    "a text": ({"events": "tool.*"}, r"\['tool.\*'\]"),
    "a list in a list": ({"events": [["x.*"]]}, "names or globs"),
    "an empty glob": ({"events": [""]}, "names or globs"),
    "no id": ({"handler_id": ""}, "is a text"),
    "a number as an id": ({"handler_id": 7}, "is a text"),
    "no function": ({"function": "f"}, "cannot be called"),
    "a misspelt option": (
        {"own_tread": True},
        "no option 'own_tread'; there are own_th",
    ),
    "a thread that is no answer": ({"own_thread": "no"}, "True or False"),
    "a misspelt ack": ({"own_thread": True, "ack": "done"}, "handled or queued"),
    "a queue without a thread": ({"ack": "queued"}, "own_thread=True"),
    "a queue that bounds nothing": (
        {"own_thread": True, "queue_batches": 5},
        "ack='queued'",
    ),
    "an empty queue": (
        {"own_thread": True, "ack": "queued", "queue_batches": 0},
        "1 or more",
    ),
    "a queue of a text": (
        {"own_thread": True, "ack": "queued", "queue_batches": "5"},
        "1 or more",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_handler_is_said_at_once(what: str) -> None:
    """And not by the end of every stream that would call it."""
    wrong, text = WRONG[what]
    dispatcher = Dispatcher()
    right: dict[str, Any] = {"handler_id": "h", "events": ["*"], "function": print}
    with pytest.raises(ValueError, match=text):
        dispatcher.attach(**right | wrong)
    assert dispatcher.handlers() == []


def test_routes_follow_handlers_and_names() -> None:
    """What was resolved is resolved anew when handlers or names change."""
    dispatcher, seen, source = Dispatcher(), Seen(), make_source("tool.start")
    dispatcher.deliver(source, make_records(0))
    dispatcher.attach("h", ["*"], seen.event)
    dispatcher.deliver(source, make_records(0))
    source.names.append("tool.stop")
    dispatcher.deliver(source, make_records(1))
    dispatcher.detach("h")
    dispatcher.deliver(source, make_records(0))
    assert seen.names == ["tool.start", "tool.stop"]
    assert dispatcher.routes(source) is dispatcher.routes(source)


@pytest.mark.parametrize("is_batch", [False, True])
@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(1), KeyboardInterrupt()]
)
def test_a_handler_that_raises(
    is_batch: bool, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """It is detached, logged once and counted; the others get every event."""

    def fail(*_: object) -> None:
        calls.append(1)
        raise error

    dispatcher, seen, calls = Dispatcher(), Seen(), []
    dispatcher.attach("bad", ["*"], fail, is_batch=is_batch)
    dispatcher.attach("good", ["*"], seen.event)
    source = make_source()
    with caplog.at_level(logging.ERROR):
        dispatcher.deliver(source, make_records(0, 1, 2))
        dispatcher.deliver(source, make_records(0))
    assert calls == [1]
    assert seen.names == ["tool.start", "tool.stop", "gc.done", "tool.start"]
    assert dispatcher.handler_failures == 1
    assert [handler.handler_id for handler in dispatcher.handlers()] == ["good"]
    assert ["'bad' raised" in record.message for record in caplog.records] == [True]


def test_a_namesake_is_not_detached_for_another() -> None:
    """A handler that is replaced while it fails does not take the new one along."""

    def fail(*_: object) -> None:
        dispatcher.detach("h")
        dispatcher.attach("h", ["*"], seen.event)
        raise ValueError

    dispatcher, seen, source = Dispatcher(), Seen(), make_source()
    dispatcher.attach("h", ["*"], fail)
    dispatcher.deliver(source, make_records(0, 1))
    assert seen.names == ["tool.stop"]
    assert dispatcher.handler_failures == 1


def test_a_required_handler_that_raises_ends_delivery() -> None:
    """It stays attached, is counted, and nothing counts as delivered any more."""

    def fail(*_: object) -> None:
        raise OSError("disk full")

    dispatcher, source = Dispatcher(), make_source()
    dispatcher.attach("sink", ["*"], fail, is_batch=True, is_required=True)
    assert dispatcher.failure is None
    for _ in range(2):
        with pytest.raises(RequiredHandlerError, match="'sink': disk full"):
            dispatcher.deliver(source, make_records(0))
    assert dispatcher.failure is not None
    assert dispatcher.handler_failures == 1
    assert [handler.handler_id for handler in dispatcher.handlers()] == ["sink"]
