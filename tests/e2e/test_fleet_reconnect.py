"""Many hosts lose one hub: real channels, and the connections that they really make.

While the hub is away a listener stands in its place, which counts connections and
closes them; its backlog and its port are the kernel's, as with the hub.
"""

import asyncio
import logging
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from math import ceil
from random import Random

from shmtel.wire.codec import decode_hub_frame
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.frames import CollectorFrame, Hello, Welcome
from shmtel_collector.logs import ConditionLog
from shmtel_collector.redial import PERIOD_SECONDS, Afar
from shmtel_collector.uplink import Uplink
from support.link import untold_link

HOSTS = 100
OUTAGE_S = 3.0
PATIENCE_S = 40.0
_HUB = """
import signal, sys
from shmtel.hub import Hub
with Hub(sys.argv[1], max_collectors=200) as hub:
    print(hub.address, flush=True)
    signal.pause()
"""


class _Host:
    """A collector without rings: the real protocol, and when it began to dial."""

    def __init__(self, number: int) -> None:
        self.is_connected = False
        self.connected_s: list[float] = []
        self._hello = Hello(1, 1, "node", f"host-{number}", bytes(16), 1)
        self._protocol: CollectorProtocol | None = None

    def begin(self, now_ns: int) -> None:
        """Say hello."""
        self._protocol = CollectorProtocol(self._hello, now_ns)

    def has_outgoing(self) -> bool:
        """Say whether the hello is still here."""
        return self._protocol is not None and self._protocol.has_outgoing()

    def outgoing(self) -> list[CollectorFrame]:
        """Take what is to be sent."""
        return [] if self._protocol is None else self._protocol.outgoing()

    def receive(self, data: bytes, now_ns: int) -> bool:
        """Note a welcome."""
        frame = decode_hub_frame(data)
        assert self._protocol is not None
        self._protocol.receive(frame, now_ns)
        if isinstance(frame, Welcome):
            self.is_connected = True
            self.connected_s.append(time.monotonic())
        return False

    def is_welcome(self) -> bool:
        """Say whether the hub has accepted the stream."""
        return self.is_connected

    def end(self) -> float | None:
        """Forget the stream; this hub was killed, it could not ask for a delay."""
        self.is_connected = False
        self._protocol = None
        return None


def _start_hub(address: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HUB, address],
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",  # where no source of ours shadows the installed build
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address, "the hub did not start"
    return process, address


@asynccontextmanager
async def _dialling(address: str) -> AsyncIterator[list[_Host]]:
    """Run the uplinks of all hosts; their draws are the same in each run."""
    hosts = [_Host(number) for number in range(HOSTS)]
    log = ConditionLog(logging.getLogger("fleet"))
    tasks = []
    for number, host in enumerate(hosts):
        redial = Afar(Random(number).uniform)
        uplink = Uplink(address, host, lambda: None, redial, log, untold_link())
        tasks.append(asyncio.create_task(uplink.run()))
    try:
        yield hosts
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_all_connected(hosts: list[_Host]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not all(host.is_connected for host in hosts):
            await asyncio.sleep(0.02)


async def _count_connections(address: str, until_s: float) -> list[float]:
    """Stand in for the hub; return when connections came."""
    moments: list[float] = []

    def note(_reader: object, writer: asyncio.StreamWriter) -> None:
        moments.append(time.monotonic())
        writer.close()

    host, _, port = address.rpartition(":")
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(OSError):  # the dead hub's connections are still closing
                server = await asyncio.start_server(
                    note, host, int(port), family=socket.AF_INET, backlog=HOSTS
                )
                break
            await asyncio.sleep(0.01)
    async with server:
        await asyncio.sleep(until_s - time.monotonic())
    return moments


async def _lose_and_find_again() -> tuple[list[float], int]:
    """Return the moments of all connections since the loss, and failures at last."""
    process, address = _start_hub("127.0.0.1:0")
    try:
        async with _dialling(address) as hosts:
            await _until_all_connected(hosts)
            process.kill()
            process.communicate()
            lost_s = time.monotonic()
            moments = await _count_connections(address, lost_s + OUTAGE_S)
            process, _ = _start_hub(address)
            await _until_all_connected(hosts)
            again = [host.connected_s[-1] for host in hosts]
            connections = [moment - lost_s for moment in moments + again]
            return connections, sum(len(host.connected_s) - 2 for host in hosts)
    finally:
        process.kill()
        process.communicate()


def test_hosts_come_back_evenly() -> None:
    """No second sees twice the mean of connections, and each host comes back once."""
    connections, more = asyncio.run(_lose_and_find_again())
    per_second = Counter(map(int, connections))
    mean = len(connections) / ceil(max(connections))
    assert max(per_second.values()) <= 2 * mean, sorted(per_second.items())
    assert max(connections) < OUTAGE_S + 2 * PERIOD_SECONDS
    assert more == 0
