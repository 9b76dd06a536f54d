"""A call that takes long, beside an event loop: others are answered meanwhile."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from shmtel import daemon_threads

_T = TypeVar("_T")


async def apart(call: Callable[[], _T]) -> _T:
    """Call it in a thread of its own, and return or raise what it does."""
    return await asyncio.wrap_future(daemon_threads.start(call, "shmtel-apart"))
