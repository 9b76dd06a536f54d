"""Spans around functions of every kind: generators, methods, partials, coroutines."""

import asyncio
import contextvars
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

import pytest

import shmtel
from support.own_ring import Event, OwnRing

ROOT = "0" * 16


def names(events: list[Event]) -> list[str]:
    """Return the names of events, in order."""
    return [event.name for event in events]


@shmtel.span("steps", {"kind": "generator"})
def steps(count: int) -> Generator[int, str, str]:
    """Yield numbers, emit what is sent, and return a word."""
    for index in range(count):
        sent = yield index
        shmtel.emit("step", {"index": index}, {"sent": sent})
    return "done"


def test_generator_is_a_span_from_its_first_step_to_its_end(ring: OwnRing) -> None:
    """Nothing happens before the first step; the last one ends the span."""
    generator = steps(2)
    assert ring.events() == []
    assert next(generator) == 0
    assert names(ring.events()) == ["steps.start"]
    assert generator.send("a") == 1
    with pytest.raises(StopIteration) as stop:
        generator.send("b")
    assert stop.value.value == "done"
    events = ring.events()
    assert names(events) == ["step", "step", "steps.stop"]
    assert [event.metadata for event in events[:2]] == [{"sent": "a"}, {"sent": "b"}]
    assert {event.parent_id for event in events[:2]} == {events[2].span_id}


def test_generator_keeps_what_a_generator_function_is(ring: OwnRing) -> None:
    """Its kind, name and documentation are those of the function."""
    assert inspect.isgeneratorfunction(steps)
    assert inspect.isgenerator(steps(1))
    assert steps.__name__ == "steps"


def test_consumer_is_not_inside_a_generator_s_span(ring: OwnRing) -> None:
    """Between two steps the consumer's own span is the current one."""
    with shmtel.span("consumer") as consumer:
        for index in steps(2):
            shmtel.emit("consumed", {"index": index})
            assert shmtel.current_span() is consumer
    events = ring.events()
    parents = {event.parent_id for event in events if event.name == "consumed"}
    assert parents == {consumer.span_id}
    (start,) = (event for event in events if event.name == "steps.start")
    assert start.parent_id == consumer.span_id


def test_generators_that_take_turns_are_not_each_other_s_parents(ring: OwnRing) -> None:
    """Interleaved generators are roots, and their events are their own."""
    for _ in zip(steps(3), steps(3), strict=False):
        pass
    events = ring.events()
    ends = [event for event in events if event.name.startswith("steps.")]
    assert {event.parent_id for event in ends} == {ROOT}
    inner = [event.parent_id for event in events if event.name == "step"]
    starts = [event.span_id for event in events if event.name == "steps.start"]
    assert set(inner) == set(starts)
    assert shmtel.current_span() is None


def test_generator_is_resumed_in_another_context(ring: OwnRing) -> None:
    """A step in another task is inside the span, and leaves that task as it was."""
    generator = steps(3)
    next(generator)

    async def consume() -> None:
        with shmtel.span("task") as task:
            next(generator)
            shmtel.emit("beside", {})
            assert shmtel.current_span() is task

    asyncio.run(consume())
    generator.close()
    events = {event.name: event for event in ring.events()}
    assert events["step"].parent_id == events["steps.start"].span_id
    assert events["beside"].parent_id == events["task.start"].span_id
    assert shmtel.current_span() is None


def test_early_close_ends_a_generator_s_span(ring: OwnRing) -> None:
    """A consumer that breaks off has cancelled the span."""
    generator = steps(5)
    next(generator)
    generator.close()
    end = ring.events()[-1]
    assert (end.name, end.metadata) == (
        "steps.exception",
        {
            "kind": "generator",
            "outcome": "cancelled",
            "error_type": "GeneratorExit",
            "error_message": "",
        },
    )
    generator.close()
    assert ring.events() == []


def test_generator_that_was_never_begun_has_no_span(ring: OwnRing) -> None:
    """To close a generator before its first step emits nothing."""
    steps(1).close()
    assert ring.events() == []


@shmtel.span("stubborn")
def stubborn() -> Generator[int, None, str]:
    """Answer whatever is thrown with another value, twice."""
    for index in range(2):
        try:
            yield index
        except ValueError as error:
            shmtel.emit("caught", {}, {"text": str(error)})
    return "end"


def test_thrown_exception_reaches_the_generator(ring: OwnRing) -> None:
    """What is thrown in may be caught in there, inside the span."""
    generator = stubborn()
    next(generator)
    assert generator.throw(ValueError("one")) == 1
    with pytest.raises(StopIteration, match="end"):
        generator.throw(ValueError("two"))
    events = ring.events()
    assert names(events) == ["stubborn.start", "caught", "caught", "stubborn.stop"]
    assert {event.parent_id for event in events[1:3]} == {events[0].span_id}


def test_exception_of_a_generator_ends_its_span(ring: OwnRing) -> None:
    """An error comes out as it is, and the span says so."""
    generator = stubborn()
    next(generator)
    with pytest.raises(KeyError):
        generator.throw(KeyError("no"))
    end = ring.events()[-1]
    assert end.name == "stubborn.exception"
    assert end.metadata is not None
    assert (end.metadata["outcome"], end.metadata["error_type"]) == (
        "error",
        "KeyError",
    )


def test_generator_that_refuses_to_close(ring: OwnRing) -> None:
    """Python's own complaint passes through, as the error of the span."""

    @shmtel.span("refusing")
    def refusing() -> Iterator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    generator: Any = refusing()
    next(generator)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        generator.close()
    end = ring.events()[-1]
    assert end.metadata is not None
    assert end.metadata["error_type"] == "RuntimeError"


def test_correlation_id_of_a_generator_s_span(ring: OwnRing) -> None:
    """Its steps keep the ID that it began with, whatever the consumer sets since."""

    @shmtel.span("work", None, "own")
    def work() -> Iterator[str | None]:
        while True:
            yield shmtel.get_correlation_id()

    generator = work()
    assert next(generator) == "own"
    token = shmtel.set_correlation_id("consumer")
    assert next(generator) == "own"
    assert shmtel.get_correlation_id() == "consumer"
    shmtel.reset_correlation_id(token)
    assert next(generator) == "own"


def test_correlation_id_that_a_generator_sets_for_itself(ring: OwnRing) -> None:
    """An ID that was set inside is in force inside, also after the next step."""

    @shmtel.span("work", None, "own")
    def work() -> Iterator[str | None]:
        shmtel.set_correlation_id("set inside")
        while True:
            yield shmtel.get_correlation_id()

    def consume() -> list[str | None]:
        generator = work()
        return [next(generator), next(generator)]

    found = contextvars.copy_context().run(consume)
    assert found == ["set inside", "set inside"]


@shmtel.span("ticks")
async def ticks(count: int) -> AsyncGenerator[int, str]:
    """Yield numbers with a pause, and emit what is sent."""
    for index in range(count):
        await asyncio.sleep(0)
        sent = yield index
        shmtel.emit("tick", {}, {"sent": sent})


def test_async_generator_is_a_span(ring: OwnRing) -> None:
    """Its steps are inside the span, its consumer is not."""

    async def consume() -> list[int]:
        with shmtel.span("consumer") as consumer:
            found = []
            async for index in ticks(2):
                assert shmtel.current_span() is consumer
                found.append(index)
            return found

    assert inspect.isasyncgenfunction(ticks)
    assert asyncio.run(consume()) == [0, 1]
    events = {event.name: event for event in ring.events()}
    assert events["tick"].parent_id == events["ticks.start"].span_id
    assert events["ticks.stop"].parent_id == events["consumer.start"].span_id


def test_async_generator_takes_what_is_sent_and_thrown(ring: OwnRing) -> None:
    """asend and athrow pass through, and an error ends the span."""

    async def consume() -> None:
        generator = ticks(5)
        await generator.asend(None)  # type: ignore[arg-type]
        assert await generator.asend("word") == 1
        with pytest.raises(LookupError):
            await generator.athrow(LookupError("no"))

    asyncio.run(consume())
    events = ring.events()
    assert names(events) == ["ticks.start", "tick", "ticks.exception"]
    assert events[1].metadata == {"sent": "word"}


@pytest.mark.parametrize("how", ["aclose", "abandon"])
def test_async_generator_that_is_left_early(ring: OwnRing, how: str) -> None:
    """Closed by its consumer or by the event loop, its span was cancelled."""

    async def consume() -> None:
        generator = ticks(5)
        await generator.asend(None)  # type: ignore[arg-type]
        if how == "aclose":
            await generator.aclose()

    asyncio.run(consume())
    end = ring.events()[-1]
    assert end.name == "ticks.exception"
    assert end.metadata is not None
    assert end.metadata["outcome"] == "cancelled"


def test_cancelled_async_generator(ring: OwnRing) -> None:
    """A cancellation while a step waits ends the span as cancelled."""

    @shmtel.span("waiting")
    async def waiting() -> AsyncGenerator[int, None]:
        yield 1
        await asyncio.sleep(60)

    async def consume() -> None:
        async for _ in waiting():
            pass

    async def main() -> None:
        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    end = ring.events()[-1]
    assert end.metadata is not None
    assert end.metadata["error_type"] == "asyncio.exceptions.CancelledError"
    assert end.metadata["outcome"] == "cancelled"


class Shop:
    """Methods of each kind, decorated in either order."""

    @shmtel.span("call")
    def method(self, value: int) -> tuple[object, int]:
        return self, value

    @shmtel.span("call")
    @classmethod
    def class_outside(cls, value: int) -> tuple[object, int]:
        return cls, value

    @classmethod
    @shmtel.span("call")
    def class_inside(cls, value: int) -> tuple[object, int]:
        return cls, value

    @shmtel.span("call")
    @staticmethod
    def static_outside(value: int) -> tuple[object, int]:
        return None, value

    @staticmethod
    @shmtel.span("call")
    def static_inside(value: int) -> tuple[object, int]:
        return None, value

    def __call__(self, value: int) -> tuple[object, int]:
        return self, value


class AsyncShop:
    """An object whose call is a coroutine."""

    async def __call__(self, value: int) -> int:
        await asyncio.sleep(0)
        shmtel.emit("inside", {})
        return value


SHOP = Shop()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (SHOP.method, SHOP),
        (SHOP.class_outside, Shop),
        (Shop.class_inside, Shop),
        (Shop.static_outside, None),
        (SHOP.static_inside, None),
        (shmtel.span("call")(SHOP), SHOP),
        (shmtel.span("call")(functools.partial(Shop.__call__, SHOP)), SHOP),
    ],
    ids=["method", "class-out", "class-in", "static-out", "static-in", "object",
         "partial"],
)  # fmt: skip
def test_callables_of_every_kind(
    ring: OwnRing, function: Callable[[int], Any], expected: object
) -> None:
    """Each call is a span, and gets its arguments as without one."""
    assert function(5) == (expected, 5)
    assert names(ring.events()) == ["call.start", "call.stop"]


def coroutines() -> list[Callable[[int], Any]]:
    """A coroutine function, partials of it, and an object with an async call."""

    async def function(value: int) -> int:
        return await AsyncShop()(value)

    return [function, functools.partial(function), AsyncShop()]


@pytest.mark.parametrize("function", coroutines(), ids=["async", "partial", "object"])
def test_coroutine_functions_of_every_kind(
    ring: OwnRing, function: Callable[[int], Any]
) -> None:
    """The span lasts until the coroutine has ended, not only until it is made."""
    decorated = shmtel.span("call")(function)
    assert inspect.iscoroutinefunction(decorated)
    assert asyncio.run(decorated(5)) == 5
    assert names(ring.events()) == ["call.start", "inside", "call.stop"]


def test_partial_of_a_generator_function(ring: OwnRing) -> None:
    """What a partial makes decides, not that it is one."""
    generator = shmtel.span("outer")(functools.partial(steps, 1))()
    assert list(generator) == [0]
    assert names(ring.events()) == [
        *("outer.start", "steps.start", "step", "steps.stop", "outer.stop")
    ]


@pytest.mark.parametrize("thing", [None, 5, "text", property(lambda self: 1)])
def test_what_cannot_be_called_is_refused(thing: Any) -> None:
    """A mistake in the set-up is said at once."""
    with pytest.raises(TypeError, match="can be called"):
        shmtel.span("x")(thing)
