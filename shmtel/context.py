"""The caller's context in other threads.

`asyncio.to_thread` carries it, a ThreadPoolExecutor does not: without these two,
what runs in a pool has neither the correlation ID nor the span of who asked.
"""

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from shmtel.callables import kind_of_call

_P = ParamSpec("_P")
_T = TypeVar("_T")


def wrap(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return the function bound to the context of this moment.

    Each call runs in a copy of its own, so calls may overlap, and what one sets
    stays in it.

    Raises:
        TypeError: a call would only make a coroutine or generator, whose code
            runs later and elsewhere.
    """
    if kind_of_call(function) != "value":
        raise TypeError("wrap() binds plain functions; a task has a context")
    context = copy_context()

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return context.copy().run(function, *args, **kwargs)

    return run


class ContextExecutor(ThreadPoolExecutor):
    """A pool of threads that runs each call in the context of its caller."""

    def submit(
        self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Schedule a call; also what `map` is made of."""
        run: Any = copy_context().run
        future: Future[_T] = super().submit(run, fn, *args, **kwargs)
        return future
