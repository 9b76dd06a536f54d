"""Events of errors that nobody has caught: `python.error.occurred`.

Python hands such an error to one of five functions, which a program may replace.
Each is wrapped: the error becomes an event, then the function that was there goes
on as ever, and prints its traceback. Whoever replaces one of them later, and calls
the one that he has found, calls us too.

| source | what is wrapped | errors |
|---|---|---|
| main | sys.excepthook | of the main thread, which end the program |
| thread | threading.excepthook | of a thread |
| asyncio | call_exception_handler of event loops | that no coroutine waits for |
| unraisable | sys.unraisablehook | of finalizers and call-backs |

Rules:
- the function that was there is called with what came, whatever happens here;
- what is known of an error is bounded text; nothing keeps it, or its frames;
- the names of this module may be gone when the interpreter ends: a hook has all
  that it needs for doing nothing in itself.
"""

import sys
from collections.abc import Callable
from functools import partial, update_wrapper
from types import ModuleType, TracebackType
from typing import Any

from shmtel import _ring
from shmtel.config import warn_once
from shmtel.interruptions import pass_on
from shmtel.loading import wait_no_more, when_loaded
from shmtel.outcomes import message_of, outcome_of, text_or_nothing, type_name
from shmtel.plain import plain_text

EVENT = "python.error.occurred"
MAX_PATH_LENGTH = 256  # characters
MAX_LOCATION_LENGTH = 512

_traceback_of = BaseException.__dict__["__traceback__"].__get__


def report(
    source: str,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
    message: str = "",
) -> None:
    """Emit an error, unless it is only a program's wish to end.

    Args:
        message: what is known where there is no exception.
    """
    kind = type(error) if error is not None else kind
    if kind is not None and _is_exit(kind, error):
        return
    metadata = {
        "source": source,
        "error_type": "" if kind is None else type_name(kind),
        "error_message": text_or_nothing(_message_of, (error, message)),
        "location": text_or_nothing(location_of, traceback, MAX_LOCATION_LENGTH),
    }
    _ring.emit(EVENT, {"count": 1}, metadata)


def _is_exit(kind: type[BaseException], error: BaseException | None) -> bool:
    if issubclass(kind, SystemExit | KeyboardInterrupt):
        return True
    return (
        error is not None
        and issubclass(kind, BaseExceptionGroup)
        and (text_or_nothing(outcome_of, error) == "exit")
    )


def _message_of(known: tuple[BaseException | None, str]) -> str:
    error, message = known
    return plain_text(message) if error is None else message_of(error)


def location_of(traceback: TracebackType | None) -> str:
    """Return where an error was raised: `file:line in function`; text, or none."""
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    path = code.co_filename[-MAX_PATH_LENGTH:]
    return plain_text(f"{path}:{traceback.tb_lineno} in {code.co_qualname}")


# -- what each of the functions is called with ------------------------------


def _of_main(kind: Any, error: Any, traceback: Any) -> None:
    report("main", kind, error, traceback)


def _of_thread(thread: Any) -> None:
    report("thread", thread.exc_type, thread.exc_value, thread.exc_traceback)


def _of_unraisable(raised: Any) -> None:
    report("unraisable", raised.exc_type, raised.exc_value, raised.exc_traceback)


def _of_loop(_loop: Any, context: Any) -> None:
    error = context.get("exception")
    is_error = issubclass(type(error), BaseException)
    traceback = _traceback_of(error) if is_error else None
    report("asyncio", None, error, traceback, context.get("message", ""))


_Observer = Callable[..., None]
# Module, owner in it, function, and who is told what that is called with.
_PLACES: tuple[tuple[str, str, str, _Observer], ...] = (
    ("sys", "", "excepthook", _of_main),
    ("sys", "", "unraisablehook", _of_unraisable),
    ("threading", "", "excepthook", _of_thread),
    ("asyncio.base_events", "BaseEventLoop", "call_exception_handler", _of_loop),
    ("uvloop", "Loop", "call_exception_handler", _of_loop),
)


# -- hooks ------------------------------------------------------------------


class _Hook:
    """A function that was replaced; to be put back, or else passed through."""

    def __init__(self, owner: Any, name: str, observe: _Observer) -> None:
        self._owner, self._name = owner, name
        self._is_inherited = name not in vars(owner)
        self._former = getattr(owner, name)
        self._is_on = [True]
        self._function = _around(self._former, observe, self._is_on)
        setattr(owner, name, self._function)

    def remove(self) -> None:
        """Tell nobody any more; put the former back unless somebody came since."""
        self._is_on.clear()
        if vars(self._owner).get(self._name) is not self._function:
            return
        if self._is_inherited:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._former)


def _around(
    former: Callable[..., Any], observe: _Observer, is_on: list[bool]
) -> Callable[..., Any]:
    is_finalizing, if_interrupted = sys.is_finalizing, pass_on

    def hook(*arguments: Any) -> Any:
        try:
            if is_on:
                observe(*arguments)
        except Exception as failure:
            if not is_finalizing():
                if_interrupted(failure)
        finally:
            result = former(*arguments)
        return result

    return update_wrapper(hook, former)


_hooks: list[_Hook] = []


def _replace(owner: str, name: str, observe: _Observer, module: ModuleType) -> None:
    try:
        holder = getattr(module, owner, None) if owner else module
        if callable(getattr(holder, name, None)):
            _hooks.append(_Hook(holder, name, observe))
    except Exception as error:  # of a class that lets nobody replace its functions
        pass_on(error)
        warn_once(f"errors are not told where {module.__name__} meets them: {error}")


def install() -> None:
    """Replace the functions, of modules that are not loaded yet when they are."""
    if _hooks:
        return
    for module, owner, name, observe in _PLACES:
        when_loaded(module, partial(_replace, owner, name, observe))


def uninstall() -> None:
    """Put back what was there, where nobody else has come since."""
    wait_no_more()
    while _hooks:
        _hooks.pop().remove()
