"""Connections of channels as events: by arithmetic, and behind real servers."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from shmtel.contrib.grpc import watch_aio_connection, watch_connection
from shmtel.contrib.grpc.connections import Connection, follow
from shmtel.contrib.grpc.sinks import Measurements, Metadata
from shmtel.testing import Capture, capture
from support.processes import wait_until

STATES = {state.name: state for state in grpc.ChannelConnectivity}
PATIENCE_S = 20.0
QUICKLY = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 50),
)


ESTABLISHED = "grpc.connection.established"
LOST = "grpc.connection.lost"
RECONNECTED = "grpc.connection.reconnected"


class Noted:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, event: str, measurements: Measurements, metadata: Metadata) -> None:
        self.events.append((event, {**measurements, **metadata}))

    def call_span(self, metadata: Metadata) -> None:
        raise AssertionError("a connection is no call")


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("IDLE CONNECTING TRANSIENT_FAILURE CONNECTING TRANSIENT_FAILURE", []),
        ("READY READY", [(ESTABLISHED, {"attempts": 1})]),
        (
            "IDLE CONNECTING TRANSIENT_FAILURE CONNECTING READY",
            [(ESTABLISHED, {"attempts": 2})],
        ),
        (
            "CONNECTING READY IDLE CONNECTING TRANSIENT_FAILURE CONNECTING READY",
            [
                (ESTABLISHED, {"attempts": 1}),
                (LOST, {"uptime": 1, "reason": "idle"}),
                (RECONNECTED, {"downtime": 4, "attempts": 2}),
            ],
        ),
        (
            "READY SHUTDOWN SHUTDOWN",
            [
                (ESTABLISHED, {"attempts": 1}),
                (LOST, {"uptime": 1, "reason": "shutdown"}),
            ],
        ),
    ],
)
def test_states_become_events(
    states: str, expected: list[tuple[str, dict[str, Any]]]
) -> None:
    """Only what comes and goes is told, with the time between, a ns for each state."""
    noted = Noted()
    connection = Connection("shop:1", noted)
    for now_ns, state in enumerate(states.split()):
        follow(connection, STATES[state], now_ns)
    assert noted.events == [
        (name, {**more, "target": "shop:1"}) for name, more in expected
    ]


class Server:
    """A server without a service, again and again at one address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._pool = ThreadPoolExecutor(1)

    def start(self) -> grpc.Server:
        server = grpc.server(self._pool)
        server.add_insecure_port(self.address)
        server.start()
        return server


def _names(captured: Capture) -> list[str]:
    return [event.name for event in list(captured.events)]


def _until(captured: Capture, name: str, act: Callable[[], object]) -> None:
    """Do something until an event has come that it leads to."""

    def has_come() -> bool:
        act()
        return name in _names(captured)

    wait_until(has_come, PATIENCE_S)


def _check(captured: Capture, target: str) -> None:
    established, lost, again, closed = captured.events
    assert _names(captured) == [ESTABLISHED, LOST, RECONNECTED, LOST]
    assert {event.metadata["target"] for event in captured.events} == {target}
    assert established.measurements["attempts"] == 1
    assert lost.measurements["uptime"] > 0
    assert lost.metadata["reason"] == "idle"
    assert again.measurements["downtime"] > 0
    assert again.measurements["attempts"] >= 1
    assert closed.metadata["reason"] == "closed"


def test_connection_of_a_channel(tmp_path: Path) -> None:
    """A server comes, goes and comes again; then nobody watches any more."""
    address = f"unix:{tmp_path}/s"
    server = Server(address)
    first = server.start()
    with capture() as captured, grpc.insecure_channel(address, QUICKLY) as channel:
        with watch_connection(channel, "shop"):
            assert _names(captured) == []  # watching makes no connection
            channel.subscribe(lambda _: None, try_to_connect=True)
            _until(captured, ESTABLISHED, lambda: None)
            first.stop(None).wait()
            _until(captured, LOST, lambda: None)
            second = server.start()
            method = channel.unary_unary("/shop/none")
            _until(captured, RECONNECTED, lambda: method.future(b"").exception())
        second.stop(None).wait()
    _check(captured, "shop")


def test_connection_of_a_channel_of_aio(tmp_path: Path) -> None:
    """The same in an event loop."""
    address = f"unix:{tmp_path}/s"

    async def until(captured: Capture, name: str, channel: Any = None) -> None:
        while name not in _names(captured):
            if channel is not None:
                channel.get_state(try_to_connect=True)
            await asyncio.sleep(0.005)

    async def run(captured: Capture) -> None:
        first = Server(address).start()
        async with (
            asyncio.timeout(PATIENCE_S),
            grpc.aio.insecure_channel(address, options=QUICKLY) as channel,
            watch_aio_connection(channel, "shop"),
        ):
            await until(captured, ESTABLISHED, channel)
            await asyncio.to_thread(first.stop(None).wait)
            await until(captured, LOST)
            second = Server(address).start()
            await until(captured, RECONNECTED, channel)
        await asyncio.to_thread(second.stop(None).wait)

    with capture() as captured:
        asyncio.run(run(captured))
    _check(captured, "shop")


def test_channel_of_aio_may_be_closed_first(tmp_path: Path) -> None:
    """The watch ends with it, and nothing is told twice."""
    address = f"unix:{tmp_path}/s"

    async def run(captured: Capture) -> None:
        server = Server(address).start()
        channel = grpc.aio.insecure_channel(address)
        watch = watch_aio_connection(channel, "shop")
        async with asyncio.timeout(PATIENCE_S):
            await channel.channel_ready()
            while not captured.events:
                await asyncio.sleep(0.005)
            await channel.close()
            while len(captured.events) < 2:
                await asyncio.sleep(0.005)
            await watch.close()
            await asyncio.to_thread(server.stop(None).wait)

    with capture() as captured:
        asyncio.run(run(captured))
    assert _names(captured) == [ESTABLISHED, LOST]
