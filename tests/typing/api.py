"""How applications use the public names; type checkers read it, nothing runs it."""

import asyncio
from collections.abc import Callable
from typing import Any, assert_type

import shmtel
from shmtel import hooks
from shmtel.pool import RequestQueue, Ticket
from shmtel.sessions import Session
from shmtel.testing import CapturedEvent, capture


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


def executions_are_spans_that_know_their_names() -> None:
    """Bare, named or with metadata; a name alone may also be a block."""

    @shmtel.tool
    def bare(number: int) -> str:
        return str(number)

    @shmtel.call("shorten", {"unit": "word"}, "correlation")
    async def named(text: str) -> int:
        return len(text)

    @shmtel.tool(metadata={"model": "m"})
    def unnamed(number: int) -> int:
        return number

    assert_type(bare(1), str)
    assert_type(asyncio.run(named("text")), int)
    assert_type(unnamed(1), int)
    bare("text")  # type: ignore[arg-type]
    with shmtel.call("shorten") as span:
        assert_type(span, shmtel.Span)
    shmtel.tool("predict", 5)  # type: ignore[call-overload]


def hooks_are_named_by_words() -> None:
    """One or several, and none for all that are there."""
    assert_type(hooks.install("gc", "errors"), None)
    assert_type(hooks.uninstall(), None)
    hooks.install(5)  # type: ignore[arg-type]


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


class Printing:
    """A backend needs no more than this."""

    def emit(
        self,
        event_name: str,
        measurements: dict[str, int | float],
        metadata: dict[str, Any] | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Print the name."""
        print(event_name)


def anything_with_emit_is_a_backend() -> None:
    """Those of shmtel, those of users, and none."""
    shmtel.set_backend(Printing())
    shmtel.set_backend(shmtel.StderrBackend())
    shmtel.set_backend(shmtel.MemoryBackend(limit=5))
    shmtel.set_backend(shmtel.RingBackend())
    shmtel.set_backend(None)
    shmtel.set_backend(5)  # type: ignore[arg-type]
    assert_type(shmtel.RingBackend().stream.dropped_count, int)


def names_of_a_process() -> None:
    """Identity and counts are typed."""
    assert_type(shmtel.identity(), shmtel.Identity)
    assert_type(shmtel.identity().worker_index, int | None)
    assert_type(shmtel.stats()["identity"], shmtel.Identity | None)
    assert_type(shmtel.stats()["first_drop_ns"], int | None)


def a_capture_has_events() -> None:
    """Each with the fields that a test compares."""
    with capture() as captured:
        pass
    assert_type(captured.events, list[CapturedEvent])
    assert_type(captured.events[0].name, str)
    assert_type(captured.dropped, dict[str, int])


def queues_and_sessions_are_context_managers() -> None:
    """A ticket and a session give themselves."""
    with RequestQueue("render", pool="gpu").enqueued("predict") as ticket:
        assert_type(ticket, Ticket)
    with Session("session-7") as session:
        assert_type(session, Session)
        session.assign("gpu-3")
