"""Tells an exception of the program's from one of telemetry's own.

Python code of telemetry's may be interrupted anywhere by the handler of a signal,
and what that raises is for the program: the time limit of a task, for instance.

Rule: only what the program has installed is a handler. An exception is followed to
what it was raised from, since telemetry's own errors wrap those of the system.
"""

from importlib import import_module
from types import CodeType
from typing import Any

_CAUSES_MAX = 16  # foreign code may let them run in a circle


def exception_of_handler(error: BaseException) -> BaseException | None:
    """Return what the handler of a signal has raised: the error, or its cause."""
    handlers = _codes_of_handlers()
    cause: BaseException | None = error if handlers else None
    for _ in range(_CAUSES_MAX):
        if cause is None or handlers & _codes_on_the_way(cause):
            return cause
        cause = cause.__cause__
    return None


def is_of_handler(error: BaseException) -> bool:
    """Say whether the handler of a signal has raised an exception."""
    return exception_of_handler(error) is not None


def pass_on(error: BaseException) -> None:
    """Raise an error once more if a signal's handler is behind it.

    Each guard around a call of the system needs this, on the way to a ring: the
    exception of an alarm is a TimeoutError, and so an OSError.
    """
    if is_of_handler(error):
        raise error


def _codes_on_the_way(error: BaseException) -> set[CodeType]:
    codes = set()
    traceback = error.__traceback__
    while traceback is not None:
        codes.add(traceback.tb_frame.f_code)
        traceback = traceback.tb_next
    return codes


def _codes_of_handlers() -> set[CodeType]:
    # The module beneath `signal`, which makes members of an enum of the defaults.
    signals = import_module("_signal")
    handlers = (signals.getsignal(number) for number in range(1, signals.NSIG))
    codes = (_code_of(handler) for handler in handlers if callable(handler))
    return {code for code in codes if code is not None}


def _code_of(handler: Any) -> CodeType | None:
    function = getattr(handler, "func", handler)  # of a partial
    if not hasattr(function, "__code__"):
        function = type(function).__call__
    code: CodeType | None = getattr(function, "__code__", None)  # also of a method
    return code
