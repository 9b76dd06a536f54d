"""What shmtel offers to the tests of others."""

import datetime
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import shmtel
from shmtel.testing import Capture, capture
from support.own_ring import OwnRing
from support.processes import run_python
from support.program import clean_environment, fresh_namespace


def test_capture_sees_events_as_objects() -> None:
    """Each has its name, measurements, metadata, ids and time."""
    with capture() as captured:
        shmtel.emit("order.priced", {"total": 9.5}, {"shop": "north"}, "id-1")
    (event,) = captured.events
    assert event.name == "order.priced"
    assert event.measurements == {"total": 9.5}
    assert event.metadata == {"shop": "north"}
    assert event.correlation_id == "id-1"
    assert (event.span_id, event.parent_id) == (None, None)
    assert event.timestamp_ns > 0
    assert captured.dropped == {}


def test_capture_sees_spans_with_their_parents() -> None:
    """Ids and nesting are those that the hub would see."""
    with capture() as captured, shmtel.span("outer") as outer:
        shmtel.emit("plain", {})
        with shmtel.span("inner") as inner:
            inner.set("rows", 1)
    events = {event.name: event for event in captured.events}
    assert events["plain"].span_id is None
    assert events["plain"].parent_id == outer.span_id
    assert events["inner.stop"].span_id == inner.span_id
    assert events["inner.stop"].parent_id == outer.span_id
    assert events["inner.stop"].metadata == {"rows": 1}
    assert events["outer.start"].parent_id is None


def test_values_look_as_they_would_at_the_hub(ring: OwnRing) -> None:
    """What a test sees is what a ring would have carried, value by value."""
    odd: dict[str, Any] = {
        "tuple": (1, (2, "x")),
        "date": datetime.date(2024, 2, 29),
        "huge": 2**70,
        "bytes": bytearray(b"\xff"),
        "set": {1},
        "deep": [[[[[[[[[["bottom"]]]]]]]]]],
        "none": None,
        "lone": "\ud800",
    }
    measurements: dict[str, Any] = {"flag": True, "n": 2**64, "x": 1}
    with capture() as captured:
        shmtel.emit("odd", measurements, odd)
    shmtel.emit("odd", measurements, odd)
    (through_ring,) = ring.events()
    (event,) = captured.events
    assert event.metadata == through_ring.metadata
    assert event.metadata["tuple"] == [1, [2, "x"]]
    assert event.measurements == through_ring.measurements
    assert captured.dropped == {}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "invalid"),
        (("name",), "invalid"),
        (("", {}), "invalid"),
        (("n" * 256, {}), "invalid"),
        (("e", {"x": "text"}), "invalid"),
        (("e", {}, "metadata"), "invalid"),
        (("e", {}, None, "c" * 129), "invalid"),
        (("e", {}, {"text": "x" * 70_000}), "too_large"),
    ],
    ids=range(8),
)
def test_what_production_drops_is_dropped(
    ring: OwnRing, arguments: Any, reason: str
) -> None:
    """A test does not see what the ring would refuse, but the count of it."""
    before = shmtel.stats()["dropped"][reason]
    shmtel.emit(*arguments)
    assert shmtel.stats()["dropped"][reason] == before + 1
    with capture() as captured:
        shmtel.emit(*arguments)
        assert captured.dropped == {reason: 1}
    assert captured.events == []
    shmtel.emit(*arguments)
    assert captured.dropped == {reason: 1}


def test_malformed_spans_are_dropped_too() -> None:
    """Start and end of a span of nothing are two events that are none."""
    with capture() as captured:
        with shmtel.span(5):  # type: ignore[arg-type]
            pass
        shmtel.span("x").set("k", 1)
    assert captured.dropped == {"invalid": 3}


def test_largest_event_is_the_same_as_in_a_ring(ring: OwnRing) -> None:
    """The limit of 64 KiB falls on the same byte."""
    fits = 0
    for size in range(65_400, 65_536):
        shmtel.emit("large", {}, {"text": "x" * size})
        fits += len(ring.events())
    with capture() as captured:
        for size in range(65_400, 65_536):
            shmtel.emit("large", {}, {"text": "x" * size})
    assert len(captured.events) == fits
    assert 0 < fits < 136


def test_nested_captures_see_what_is_inside_them() -> None:
    """The outer one has all, the inner one its part, in whichever order they end."""
    outer, inner = Capture(), Capture()
    outer.__enter__()
    shmtel.emit("a", {})
    inner.__enter__()
    shmtel.emit("b", {})
    outer.__exit__(None, None, None)
    shmtel.emit("c", {})
    inner.__exit__(None, None, None)
    shmtel.emit("d", {})
    assert outer.names() == ["a", "b"]
    assert inner.names() == ["b", "c"]


def test_capture_sees_all_threads() -> None:
    """It is of the process, not of the one who opened it."""

    def work() -> None:
        for _ in range(200):
            shmtel.emit("thread", {})

    with capture() as captured:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert captured.names() == ["thread"] * 800


def test_capture_leaves_the_ring_alone(ring: OwnRing) -> None:
    """Nothing of it is recorded, and events go on to the ring afterwards."""
    before = shmtel.stats()["emitted"]
    with capture():
        shmtel.emit("captured", {})
    assert shmtel.stats()["emitted"] == before
    shmtel.emit("after", {})
    assert [event.name for event in ring.events()] == ["after"]


@pytest.mark.parametrize("was_on", [True, False])
def test_switch_is_as_before(ring: OwnRing, was_on: bool) -> None:
    """Inside telemetry is on, a disable() there acts, and the end restores."""
    (shmtel.enable if was_on else shmtel.disable)()
    with capture() as captured:
        assert shmtel.is_enabled()
        shmtel.disable()
        shmtel.emit("off", {})
    assert captured.events == []
    assert shmtel.is_enabled() == was_on


def test_backend_that_is_set_gets_nothing_meanwhile(ring: OwnRing) -> None:
    """A capture stands before any backend, and that one is back afterwards."""
    backend = shmtel.MemoryBackend()
    shmtel.set_backend(backend)
    try:
        with capture() as captured:
            shmtel.emit("captured", {})
        shmtel.emit("after", {})
    finally:
        shmtel.set_backend(shmtel.RingBackend())
    assert captured.names() == ["captured"]
    assert [event[0] for event in backend.events] == ["after"]


@pytest.mark.parametrize("was_on", [True, False])
@pytest.mark.parametrize("kind", [shmtel.MemoryBackend, lambda: None])
def test_backend_that_is_set_inside_is_in_force_afterwards(
    ring: OwnRing, was_on: bool, kind: Any
) -> None:
    """What set_backend was told holds: a backend has its events, None is off."""
    (shmtel.enable if was_on else shmtel.disable)()
    backend = kind()
    try:
        with capture() as captured:
            shmtel.set_backend(backend)
            shmtel.emit("inside", {})
        shmtel.emit("after", {})
        assert shmtel.is_enabled() == (backend is not None)
    finally:
        shmtel.set_backend(shmtel.RingBackend())
    assert ring.events() == []
    if backend is not None:
        assert captured.names() == ["inside"]
        assert [event[0] for event in backend.events] == ["after"]


def test_capture_sees_what_is_handed_to_the_ring_s_backend(ring: OwnRing) -> None:
    """Code that asks for the backend and emits there is seen too."""
    with capture() as captured:
        shmtel.get_backend().emit("direct", {"n": 1}, None, "id")
    assert captured.names() == ["direct"]
    assert ring.events() == []


def test_list_of_events_may_be_replaced(ring: OwnRing) -> None:
    """A test that starts a new list gets what follows, and leaves nothing behind."""
    with capture() as captured:
        shmtel.emit("before", {})
        captured.events = []
        shmtel.emit("after", {})
    assert captured.names() == ["after"]
    shmtel.emit("ring", {})
    assert [event.name for event in ring.events()] == ["ring"]


def test_captures_of_threads_do_not_lose_each_other(ring: OwnRing) -> None:
    """Each sees its own event, however they begin and end; none stays open."""
    missing = []
    start = threading.Barrier(8)

    def work() -> None:
        for _ in range(50):
            start.wait()
            with capture() as captured:
                shmtel.emit("own", {})
                missing.append(not captured.events)

    threads = [threading.Thread(target=work) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(missing) == 400
    assert not any(missing)
    shmtel.emit("after", {})
    assert [event.name for event in ring.events()] == ["after"]


def test_capture_selects_and_forgets() -> None:
    """A test in phases looks at names, globs, and starts again."""
    with capture() as captured:
        shmtel.emit("a.b.c", {})
        shmtel.emit("a.x", {})
        assert [event.name for event in captured.matching("a.*c")] == ["a.b.c"]
        captured.clear()
        shmtel.emit("a.y", {})
    assert captured.names() == ["a.y"]


def test_capture_in_a_process_without_telemetry() -> None:
    """No variable, no ring, no collector; and nothing is opened."""
    code = """
import os, shmtel
from shmtel.testing import capture
files = set(os.listdir("/proc/self/fd"))
with capture() as captured:
    with shmtel.span("job"):
        shmtel.emit("inside", {})
assert captured.names() == ["job.start", "inside", "job.stop"], captured.names()
assert set(os.listdir("/proc/self/fd")) == files
assert not shmtel.is_enabled()
assert shmtel.stats()["ring_id"] is None
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_ENABLED="", SHMTEL_SAMPLING_RATE="0")


TEST_OF_A_USER = """
import shmtel

def test_sees_its_own_events(shmtel_events):
    shmtel.emit("order.priced", {"total": 1})
    assert shmtel_events.names() == ["order.priced"]

def test_sees_nothing_of_others(shmtel_events):
    assert shmtel_events.names() == []

def test_without_it_telemetry_is_off():
    assert not shmtel.is_enabled()
"""


def test_pytest_has_the_fixture(tmp_path: Path) -> None:
    """A user's tests get `shmtel_events` without a line of set-up."""
    (tmp_path / "test_shop.py").write_text(TEST_OF_A_USER)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
