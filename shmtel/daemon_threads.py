"""Calls in threads that the end of a process does not wait for.

An executor's threads are joined when the interpreter ends, so one that hangs in the
kernel, or in a handler, would keep the process from ending.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")


def start(call: Callable[[], _T], name: str) -> Future[_T]:
    """Run a call in a thread of its own; its result goes into the future.

    Raises:
        RuntimeError: the system has no room for one more thread.
    """
    future: Future[_T] = Future()
    Thread(target=_run, args=(future, call), name=name, daemon=True).start()
    return future


def _run(future: "Future[_T]", call: Callable[[], _T]) -> None:
    if not future.set_running_or_notify_cancel():
        return  # nobody waits for it any more
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
