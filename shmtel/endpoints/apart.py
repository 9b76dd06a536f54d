"""A call that takes long, beside an event loop: others are answered meanwhile.

Rules:
- its thread is a daemon, unlike those of an executor: no end waits for it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")


async def apart(call: Callable[[], _T]) -> _T:
    """Call it in a thread of its own, and return or raise what it does."""
    future: Future[_T] = Future()
    arguments = (future, call)
    Thread(target=_run, args=arguments, name="shmtel-apart", daemon=True).start()
    return await asyncio.wrap_future(future)


def _run(future: "Future[_T]", call: Callable[[], _T]) -> None:
    if not future.set_running_or_notify_cancel():
        return  # nobody waits for it any more
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
