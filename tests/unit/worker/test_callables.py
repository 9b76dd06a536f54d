"""What is told of a callable before it is called, and what spans make of it."""

import asyncio
import functools
import inspect
import types
from collections.abc import Callable, Generator
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

import shmtel
from shmtel.callables import kind_of_call
from support.own_ring import OwnRing


class AsyncCall:
    """An object whose call is a coroutine."""

    async def __call__(self) -> str | None:
        return shmtel.get_correlation_id()


def generator() -> Generator[int, None, None]:
    """A generator function."""
    yield 1


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (len, "value"),
        (int, "value"),
        (AsyncCall, "value"),
        (MagicMock(), "value"),
        (AsyncCall(), "coroutine"),
        (AsyncCall().__call__, "coroutine"),
        (AsyncMock(), "coroutine"),
        (functools.partial(functools.partial(AsyncCall())), "coroutine"),
        (generator, "generator"),
        (functools.partial(generator), "generator"),
    ],
    ids=range(10),
)
def test_kind_of_a_call(function: Callable[..., Any], kind: str) -> None:
    """Objects and partials are of the kind of what they call."""
    assert kind_of_call(function) == kind


def test_mock_of_a_coroutine_function(ring: OwnRing) -> None:
    """The span of a mock lasts until its coroutine has ended."""
    decorated = shmtel.span("call")(AsyncMock(side_effect=LookupError))
    with pytest.raises(LookupError):
        asyncio.run(decorated())
    assert [event.name for event in ring.events()] == ["call.start", "call.exception"]


def test_generator_that_can_be_awaited(ring: OwnRing) -> None:
    """A coroutine of the old kind is one with a span too."""

    @shmtel.span("old")
    @types.coroutine
    def old() -> Generator[None, None, int]:
        yield
        shmtel.emit("inside", {})
        return 3

    async def main() -> int:
        return await old()

    assert asyncio.run(main()) == 3
    assert [event.name for event in ring.events()] == [
        *("old.start", "inside", "old.stop")
    ]


def test_plain_generator_cannot_be_awaited() -> None:
    """A span does not make a coroutine of what was none."""
    decorated: Any = shmtel.span("call")(generator)
    assert inspect.isgeneratorfunction(decorated)

    async def main() -> None:
        await decorated()

    with pytest.raises(TypeError, match="await"):
        asyncio.run(main())


def test_wrap_refuses_objects_with_a_deferred_call() -> None:
    """Their code would run without the context, and nobody would notice."""
    with pytest.raises(TypeError, match="plain functions"):
        shmtel.wrap(AsyncCall())
