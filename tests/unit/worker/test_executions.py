"""Calls and tools: spans that carry the name of what they execute."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import shmtel
from support.own_ring import OwnRing


def plain(number: int, *, by: int = 1) -> int:
    """A function."""
    return number * by


async def waiting(number: int) -> int:
    """A coroutine function."""
    await asyncio.sleep(0)
    return number


def steps(number: int) -> Iterator[int]:
    """A generator function."""
    yield number


async def ticks(number: int) -> AsyncIterator[int]:
    """An asynchronous generator function."""
    yield number


class Shop:
    """Methods of each kind."""

    @shmtel.tool
    def method(self, number: int) -> int:
        return number

    @shmtel.tool
    @classmethod
    def of_class(cls, number: int) -> int:
        return number

    @staticmethod
    @shmtel.tool
    def static(number: int) -> int:
        return number

    def __call__(self, number: int) -> int:
        return number


async def taken(generator: AsyncIterator[int]) -> int:
    """Return all that there is of an asynchronous generator, which is one number."""
    (number,) = [each async for each in generator]
    return number


RUNS: dict[Callable[..., Any], Callable[[Any], int]] = {
    plain: lambda result: result,
    waiting: asyncio.run,
    steps: sum,
    ticks: lambda generator: asyncio.run(taken(generator)),
}


@pytest.mark.parametrize("function", RUNS)
def test_decorated_function_gives_its_name(
    ring: OwnRing, function: Callable[..., Any]
) -> None:
    """Its kind, its signature and what it does stay; start and end carry its name."""
    decorated = shmtel.call(function)
    assert RUNS[function](decorated(5)) == 5
    start, stop = ring.events()
    assert (start.name, stop.name) == ("python.call.start", "python.call.stop")
    assert start.metadata == stop.metadata == {"command": function.__name__}
    assert start.span_id == stop.span_id
    assert decorated.__name__ == function.__name__
    assert decorated.__doc__ == function.__doc__
    assert inspect.signature(decorated) == inspect.signature(function)
    for kind in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    ):
        assert kind(decorated) == kind(function)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Shop().method, "method"),
        (Shop.of_class, "of_class"),
        (Shop.static, "static"),
        (shmtel.tool(Shop()), "Shop"),
        (shmtel.tool(functools.partial(plain, by=1)), "plain"),
        (shmtel.tool(int), "int"),
        (shmtel.tool("given")(plain), "given"),
        (shmtel.tool()(plain), "plain"),
    ],
)
def test_name_of_a_tool(
    ring: OwnRing, function: Callable[[int], int], name: str
) -> None:
    """That of the function, of an object's class, or the one that is given."""
    assert function(5) == 5
    assert [(event.name, event.metadata) for event in ring.events()] == [
        ("tool.execution.start", {"tool": name}),
        ("tool.execution.stop", {"tool": name}),
    ]


def test_block_and_metadata(ring: OwnRing) -> None:
    """A name alone times a block; metadata and correlation ID are those of spans."""
    metadata = {"model": "m", "tool": "is named otherwise"}
    with shmtel.tool("predict", metadata, "order-1") as span:
        span.set("rows", 5)
    shmtel.tool(metadata=metadata, correlation_id="order-1")(plain)(1)
    assert metadata == {"model": "m", "tool": "is named otherwise"}
    events = ring.events()
    assert {event.correlation_id for event in events} == {"order-1"}
    assert [event.metadata for event in events] == [
        {"model": "m", "tool": "predict"},
        {"model": "m", "tool": "predict", "rows": 5},
        {"model": "m", "tool": "plain"},
        {"model": "m", "tool": "plain"},
    ]


def test_exception_says_what_it_was(ring: OwnRing) -> None:
    """Its end has the name too, and the type and the text of the error."""
    with pytest.raises(ZeroDivisionError):
        shmtel.call(lambda: 1 / 0)()
    end = ring.events()[-1]
    assert end.name == "python.call.exception"
    assert end.measurements.keys() == {"duration"}
    assert end.metadata == {
        "command": "<lambda>",
        "outcome": "error",
        "error_type": "ZeroDivisionError",
        "error_message": "division by zero",
    }


@pytest.mark.parametrize("metadata", [5, [1], {5: 1}.keys()])
def test_metadata_that_is_none_is_counted(ring: OwnRing, metadata: Any) -> None:
    """As for any span: the block runs, and its events are invalid."""
    before = shmtel.stats()["dropped"]["invalid"]
    with shmtel.tool("predict", metadata):
        pass
    assert ring.events() == []
    assert shmtel.stats()["dropped"]["invalid"] == before + 2


def test_what_cannot_be_called_is_refused() -> None:
    """A mistake in the set-up is said at once."""
    thing: Any = 5
    with pytest.raises(TypeError, match="can be called"):
        shmtel.call()(thing)
