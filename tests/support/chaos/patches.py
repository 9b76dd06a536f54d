"""Changing a method by its name, for a program that is to fail in a certain way.

Product code has no hooks. A name that is not there any more is an error, so that
no refactoring can make a fault vanish unnoticed.
"""

import importlib
from collections.abc import Callable
from typing import Any

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


class NoSuchTarget(LookupError):
    """A name that is to be patched does not exist."""


def patch(target: str, wrap: Wrap) -> None:
    """Replace `module:function` or `module:Class.method` by what `wrap` makes of it.

    Raises:
        NoSuchTarget: there is nothing of that name, or it is inherited.
    """
    owner, name, function = find(target)
    setattr(owner, name, wrap(function))


def find(target: str) -> tuple[Any, str, Callable[..., Any]]:
    """Return what holds a function, its name there, and the function."""
    module_name, _, path = target.partition(":")
    *classes, name = path.split(".")
    try:
        owner: Any = importlib.import_module(module_name)
        for step in classes:
            owner = vars(owner)[step]
        function = vars(owner)[name]
    except (ImportError, KeyError) as error:
        raise NoSuchTarget(f"{target} does not exist: the table is out of date") from (
            error
        )
    if not callable(function):
        raise NoSuchTarget(f"{target} cannot be called")
    return owner, name, function


def before(action: Callable[..., object]) -> Wrap:
    """Make a wrapper that calls `action` with the arguments first."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def patched(*arguments: Any, **named: Any) -> Any:
            action(*arguments, **named)
            return function(*arguments, **named)

        return patched

    return wrap


def after(action: Callable[[Any], object]) -> Wrap:
    """Make a wrapper that calls `action` with the result."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def patched(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named)
            action(result)
            return result

        return patched

    return wrap
