"""How applications use the public names; type checkers read it, nothing runs it."""

import asyncio
from collections.abc import Callable
from typing import assert_type

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
