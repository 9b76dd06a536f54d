"""Calls that take long, beside an event loop: others are answered meanwhile."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from shmtel import daemon_threads
from shmtel.errors import ShmtelError

_T = TypeVar("_T")


class BusyError(ShmtelError):
    """As many calls as there may be are on their way."""


class FewApart:
    """Calls apart of which there are only so many at once: each costs its memory.

    Args:
        calls_max: at once; one more is refused and does not wait.
    """

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._calls = 0  # known to the loop's thread alone

    async def run(self, call: Callable[[], _T]) -> _T:
        """Call it in a thread of its own, and return or raise what it does.

        Raises:
            BusyError: there are enough of them already.
        """
        if self._calls >= self._calls_max:
            raise BusyError(f"{self._calls_max} questions are being answered already")
        self._calls += 1
        try:
            return await apart(call)
        finally:
            self._calls -= 1


async def apart(call: Callable[[], _T]) -> _T:
    """Call it in a thread of its own, and return or raise what it does."""
    return await asyncio.wrap_future(daemon_threads.start(call, "shmtel-apart"))
