"""The uplink's task ends when it is told to, whatever it does just then."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import grpc.aio
import pytest

from shmtel.wire.frames import CollectorFrame
from shmtel_collector.logs import ConditionLog
from shmtel_collector.redial import redial_of
from shmtel_collector.uplink import Uplink
from support.link import untold_link

WAIT_S = 5.0


class _Silent:
    """A peer that has nothing to say."""

    def begin(self, now_ns: int) -> None:
        pass

    def has_outgoing(self) -> bool:
        return False

    def outgoing(self) -> list[CollectorFrame]:
        return []

    def receive(self, data: bytes, now_ns: int) -> bool:
        return False

    def is_welcome(self) -> bool:
        return False

    def end(self) -> float | None:
        return None


class _Ended:
    """A channel whose one stream has ended; it is told when it is closed."""

    def __init__(self, on_closed: Callable[[], None]) -> None:
        self._on_closed = on_closed

    def stream_stream(self, _method: str) -> Callable[[], "_Ended"]:
        return lambda: self

    async def read(self) -> object:
        return grpc.aio.EOF

    def cancel(self) -> None:
        pass

    async def close(self) -> None:
        asyncio.get_running_loop().call_soon(self._on_closed)


def test_an_end_that_comes_as_the_channel_is_closed_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A collector that gives way cancels the task at that very moment."""

    async def run() -> None:
        tasks: list[asyncio.Task[None]] = []
        channel: Any = _Ended(lambda: tasks[0].cancel())
        monkeypatch.setattr(grpc.aio, "insecure_channel", lambda *_, **__: channel)
        log = ConditionLog(logging.Logger("quiet"))
        uplink = Uplink(
            *("hub:1", _Silent(), lambda: None, redial_of("hub:1"), log, untold_link())
        )
        tasks.append(asyncio.create_task(uplink.run()))
        done, _ = await asyncio.wait(tasks, timeout=WAIT_S)
        assert done

    asyncio.run(run())
