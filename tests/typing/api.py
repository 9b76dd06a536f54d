"""How applications use the public names; type checkers read it, nothing runs it."""

import asyncio
from collections.abc import Callable
from typing import Any, assert_type

import shmtel


def emit_accepts_what_events_are_made_of() -> None:
    """Measurements are numbers, metadata is anything plain, the rest is optional."""
    assert_type(shmtel.emit("a.b", {"n": 1, "x": 1.5}), None)
    shmtel.emit("a.b", {}, None, None)
    shmtel.emit("a.b", {"n": 1}, {"text": "t", "list": [1, None]}, "correlation")
    shmtel.emit(event="a.b", measurements={"n": 1}, correlation_id="c")
    shmtel.emit("a.b", {"n": "text"})  # type: ignore[dict-item]
    shmtel.emit("a.b")  # type: ignore[call-arg]


def a_span_is_a_context_manager() -> None:
    """It gives itself, with its ids."""
    with shmtel.span("a.b", {"k": "v"}, "correlation") as span:
        assert_type(span, shmtel.Span)
        assert_type(span.span_id, str)
        assert_type(span.set("rows", 5), None)
        span.set(5, 5)  # type: ignore[arg-type]
    assert_type(shmtel.current_span(), shmtel.Span | None)


def a_span_decorates_and_keeps_the_signature() -> None:
    """Plain and asynchronous functions keep their types."""

    @shmtel.span("a.b")
    def plain(number: int) -> str:
        return str(number)

    @shmtel.span("a.b")
    async def asynchronous(number: int) -> str:
        return str(number)

    typed: Callable[[int], str] = plain
    assert_type(typed(1), str)
    assert_type(asyncio.run(asynchronous(1)), str)


def the_switch_and_the_counts() -> None:
    """Counts are a typed dictionary."""
    shmtel.enable()
    shmtel.disable()
    assert_type(shmtel.is_enabled(), bool)
    assert_type(shmtel.stats()["committed"], int)
    assert_type(shmtel.stats()["dropped"], dict[str, int])


def correlation_ids_are_text() -> None:
    """A block gives the ID that is in force in it."""
    with shmtel.correlation("id", headers={"traceparent": "00"}) as correlation_id:
        assert_type(correlation_id, str)
    shmtel.correlation(headers=[(b"k", b"v")])
    assert_type(shmtel.get_correlation_id(), str | None)
    assert_type(shmtel.get_correlation_id("-"), str)
    assert_type(shmtel.new_correlation_id(), str)
    shmtel.reset_correlation_id(shmtel.set_correlation_id("id"))
    assert_type(shmtel.outgoing_metadata(), list[tuple[str, Any]])
    assert_type(shmtel.trace_id_of("id"), str | None)


def pools_keep_the_types_of_calls() -> None:
    """What goes in and comes out is that of the function."""

    def double(number: int) -> int:
        return 2 * number

    assert_type(shmtel.wrap(double)(1), int)
    with shmtel.ContextExecutor() as pool:
        assert_type(pool.submit(double, 1).result(), int)
        pool.submit(double, "1")  # type: ignore[arg-type]
