"""The hub's own events."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from shmtel import catalog
from shmtel.hub.dispatch import Dispatcher
from shmtel.hub.events import HANDLER_FAILURE, POLICY_CHANGED, WAITING_MAX, HubEvents
from shmtel.hub.parts import Parts
from shmtel.stamped import STAMPED
from support.hubs import WAIT_S, Seqs, fail
from support.processes import wait_until

Call = tuple[str, Mapping[str, float], Mapping[str, Any]]


def collecting(calls: list[Call]) -> Any:
    """Return a handler that remembers what it got."""
    return lambda *given: calls.append(given[:3])


def test_an_event_looks_like_that_of_a_worker() -> None:
    """It has all the stamps, and names the hub as its worker."""
    dispatcher, calls = Dispatcher(), list[Call]()
    dispatcher.attach("all", ["policy.*"], collecting(calls))
    events = HubEvents(dispatcher)
    events.put({"version": 3, "rules": 1}, {"cause": "set", "node": "forged"})
    events.put({"version": 4, "rules": 1}, {"cause": "set"})
    events.close(WAIT_S)
    (event, measurements, metadata), (_, _, second) = calls
    assert (event, measurements) == (POLICY_CHANGED, {"version": 3, "rules": 1})
    assert (metadata["worker_id"], metadata["pool_name"]) == ("hub", "shmtel")
    assert (metadata["cause"], metadata["user.node"]) == ("set", "forged")
    assert (metadata["seq"], second["seq"]) == (1, 2)
    assert metadata["sampling_probability"] == 1.0


def test_a_handler_that_raises_is_detached_and_the_next_event_comes() -> None:
    """A broken handler is the end of itself only."""
    dispatcher, calls = Dispatcher(), list[Call]()
    dispatcher.attach("broken", ["*"], fail)
    dispatcher.attach("all", ["*"], collecting(calls))
    events = HubEvents(dispatcher)
    for _ in range(2):
        events.put({}, {})
    events.close(WAIT_S)
    assert len(calls) == 2
    assert dispatcher.handler_failures == 1


def test_a_required_handler_that_raises_fails_the_hub(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said once per event, and the thread goes on to its end."""
    dispatcher = Dispatcher()
    dispatcher.attach("sink", ["*"], fail, is_batch=True, is_required=True)
    events = HubEvents(dispatcher)
    events.put({}, {})
    events.close(WAIT_S)
    assert dispatcher.failure is not None
    assert "policy.changed is kept nowhere" in caplog.text


def test_what_finds_no_room_is_counted_and_leaves_a_gap() -> None:
    """Putting never waits, whatever the handlers do."""
    dispatcher, slow = Dispatcher(), Seqs()
    dispatcher.attach("slow", ["*"], slow, is_batch=True)
    events = HubEvents(dispatcher)
    slow.hold()
    events.put({}, {})
    assert slow.entered.wait(WAIT_S)
    for _ in range(WAITING_MAX + 5):
        events.put({}, {})
    assert events.dropped == 5
    slow.may_go_on.set()
    events.close(WAIT_S)
    events.put({}, {})
    assert events.dropped == 6
    assert slow.seqs == list(range(1, WAITING_MAX + 2))


def test_a_handler_that_hangs_is_not_waited_for() -> None:
    """The hub's stop has an end."""
    dispatcher, may_end = Dispatcher(), threading.Event()
    dispatcher.attach("hangs", ["*"], lambda *_: may_end.wait(WAIT_S))
    events = HubEvents(dispatcher)
    for _ in range(WAITING_MAX + 1):
        events.put({}, {})
    events.close(0.05)
    assert not may_end.is_set()
    may_end.set()


class Unprintable(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no")


def test_a_handler_that_raises_is_an_event() -> None:
    """For those that are left, and with keys that the catalog knows; once for each."""

    def broken(*_: object) -> None:
        raise Unprintable

    parts, calls = Parts(None), list[Call]()
    parts.dispatcher.attach("broken", ["policy.*"], broken)
    parts.dispatcher.attach("sad", [HANDLER_FAILURE], fail)
    parts.dispatcher.attach("all", [HANDLER_FAILURE], collecting(calls))
    parts.events.put({}, {})
    wait_until(lambda: len(calls) == 2)
    parts.events.close(WAIT_S)
    parts.close()
    entry = catalog.load().entry(HANDLER_FAILURE)
    assert entry is not None
    for event, measurements, metadata in calls:
        assert (event, measurements) == ("handler.failure", {"count": 1})
        assert measurements.keys() <= entry.measurements.keys()
        assert metadata.keys() - STAMPED == set(entry.metadata)
    assert [metadata["handler"] for _, _, metadata in calls] == ["broken", "sad"]
    first, second = (metadata for _, _, metadata in calls)
    assert (first["error_type"], first["error_message"]) == (
        f"{__name__}.Unprintable",
        "",
    )
    assert first["outcome"] == second["outcome"] == "error"
    assert parts.events.dropped == 0
