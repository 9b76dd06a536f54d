"""The collector as its HTTP endpoints see it.

The server has a thread of its own. What it shows is put together in the collector's
loop, between two passes, and turned into text in the server's thread.

Ready means that events are taken and accounted for. A hub is not required: without
one they wait in the rings, and an agent that is restarted for that would help nobody.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from shmtel.endpoints.exposition import READY, exposition
from shmtel.endpoints.readiness import ALIVE, Check, Readiness
from shmtel.endpoints.resources import Resource
from shmtel.errors import ShmtelError
from shmtel_collector.census import Census
from shmtel_collector.metrics import FAMILIES, samples_of

ANSWER_S = 2.0
STALLED_NS = 5_000_000_000

_T = TypeVar("_T")


class StalledError(ShmtelError):
    """The collector's loop does not go round."""


class Watched:
    """The target of the collector's endpoints.

    Args:
        last_pass_ns: by the monotonic clock.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        census: Callable[[], Census],
        last_pass_ns: Callable[[], int],
        is_connected: Callable[[], bool],
        hub: str,
        database: Path,
    ) -> None:
        self._loop = loop
        self._census = census
        self._last_pass_ns = last_pass_ns
        self._is_connected = is_connected
        self._hub = hub
        self._database = database

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return a scrape.

        Raises:
            StalledError: the loop does not answer.
        """
        samples = samples_of(await self._ask(self._census))
        samples.add(READY.name, (await self.readiness()).is_ready)
        return exposition(FAMILIES, samples, accept)

    async def readiness(self) -> Readiness:
        """Return whether events are taken and accounted for."""
        connected = "connected to" if self._is_connected() else "no stream to"
        fault = database_fault(self._database)
        return Readiness(
            [
                self._pass_check(),
                Check("state", fault is None, fault or str(self._database)),
                Check(
                    "hub",
                    self._is_connected(),
                    f"{connected} {self._hub}",
                    is_required=False,
                ),
            ]
        )

    def liveness(self) -> Readiness:
        """Return whether the loop goes round."""
        return Readiness([self._pass_check()], ALIVE)

    def resources(self) -> Sequence[Resource]:
        """Return what is told as JSON: nothing; the tools read the rings."""
        return ()

    def _pass_check(self) -> Check:
        age_ns = max(time.monotonic_ns() - self._last_pass_ns(), 0)
        return Check("pass", age_ns < STALLED_NS, f"{age_ns / 1e9:.1f} s ago")

    async def _ask(self, call: Callable[[], _T]) -> _T:
        future: Future[_T] = Future()
        try:
            self._loop.call_soon_threadsafe(_answer, call, future)
            return await asyncio.wait_for(asyncio.wrap_future(future), ANSWER_S)
        except (TimeoutError, RuntimeError) as error:
            raise StalledError("the collector does not answer") from error


def database_fault(path: Path) -> str | None:
    """Say why nothing can be written into the state database; None: it can."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("UPDATE facts SET value = value WHERE name = 'host_id'")
            database.commit()  # a full disk shows only here
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:  # somebody writes right now
            return None
        return f"{path}: {error}"
    except sqlite3.Error as error:
        return f"{path}: {error}"
    return None


def _answer(call: Callable[[], _T], future: "Future[_T]") -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except Exception as error:  # it is the asker's
        future.set_exception(error)
