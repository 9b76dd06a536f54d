"""Tells an exception of the program's from one of telemetry's own.

Python code of telemetry's may be interrupted anywhere by the handler of a signal,
and what that raises is for the program: the time limit of a task, for instance.
"""

from types import CodeType
from typing import Any


def is_of_handler(error: BaseException) -> bool:
    """Say whether the handler of a signal has raised an exception."""
    import signal

    handlers = {_code_of(signal.getsignal(n)) for n in signal.valid_signals()}
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False


def _code_of(handler: object) -> CodeType | None:
    function: Any = getattr(handler, "func", handler)  # of a partial
    if not hasattr(function, "__code__"):
        function = type(function).__call__
    code: CodeType | None = getattr(function, "__code__", None)  # also of a method
    return code
