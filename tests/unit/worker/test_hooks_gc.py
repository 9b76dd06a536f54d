"""Events of garbage collections, and which hooks SHMTEL_INSTRUMENT installs."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

import shmtel
from shmtel import _ring, hooks
from shmtel.testing import capture
from support.own_ring import Event, OwnRing
from support.processes import left_rings, run_python
from support.program import fresh_namespace

NAME = "python.gc.completed"


@pytest.fixture
def hook() -> Iterator[None]:
    """The hook, and no collection but those that the test asks for."""
    gc.disable()
    hooks.install("gc")
    yield
    hooks.uninstall("gc")
    gc.enable()


def collections(events: list[Event]) -> list[Event]:
    """Return the events of collections."""
    return [event for event in events if event.name == NAME]


def test_collection_is_an_event(ring: OwnRing, hook: None) -> None:
    """It tells how long it took, what it found, and in which generation."""
    gc.collect()
    ring.events()
    cycle: list[Any] = []
    cycle.append(cycle)
    del cycle
    with shmtel.span("around") as span:
        gc.collect(1)
    (event,) = collections(ring.events())
    assert event.metadata == {"generation": 1}
    assert event.measurements.keys() == {"duration", "collected", "uncollectable"}
    assert 0 < event.measurements["duration"] < 10_000_000_000
    assert event.measurements["collected"] >= 1
    assert event.measurements["uncollectable"] == 0
    assert event.parent_id == span.span_id


def test_numbers_that_another_call_back_has_changed(ring: OwnRing) -> None:
    """What no number of a collection can be is none, and raises nothing."""
    _ring.note_collection("start", {})
    _ring.note_collection("stop", {"generation": 1, "collected": 1 << 70})
    (event,) = collections(ring.events())
    assert event.metadata == {"generation": 1}
    assert event.measurements["collected"] == 0


def test_no_hook_no_event(ring: OwnRing, hook: None) -> None:
    """Twice installed is once; removed is removed, and others' call-backs stay."""
    hooks.install("gc")
    gc.collect(0)
    assert len(collections(ring.events())) == 1
    seen: list[str] = []
    other = lambda phase, info: seen.append(phase)  # noqa: E731
    gc.callbacks.append(other)
    try:
        hooks.uninstall()
        gc.collect(0)
    finally:
        gc.callbacks.remove(other)
    assert seen == ["start", "stop"]
    assert collections(ring.events()) == []


def test_another_backend_gets_collections(ring: OwnRing, hook: None) -> None:
    """A capture sees them, though it runs Python code, which waits a moment."""
    with capture() as captured:
        gc.collect(0)
    assert captured.names() == [NAME]
    assert captured.events[0].parent_id is None


def test_collection_that_nobody_asked_for_while_off(ring: OwnRing, hook: None) -> None:
    """It is counted as disabled, like any event."""
    before = shmtel.stats()["disabled"]
    shmtel.disable()
    gc.collect(0)
    assert shmtel.stats()["disabled"] == before + 1
    assert ring.events() == []


def test_call_back_begins_with_a_start(ring: OwnRing) -> None:
    """An end whose start it has not seen is no event; a wrong call is refused."""
    _ring.note_collection("stop", {"generation": 0})
    assert ring.events() == []
    with pytest.raises(TypeError, match=r"gc\.callbacks"):
        _ring.note_collection("stop", None)  # type: ignore[arg-type]


def test_words_that_mean_nothing(ring: OwnRing) -> None:
    """A mistake in the program is said at once, and nothing is installed."""
    with pytest.raises(ValueError, match="use gc, errors"):
        hooks.install("gc", "gpu")
    with pytest.raises(ValueError, match="use gc, errors"):
        hooks.uninstall("gpu")
    assert _ring.note_collection not in gc.callbacks


@pytest.mark.parametrize(
    ("variables", "is_there", "warnings"),
    [
        ({"SHMTEL_INSTRUMENT": "gc"}, True, 0),
        ({"SHMTEL_INSTRUMENT": " gpu , gc,, "}, True, 1),
        ({"SHMTEL_INSTRUMENT": "errors"}, False, 0),
        ({"SHMTEL_INSTRUMENT": "gc", "SHMTEL_ENABLED": "0"}, False, 0),
        ({}, False, 0),
    ],
    ids=["on", "typo", "other", "disabled", "unset"],
)
def test_what_the_environment_installs(
    variables: dict[str, str], is_there: bool, warnings: int
) -> None:
    """Hooks where both variables say so; a typo is told once, with the cure."""
    code = """
import gc, os, shmtel
print([c.__name__ for c in gc.callbacks], "shmtel.hooks" in __import__("sys").modules)
if os.fork(): os.wait()
"""
    with fresh_namespace() as namespace:
        done = run_python(code, namespace, **variables)
        expected = str(["note_collection"] if is_there else [])
        assert done.stdout.splitlines()[0].startswith(expected)
        assert done.stderr.count("use gc, errors") == warnings
        if not variables or "SHMTEL_ENABLED" in variables:
            assert done.stdout.endswith("False\n")


def test_first_event_of_an_instrumented_process_imports_nothing() -> None:
    """A hook may make the ring in the middle of the import of anything."""
    code = """
import gc; gc.disable()
import sys, shmtel
before = set(sys.modules)
assert shmtel.stats()["ring_id"] is None
gc.collect()
assert shmtel.stats()["committed"] == 1, shmtel.stats()
assert set(sys.modules) == before, set(sys.modules) - before
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_INSTRUMENT="gc,errors")


def test_children_have_the_hook_and_rings_of_their_own() -> None:
    """Also one that is forked while an event waits, which is the parent's alone."""
    code = """
import gc; gc.disable()
import os, shmtel
def end(pid):
    if pid == 0:
        gc.collect(1)
        os._exit(shmtel.stats()["committed"] != 1)
    assert os.waitpid(pid, 0)[1] == 0
def fork_in_a_collection(phase, info):
    if phase == "stop":
        gc.callbacks.remove(fork_in_a_collection)
        pids.append(os.fork())
pids = []
end(os.fork())
gc.callbacks.append(fork_in_a_collection)
gc.collect(2)
end(pids.pop())
end(os.fork())
assert shmtel.stats()["committed"] == 1
gc.callbacks.clear()
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_INSTRUMENT="gc")
        rings = left_rings(namespace)
        found = [e.metadata for ring in rings for e in ring.events]
        assert [len(ring.events) for ring in rings] == [1] * 4
        assert sorted(str(each) for each in found) == [
            *(["{'generation': 1}"] * 3),
            "{'generation': 2}",
        ]


def test_thread_that_collects_while_the_main_thread_waits() -> None:
    """No handler of a signal runs there, so nothing has to wait."""
    code = """
import gc; gc.disable()
import threading, shmtel
def collect():
    gc.collect(0)
    found.append(shmtel.stats())
found = []
thread = threading.Thread(target=collect)
thread.start()
thread.join()
assert found[0]["committed"] == 1, found
gc.callbacks.clear()
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_INSTRUMENT="gc")
        (ring,) = left_rings(namespace)
        assert [event.name for event in ring.events] == [NAME]


def test_time_limit_that_comes_in_a_collection_reaches_the_program() -> None:
    """A call-back written in Python would have its exception, and lose it.

    It comes in the middle of a collection when that has begun, and the instruction
    after it is not reached; what comes beside one proves nothing, and is tried again.
    """
    code = """
import gc; gc.disable()
import signal, sys, time, shmtel
class Late(Exception): pass
def handle(*_): raise Late
signal.signal(signal.SIGALRM, handle)
def count(): return gc.get_stats()[2]["collections"]
garbage = [[index] for index in range(300_000)]
before, began_s = count(), time.monotonic()
gc.collect()
half_s = (time.monotonic() - began_s) / 2
hits = 0
for _ in range(200):
    collections, is_over = count(), False
    signal.setitimer(signal.ITIMER_REAL, half_s)
    try:
        gc.collect()
        is_over = True  # a signal that came before has been handled by now
        ends_s = time.monotonic() + 5
        while time.monotonic() < ends_s: pass
    except Late:
        hits += count() > collections and not is_over
    else:
        sys.exit("the time limit is lost")
    if hits == 2: break
assert hits == 2
collections = count() - before
gc.callbacks.clear()
stats = shmtel.stats()
assert stats["committed"] == stats["emitted"] == collections, (stats, collections)
"""
    with fresh_namespace() as namespace:
        done = run_python(code, namespace, SHMTEL_INSTRUMENT="gc")
        assert done.stderr == ""


def test_every_collection_is_accounted_for() -> None:
    """At every allocation, from the first event on, inside long calls of C code."""
    code = """
import gc; gc.disable()
import shmtel
def count(): return sum(each["collections"] for each in gc.get_stats())
gc.set_threshold(1)
before = count()
gc.enable()
made = list(map(list, [()] * 500))
for index in range(300):
    with shmtel.span("work", {"index": index, "x": object()}):
        shmtel.emit("inside.%d" % (index % 50), {"big": 2**70}, {"x": [object()]})
gc.disable()
collections = count() - before
gc.callbacks.clear()
stats = shmtel.stats()
assert stats["emitted"] == 900 + collections, (stats, collections)
assert stats["committed"] + stats["dropped"]["reentrant"] == stats["emitted"], stats
"""
    with fresh_namespace() as namespace:
        run_python(
            code, namespace, SHMTEL_INSTRUMENT="gc", SHMTEL_RING_SIZE="16MiB",
            SHMTEL_ALLOW="*",
        )  # fmt: skip
        (ring,) = left_rings(namespace)
        assert sum(e.name.startswith("inside.") for e in ring.events) == 300
        assert any(event.name == NAME for event in ring.events)
        assert [e.seq for e in ring.events] == list(range(1, len(ring.events) + 1))
