"""The uplink dials when it is to, whatever has become of the stream before."""

import asyncio
import logging

import pytest

from shmtel.wire.frames import CollectorFrame
from shmtel_collector.logs import ConditionLog
from shmtel_collector.uplink import Uplink
from support.link import untold_link

NOBODY = "127.0.0.1:1"
NOWHERE = "no-such-host.invalid:4737"


class _Peer:
    """Notes how often a stream was begun; its hub asks for some delays."""

    def __init__(self, *asked_seconds: float) -> None:
        self.begun = asyncio.Semaphore(0)
        self._asked_seconds = list(asked_seconds)

    def begin(self, now_ns: int) -> None:
        self.begun.release()

    def has_outgoing(self) -> bool:
        return False

    def outgoing(self) -> list[CollectorFrame]:
        return []

    def receive(self, data: bytes, now_ns: int) -> bool:
        return False

    def is_welcome(self) -> bool:
        return False

    def end(self) -> float | None:
        return self._asked_seconds.pop() if self._asked_seconds else None


class _Delays:
    """Gives out what it holds, and then an hour."""

    def __init__(self, *delays: float) -> None:
        self._delays = list(delays)
        self.has_run_out = asyncio.Event()

    def next_delay(self) -> float:
        if self._delays:
            return self._delays.pop()
        self.has_run_out.set()
        return 3600.0

    def welcomed(self) -> None:
        raise AssertionError("nobody has answered")

    def proven(self) -> None:
        raise AssertionError("nobody has answered")

    def slow_down(self) -> None:
        raise AssertionError("nobody has answered")


def _uplink(address: str, peer: _Peer, redial: _Delays) -> Uplink:
    log = ConditionLog(logging.getLogger("uplink"))
    return Uplink(address, peer, lambda: None, redial, log, untold_link())


async def _dial(address: str) -> None:
    peer, redial = _Peer(), _Delays(0.0, 0.0)
    task = asyncio.create_task(_uplink(address, peer, redial).run())
    async with asyncio.timeout(30):
        await redial.has_run_out.wait()
        for _ in range(3):
            await peer.begun.acquire()
    assert peer.begun.locked()  # nothing was dialled beyond that
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("address", [NOBODY, NOWHERE])
def test_each_try_waits_for_its_moment(address: str) -> None:
    """A refused connection and a name that leads nowhere are tried when it is time."""
    asyncio.run(_dial(address))


async def _postpone() -> None:
    peer, redial = _Peer(0.0), _Delays()
    task = asyncio.create_task(_uplink(NOBODY, peer, redial).run())
    async with asyncio.timeout(30):
        await redial.has_run_out.wait()
        for _ in range(2):
            await peer.begun.acquire()
    assert peer.begun.locked()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_delay_that_the_hub_has_drawn_wins() -> None:
    """It counts once, in the place of a delay of our own."""
    asyncio.run(_postpone())
