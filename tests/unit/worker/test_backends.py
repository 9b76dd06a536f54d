"""Backends: the ring, lines on stderr, memory, and those of others."""

import io
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

import shmtel
from shmtel import _ring
from support.own_ring import OwnRing
from support.processes import left_rings, run_python
from support.program import fresh_namespace


@pytest.fixture(autouse=True)
def back_to_the_ring() -> Iterator[None]:
    """Leave no other backend behind."""
    yield
    shmtel.set_backend(shmtel.RingBackend())


def other() -> "_ring.BackendStats":
    """Return what became of the events of other backends."""
    return shmtel.stats()["other_backend"]


def test_ring_is_the_default(ring: OwnRing) -> None:
    """Without a word of anybody events go to the ring."""
    assert isinstance(shmtel.get_backend(), shmtel.RingBackend)
    shmtel.get_backend().emit("direct", {"n": 1}, {"k": "v"}, "id")
    (event,) = ring.events()
    assert (event.name, event.measurements) == ("direct", {"n": 1})
    assert (event.metadata, event.correlation_id) == ({"k": "v"}, "id")


def test_other_backend_gets_events_and_spans(ring: OwnRing) -> None:
    """emit and span go there, and nothing of it into the ring."""
    backend = shmtel.MemoryBackend()
    shmtel.set_backend(backend)
    assert shmtel.get_backend() is backend
    with shmtel.span("job", {"k": (1, 2)}, "id") as span:
        shmtel.emit("inside", {"n": 1})
        span.set("rows", 3)
    assert [(name, metadata, id) for name, _, metadata, id in backend.events] == [
        ("job.start", {"k": [1, 2]}, "id"),
        ("inside", {}, "id"),
        ("job.stop", {"k": [1, 2], "rows": 3}, "id"),
    ]
    assert backend.events[2][1].keys() == {"duration"}
    assert ring.events() == []
    shmtel.set_backend(shmtel.RingBackend())
    shmtel.emit("back", {})
    assert [event.name for event in ring.events()] == ["back"]


def test_counts_of_the_ring_are_about_the_ring(ring: OwnRing) -> None:
    """What went elsewhere, and what was no event there, is counted apart."""
    before, before_other = shmtel.stats(), other()
    shmtel.set_backend(shmtel.MemoryBackend())
    shmtel.emit("taken", {})
    shmtel.emit("invalid", 5)  # type: ignore[arg-type]
    shmtel.emit("invalid")  # type: ignore[call-arg]
    shmtel.emit("x" * 256, {})
    shmtel.emit("large", {}, {"text": "x" * 70_000})
    shmtel.emit("long", {}, None, "x" * 129)
    after, after_other = shmtel.stats(), other()
    for key in ("emitted", "committed", "dropped", "disabled"):
        assert after[key] == before[key]  # type: ignore[literal-required]
    assert after_other["delivered"] == before_other["delivered"] + 1
    invalid = after_other["dropped"]["invalid"] - before_other["dropped"]["invalid"]
    assert invalid == 4
    large = after_other["dropped"]["too_large"] - before_other["dropped"]["too_large"]
    assert large == 1


class Broken:
    """A backend as bad as can be."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def emit(self, *arguments: object) -> None:
        """Raise."""
        raise self.error


def test_backend_that_raises_is_counted(ring: OwnRing) -> None:
    """Nothing of its error reaches who emits."""
    before = other()["failed"]
    shmtel.set_backend(Broken(RuntimeError("no")))
    shmtel.emit("e", {})
    with shmtel.span("job"):
        pass
    assert other()["failed"] == before + 3


def test_interrupt_in_a_backend_is_not_swallowed(ring: OwnRing) -> None:
    """It is not telemetry's, and the next event is taken again."""
    shmtel.set_backend(Broken(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        shmtel.emit("e", {})
    backend = shmtel.MemoryBackend()
    shmtel.set_backend(backend)
    shmtel.emit("after", {})
    assert len(backend.events) == 1


def test_backend_that_emits_does_not_feed_itself(ring: OwnRing) -> None:
    """An event from inside a backend is dropped as reentrant."""

    class Chatty:
        def emit(self, *arguments: object) -> None:
            shmtel.emit("chat", {})

    before = other()["dropped"]["reentrant"]
    shmtel.set_backend(Chatty())
    shmtel.emit("e", {})
    assert other()["dropped"]["reentrant"] == before + 1


def test_backend_may_hand_on_to_the_ring(ring: OwnRing) -> None:
    """A backend of one's own can see events and record them all the same."""

    class Tee:
        def __init__(self) -> None:
            self.seen: list[str] = []
            self.ring = shmtel.RingBackend()

        def emit(self, event_name: str, *rest: Any) -> None:
            self.seen.append(event_name)
            self.ring.emit(event_name, *rest)

    tee = Tee()
    shmtel.set_backend(tee)
    shmtel.emit("both", {"n": 1}, {"k": "v"}, "id")
    assert tee.seen == ["both"]
    (event,) = ring.events()
    assert (event.name, event.measurements, event.correlation_id) == (
        *("both", {"n": 1}, "id"),
    )


def test_own_kind_of_ring_backend_is_asked(ring: OwnRing) -> None:
    """A subclass that does more than record gets its events like any other."""

    class Tee(shmtel.RingBackend):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def emit(self, event_name: str, *rest: Any) -> None:
            self.seen.append(event_name)
            super().emit(event_name, *rest)

    tee = Tee()
    shmtel.set_backend(tee)
    shmtel.emit("both", {})
    assert tee.seen == ["both"]
    assert [event.name for event in ring.events()] == ["both"]


def test_none_switches_telemetry_off(ring: OwnRing) -> None:
    """Without a backend events are disabled, and counted so."""
    before = shmtel.stats()["disabled"]
    shmtel.set_backend(None)
    assert shmtel.get_backend() is None
    assert not shmtel.is_enabled()
    shmtel.emit("e", {})
    assert shmtel.stats()["disabled"] == before + 1


def test_switch_holds_for_other_backends(ring: OwnRing) -> None:
    """disable() silences any backend; the collector's toggle is the ring's alone."""
    backend = shmtel.MemoryBackend()
    shmtel.set_backend(backend)
    shmtel.disable()
    shmtel.emit("off", {})
    shmtel.enable()
    ring.consumer.set_enabled(_ring.RING_OFF)
    assert shmtel.is_enabled()
    shmtel.emit("on", {})
    assert [event[0] for event in backend.events] == ["on"]


@pytest.mark.parametrize("thing", [5, "text", object()])
def test_what_has_no_emit_is_no_backend(thing: Any) -> None:
    """A mistake in the set-up is said at once."""
    with pytest.raises(TypeError, match=r"emit\(\)"):
        shmtel.set_backend(thing)


def test_stderr_backend_writes_json_lines(
    ring: OwnRing, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line for each event, in what JSON can say."""
    shmtel.set_backend(shmtel.StderrBackend())
    shmtel.emit("plain", {"n": 1}, {"k": "größe"}, "id")
    shmtel.emit("odd", {"x": math.nan}, {"b": b"\x00\xff", "deep": [{"y": math.inf}]})
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first.pop("timestamp_ns") > 0
    assert first == {
        "event": "plain",
        "measurements": {"n": 1},
        "metadata": {"k": "größe"},
        "correlation_id": "id",
    }
    assert second["measurements"] == {"x": None}
    assert second["metadata"] == {"b": "AP8=", "deep": [{"y": None}]}


@pytest.mark.parametrize("stream", [None, "closed"])
def test_stderr_that_cannot_be_written_is_counted(
    ring: OwnRing, monkeypatch: pytest.MonkeyPatch, stream: str | None
) -> None:
    """A program without stderr loses lines, never an exception."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed if stream else None)
    backend = shmtel.StderrBackend()
    shmtel.set_backend(backend)
    shmtel.emit("e", {})
    assert (backend.dropped_count, backend.stream.dropped_count) == (1, 1)


def test_closed_backends_count_what_still_comes(ring: OwnRing) -> None:
    """After close nothing is written or kept, and nothing raises."""
    stream = io.StringIO()
    backends = [shmtel.MemoryBackend(), shmtel.StderrBackend(stream)]
    for backend in backends:
        backend.close()
        shmtel.set_backend(backend)
        shmtel.emit("late", {})
        assert backend.dropped_count == 1
    assert stream.getvalue() == ""
    assert not stream.closed


def test_memory_backend_is_bounded() -> None:
    """What is over the limit is counted, not kept."""
    backend = shmtel.MemoryBackend(limit=2)
    for index in range(5):
        backend.emit("e", {"n": index})
    assert len(backend.events) == 2
    assert backend.stream.dropped_count == 3


def test_dropped_count_of_the_ring_spans_its_rings() -> None:
    """Drops without a ring, in a ring that was left, and in the next are one sum."""
    code = """
import os, shmtel
from shmtel import _ring, ring
backend = shmtel.get_backend()
shmtel.emit("first", 5)
assert backend.dropped_count == 1
shmtel.emit("first", {})
shmtel.emit("second", 5)
assert backend.stream.dropped_count == 2
(name,) = ring.home_in_force().scan(os.environ["SHMTEL_NAMESPACE"])
consumer = _ring.Consumer(ring.home_in_force().open(name, writable=True))
consumer.set_enabled(_ring.RING_RETIRED)
shmtel.emit("third", {})
shmtel.emit("third", 5)
assert shmtel.stats()["dropped"]["invalid"] == 1
assert backend.dropped_count == 3
backend.close()
shmtel.emit("still", {})
assert shmtel.stats()["committed"] == 2
pid = os.fork()
if pid == 0:
    os._exit(backend.dropped_count)
assert os.waitpid(pid, 0)[1] == 0
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)


def test_setting_a_backend_needs_no_variable() -> None:
    """Without SHMTEL_ENABLED a backend gets its events, and no ring is made."""
    code = """
import shmtel
shmtel.set_backend(shmtel.StderrBackend())
shmtel.emit("e", {"n": 1})
assert shmtel.stats()["ring_id"] is None
"""
    with fresh_namespace() as namespace:
        done = run_python(code, namespace, SHMTEL_ENABLED="")
        assert json.loads(done.stderr)["event"] == "e"
        assert left_rings(namespace) == []


def test_no_step_of_a_change_lets_an_event_into_the_ring() -> None:
    """Others may emit at any moment of it; what is off or elsewhere makes no ring."""
    code = """
import sys, shmtel
from shmtel.testing import capture
backend = shmtel.MemoryBackend()
sys.setprofile(lambda *step: shmtel.emit("meanwhile", {}))
shmtel.set_backend(backend)
shmtel.set_backend(None)
with capture():
    shmtel.set_backend(backend)
shmtel.set_backend(None)
with capture():
    pass
sys.setprofile(None)
assert backend.events
assert shmtel.stats()["ring_id"] is None
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_ENABLED="")


def test_forked_child_keeps_the_backend_and_counts_anew() -> None:
    """Where events go is inherited; what became of the parent's is not."""
    code = """
import os, shmtel
backend = shmtel.MemoryBackend()
shmtel.set_backend(backend)
shmtel.emit("parent", {})
pid = os.fork()
if pid == 0:
    shmtel.emit("child", {})
    names = [event[0] for event in backend.events]
    delivered = shmtel.stats()["other_backend"]["delivered"]
    os._exit(0 if names == ["parent", "child"] and delivered == 1 else 1)
assert os.waitpid(pid, 0)[1] == 0
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)


def test_fork_in_the_middle_of_a_change_stops_nobody() -> None:
    """A child does not wait for a thread that only its parent has."""
    code = """
import os, signal, sys, threading, shmtel
shmtel.get_backend()
inside, go_on = threading.Event(), threading.Event()
def pause(frame, event, function):
    if event == "c_call" and function.__name__ == "divert":
        inside.set()
        go_on.wait()
def change():
    sys.setprofile(pause)
    shmtel.set_backend(shmtel.MemoryBackend())
thread = threading.Thread(target=change)
thread.start()
inside.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    backend = shmtel.MemoryBackend()
    shmtel.set_backend(backend)
    shmtel.emit("child", {})
    os._exit(len(backend.events) - 1)
go_on.set()
thread.join()
assert os.waitpid(pid, 0)[1] == 0
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
