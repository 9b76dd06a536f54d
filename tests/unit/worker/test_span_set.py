"""Metadata that is added to a span while it is open."""

from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest

import shmtel
from support.own_ring import OwnRing
from support.processes import left_rings, run_python
from support.program import fresh_namespace


def invalid() -> int:
    """Return this process's count of malformed calls."""
    return shmtel.stats()["dropped"]["invalid"]


def test_what_is_set_is_in_the_end_only(ring: OwnRing) -> None:
    """The start is out already; the caller's own dictionary is never changed."""
    metadata: dict[str, object] = {"kind": "test", "rows": 0}
    with shmtel.span("job", metadata) as span:
        span.set("rows", 1)
        span.set("rows", 2)
        span.set(key="found", value=[1, {"a": None}])
    start, stop = ring.events()
    assert start.metadata == metadata == {"kind": "test", "rows": 0}
    assert stop.metadata == {"kind": "test", "rows": 2, "found": [1, {"a": None}]}
    assert span.metadata == stop.metadata


def test_what_is_set_is_in_the_exception(ring: OwnRing) -> None:
    """A bad end has it too, beside what it says of the error."""
    span = shmtel.span("job")
    span.__enter__()
    span.set("rows", 5)
    error = ValueError("no")
    span.__exit__(ValueError, error, None)
    assert ring.events()[1].metadata == {
        "rows": 5,
        "outcome": "error",
        "error_type": "ValueError",
        "error_message": "no",
    }


@pytest.mark.parametrize(
    "metadata", [None, OrderedDict(k=1), MappingProxyType({"k": 1})], ids=type
)
def test_any_mapping_may_be_added_to(ring: OwnRing, metadata: Any) -> None:
    """No metadata at all, and mappings that are no dictionaries, are copied."""
    with shmtel.span("job", metadata) as span:
        span.set("rows", 1)
    assert ring.events()[1].metadata == {**(metadata or {}), "rows": 1}


def test_values_are_made_plain(ring: OwnRing) -> None:
    """What is set may be anything that metadata may be."""
    with shmtel.span("job") as span:
        span.set("tuple", (1, 2))
        span.set("huge", 2**70)
    assert ring.events()[1].metadata == {"tuple": [1, 2], "huge": str(2**70)}


def test_set_outside_an_open_span_is_counted(ring: OwnRing) -> None:
    """Before the start and after the end there is nothing to add to."""
    before = invalid()
    span = shmtel.span("job")
    span.set("early", 1)
    with span:
        pass
    span.set("late", 1)
    assert invalid() == before + 2
    assert [event.metadata for event in ring.events()] == [None, None]


@pytest.mark.parametrize(
    "arguments", [(), ("key",), (5, 1), (None, 1), ("a", 1, 2)], ids=len
)
def test_malformed_set_is_counted(ring: OwnRing, arguments: Any) -> None:
    """A wrong call neither raises nor spoils the span."""
    before = invalid()
    with shmtel.span("job", {"k": 1}) as span:
        span.set(*arguments)
        span.set("x", 1, extra=2)  # type: ignore[call-arg]
    assert invalid() == before + 2
    assert ring.events()[1].metadata == {"k": 1}


def test_metadata_that_is_no_mapping_cannot_be_added_to(ring: OwnRing) -> None:
    """Start, set and end are three mistakes, and nothing raises."""
    before = invalid()
    with shmtel.span("job", "text") as span:  # type: ignore[arg-type]
        span.set("k", 1)
    assert invalid() == before + 3


class Key(str):
    """A key whose hash does what it was told to."""

    def __hash__(self) -> int:
        HASHING[0]()
        return 1


def _refuse() -> None:
    raise RuntimeError("no hash")


def _interrupt() -> None:
    raise KeyboardInterrupt


HASHING = [_refuse]


def test_key_with_code_of_its_own(ring: OwnRing) -> None:
    """An error in it is counted; an interrupt is not telemetry's and passes."""
    before = invalid()
    with shmtel.span("job") as span:
        span.set("kept", 1)
        HASHING[0] = _refuse
        span.set(Key("k"), 1)
        assert invalid() == before + 1
        HASHING[0] = _interrupt
        with pytest.raises(KeyboardInterrupt):
            span.set(Key("k"), 1)
        HASHING[0] = lambda: span.set("inner", 2)
        span.set(Key("k"), 3)
        HASHING[0] = lambda: None
    assert ring.events()[1].metadata == {"kept": 1, "inner": 2, "k": 3}


def test_span_may_be_used_again(ring: OwnRing) -> None:
    """What was set in one use is not in the next."""
    span = shmtel.span("job", {"k": 1})
    for value in (5, None):
        with span:
            if value is not None:
                span.set("rows", value)
    assert [event.metadata for event in ring.events()[1::2]] == [
        {"k": 1, "rows": 5},
        {"k": 1},
    ]


def test_set_on_a_silent_span_is_nothing(ring: OwnRing) -> None:
    """Where telemetry is off there is nothing to count either."""
    before = shmtel.stats()
    shmtel.disable()
    with shmtel.span("job") as span:
        span.set("k", 1)
    shmtel.enable()
    after = shmtel.stats()
    assert after["dropped"] == before["dropped"]
    assert after["disabled"] == before["disabled"] + 2


def test_current_span_is_the_innermost_open_one(ring: OwnRing) -> None:
    """A decorated function finds its own span, to add to it."""

    @shmtel.span("job")
    def job() -> None:
        current = shmtel.current_span()
        assert current is not None
        current.set("rows", 7)

    assert shmtel.current_span() is None
    with shmtel.span("outer") as outer:
        job()
        assert shmtel.current_span() is outer
    assert ring.events()[2].metadata == {"rows": 7}


def test_child_adds_to_its_own_end_only() -> None:
    """What a forked child sets is not in its parent's event, nor the other way."""
    code = """
import os, shmtel
with shmtel.span("job", {"k": 1}) as span:
    span.set("both", 1)
    pid = os.fork()
    span.set("who", "parent" if pid else "child")
    if pid:
        os.waitpid(pid, 0)
if pid == 0:
    os._exit(0)
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        parent, child = left_rings(namespace)
        expected = {"k": 1, "both": 1}
        assert parent.events[-1].metadata == {**expected, "who": "parent"}
        assert child.events[-1].metadata == {**expected, "who": "child"}
