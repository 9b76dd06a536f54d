"""Whoever follows the state of a channel, until told to stop."""

import asyncio
import contextlib
from threading import Lock
from time import monotonic_ns
from types import TracebackType
from typing import Any

import grpc

from shmtel.contrib.grpc.connections import Connection, follow

CLOSED = "closed"


class Watch:
    """Follows a synchronous channel, in a thread that gRPC keeps for that."""

    def __init__(self, channel: Any, connection: Connection) -> None:
        self._channel = channel
        self._connection = connection
        self._lock = Lock()  # between gRPC's thread and who closes
        self._is_closed = False
        channel.subscribe(self._note)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Follow it no more; a connection that stands is lost to who watches."""
        self._channel.unsubscribe(self._note)
        with self._lock:
            self._is_closed = True
            self._connection.is_down(monotonic_ns(), CLOSED)

    def _note(self, state: grpc.ChannelConnectivity) -> None:
        with self._lock:
            if not self._is_closed:
                follow(self._connection, state, monotonic_ns())


class AioWatch:
    """Follows a channel of grpc.aio, in a task of the running loop."""

    def __init__(self, channel: Any, connection: Connection) -> None:
        self._connection = connection
        self._task = asyncio.create_task(_watch(channel, connection))

    async def __aenter__(self) -> "AioWatch":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Follow it no more; a connection that stands is lost to who watches."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._connection.is_down(monotonic_ns(), CLOSED)


async def _watch(channel: Any, connection: Connection) -> None:
    while True:
        state = channel.get_state()
        follow(connection, state, monotonic_ns())
        if state is grpc.ChannelConnectivity.SHUTDOWN:
            return
        try:
            await channel.wait_for_state_change(state)
        except grpc.aio.UsageError:  # it has been closed meanwhile
            connection.is_down(monotonic_ns(), CLOSED)
            return
