"""What a call of something gives: a value, or code that runs later.

Who wraps a call must know: code that runs later, runs when the call is over.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal

Kind = Literal["value", "coroutine", "generator", "async generator"]

_DEFERRED: tuple[tuple[Callable[[Any], bool], Kind], ...] = (
    (inspect.iscoroutinefunction, "coroutine"),
    (inspect.isgeneratorfunction, "generator"),
    (inspect.isasyncgenfunction, "async generator"),
)


def kind_of_call(function: Callable[..., Any]) -> Kind:
    """Say what a call gives, as far as it shows; objects are asked for __call__."""
    bare = _without_partial(function)
    asked = [bare]  # first: a mock, or an object marked as one, says it of itself
    if not inspect.isroutine(bare) and not inspect.isclass(bare):
        asked.append(type(bare).__call__)
    for each in asked:
        for is_kind, kind in _DEFERRED:
            if is_kind(each):
                return kind
    return "value"


def name_of_call(function: Any) -> str:
    """Return the name of what is called: of a function, or of an object's class."""
    bare = _without_partial(function)
    name = getattr(bare, "__name__", None)
    return name if isinstance(name, str) else type(bare).__name__


def is_awaitable_generator(function: Callable[..., Any]) -> bool:
    """Say whether calls give generators for `await`, as types.coroutine makes them."""
    code = getattr(_without_partial(function), "__code__", None)
    return bool(getattr(code, "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)


def _without_partial(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function
