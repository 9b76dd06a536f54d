"""Where the code of a call stands: its span, its correlation ID, its trace state.

A call is begun in one place and goes on in others: in the thread that sends its
requests, in each step of a handler's generator, in a thread of gRPC's own. Each
puts the scope in force for as long as it runs, and what was there before back.

Rules: only these variables are touched, never the rest of the context, so that
code of the application sees in it what it would see without us.
"""

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, TypeVar

from shmtel import _ring
from shmtel.correlations import VARIABLES, reset

_T = TypeVar("_T")
Tokens = list[tuple[ContextVar[Any], Token[Any]]]


class Scope:
    """What was in force when it was made; may be entered by many at once."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values = [(variable, variable.get()) for variable in VARIABLES]

    def enter(self) -> Tokens:
        """Put it in force; return what `leave` needs."""
        return [(each, _ring.set_variable(each, value)) for each, value in self._values]

    def run(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call a function with the scope in force."""
        tokens = self.enter()
        try:
            return function(*arguments)
        finally:
            leave(tokens)


def leave(tokens: Tokens) -> None:
    """Put back what was in force before; in another context there is nothing to."""
    for variable, token in tokens:
        reset(variable, token)
