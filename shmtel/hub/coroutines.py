"""Handlers that are coroutine functions: an event loop of its own for each.

The loop runs for as long as the handler is attached, in a thread of its own, so that
what a handler has started goes on between two calls. The thread of the handler's queue
calls it and waits for each call, so order and acknowledgement are those of any other.

Rules:
- whatever a call raises is raised to who called, and never ends the loop.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any


def is_coroutine_function(function: Callable[..., object]) -> bool:
    """Tell whether a call of it has to be awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


class AwaitedFunction:
    """Calls a coroutine function, and returns when its coroutine has."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, *arguments: object) -> None:
        """Call it, by one thread at a time."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(
                target=_run, args=(self._loop,), name=self._name, daemon=True
            ).start()
        call = self._call(arguments)
        error = asyncio.run_coroutine_threadsafe(call, self._loop).result()
        if error is not None:
            raise error

    def close(self) -> None:
        """End the loop, and what was started in it; there are no calls any more."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    async def _call(self, arguments: tuple[object, ...]) -> BaseException | None:
        """Return what it raised: raised here, a SystemExit would end the loop."""
        try:
            await self._function(*arguments)
        except BaseException as error:
            return error
        return None


def _run(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()
