"""Spans that end out of order, never, elsewhere, or outlive what made them."""

import contextvars
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import shmtel
from shmtel import _ring
from shmtel.testing import capture
from support.own_ring import OwnRing
from support.processes import left_rings, run_python
from support.program import fresh_namespace

ROOT = "0" * 16


def steps(operation: str, correlation_id: str | None = None) -> Iterator[None]:
    """A generator that is inside a span while it waits."""
    with shmtel.span(operation, None, correlation_id):
        yield


@pytest.mark.parametrize("order", ["abc", "acb", "bac", "bca", "cab", "cba"])
def test_spans_may_end_in_any_order(ring: OwnRing, order: str) -> None:
    """When the last of some interleaved spans has ended, none is current."""
    generators = {name: steps(name, f"id-{name}") for name in "abc"}
    for generator in generators.values():
        next(generator)
    for name in order:
        assert next(generators[name], None) is None
    shmtel.emit("after", {})
    after = ring.events()[-1]
    assert (after.span, after.correlation_id) == (None, None)


def test_span_goes_on_when_its_outer_one_has_ended(ring: OwnRing) -> None:
    """Between the two ends, the inner span is still the parent of what is emitted."""
    outer, inner = steps("outer"), steps("inner")
    next(outer)
    next(inner)
    next(outer, None)
    shmtel.emit("between", {})
    next(inner, None)
    events = {event.name: event for event in ring.events()}
    assert events["between"].parent_id == events["inner.start"].span_id
    assert events["inner.stop"].parent_id == events["outer.start"].span_id


def enter_each_other() -> None:
    """Enter two spans inside each other, and leave them."""
    first, second, third = (shmtel.span(name) for name in ("first", "second", "third"))
    first.__enter__()
    second.__enter__()
    contextvars.Context().run(first.__exit__, None, None, None)
    first.__enter__()
    contextvars.Context().run(third.__enter__)
    for span in (third, second, first):
        span.__exit__(None, None, None)


def test_spans_of_each_other_have_an_end(ring: OwnRing) -> None:
    """Two spans that were each entered inside the other can both be left."""
    contextvars.Context().run(enter_each_other)
    assert len(ring.events()) == 8


def test_task_keeps_the_span_that_it_was_started_in(ring: OwnRing) -> None:
    """A context that outlives a span still names it as the parent of its events."""
    with shmtel.span("request", None, "id-1") as request:
        context = contextvars.copy_context()

    def background() -> None:
        with shmtel.span("first"):
            pass
        shmtel.emit("last", {})

    context.run(background)
    last = ring.events()[-1]
    assert (last.parent_id, last.correlation_id) == (request.span_id, "id-1")


def test_any_number_of_spans_may_never_end() -> None:
    """Spans that nobody ends are freed as they were made, one after another."""
    code = """
import contextvars, shmtel
def work():
    for _ in range(300_000):
        shmtel.span("endless").__enter__()
contextvars.Context().run(work)
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)


def test_module_loaded_again_knows_the_spans_of_the_first() -> None:
    """A program that reloads its modules has one kind of span throughout."""
    code = """
import gc, sys, shmtel
span = shmtel.span("job")
kind = type(span)
for _ in range(2):
    for name in [name for name in sys.modules if name.partition(".")[0] == "shmtel"]:
        del sys.modules[name]
    import shmtel
    gc.collect()
with span:
    shmtel.emit("inside", {})
assert type(shmtel.span("other")) is kind
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        (ring,) = left_rings(namespace)
        start, inside, _ = ring.events
        assert inside.parent_id == start.span_id


def test_garbage_collection_may_run_spans() -> None:
    """A collection at any allocation of a span, whose callback runs another."""
    code = """
import gc, shmtel
def callback(phase, info):
    with shmtel.span("collection"):
        pass
shmtel.emit("plain", {"odd": True}, {"odd": object()})  # makes the ring
gc.callbacks.append(callback)
gc.set_threshold(1)
for _ in range(200):
    shmtel.emit("plain", {"odd": True}, {"odd": object()})
    with shmtel.span("outer", {"odd": [object()]}), shmtel.span("inner"):
        pass
gc.disable()
stats = shmtel.stats()
assert stats["emitted"] == stats["committed"], stats
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_RING_SIZE="8MiB")
        (ring,) = left_rings(namespace)
        spans = {e.span_id: e.name for e in ring.events if e.name.endswith(".start")}
        inner = [e for e in ring.events if e.name == "inner.start"]
        assert [spans[event.parent_id] for event in inner] == ["outer.start"] * 200
        assert "collection.start" in spans.values()


class Operation(str):
    """A name whose end starts another span."""

    def __del__(self) -> None:
        with shmtel.span(str(self)):
            pass


def test_name_with_code_of_its_own(ring: OwnRing) -> None:
    """The end of a name in the middle of a span's start does not mix up names."""
    for index in range(600):
        with shmtel.span(Operation(f"odd.{index % 3}")):
            pass
    names = [event.name for event in ring.events()]
    assert names[0::2] == [name.replace(".stop", ".start") for name in names[1::2]]
    assert len(names) == 2400


def blocks() -> int:
    """Count what the garbage collector sees."""
    gc.collect()
    return len(gc.get_objects())


def raise_in_span() -> None:
    """Run a span to a bad end."""
    with pytest.raises(ValueError, match="no"), shmtel.span("leak", {"k": object()}):
        raise ValueError("no")


@shmtel.span("leak")
def decorated() -> Iterator[int]:
    """A generator that is a span."""
    yield from range(2)


def set_in_span() -> None:
    """Add to a span, well and badly."""
    with shmtel.span("leak", {"k": 1}) as span:
        span.set("rows", [1])
        span.set("rows", {"a": "b"})
        span.set(5, 5)  # type: ignore[arg-type]


def carry_correlation() -> None:
    """Take headers in, and make some."""
    header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with shmtel.correlation(traceparent=header), shmtel.span("leak"):
        shmtel.outgoing_metadata()
        shmtel.current_span()


def capture_events() -> None:
    """Divert some events, one of them none."""
    with capture():
        shmtel.emit("leak", {}, {"k": object()})
        shmtel.emit("leak", 5)  # type: ignore[arg-type]
        raise_in_span()


LEAKS: list[Callable[[], Any]] = [
    lambda: shmtel.emit("leak", {"x": 1}, {"k": [1, {"a": "b"}]}, "id"),
    lambda: shmtel.emit("leak", {"x": True}, {"k": object()}, "id"),
    lambda: shmtel.emit("leak", 5, object(), object()),  # type: ignore[arg-type]
    lambda: shmtel.span("leak", {"k": 1}, "id").__enter__().__exit__(None, None, None),
    lambda: next(steps("leak" + str(len("dynamic")))),
    raise_in_span,
    shmtel.stats,
    lambda: _ring.own_rings(),
    lambda: list(decorated()),
    lambda: next(decorated()),
    set_in_span,
    carry_correlation,
    capture_events,
]


@pytest.mark.parametrize("call", LEAKS, ids=range(len(LEAKS)))
def test_nothing_is_left_behind(ring: OwnRing, call: Callable[[], Any]) -> None:
    """After a thousand calls there are as many objects as after ten."""
    for _ in range(10):
        call()
    before = blocks()
    for _ in range(1000):
        call()
    assert blocks() - before < 50
