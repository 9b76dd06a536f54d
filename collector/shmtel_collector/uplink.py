"""The channel to the hub: dials, moves bytes, and dials again.

A reader and a writer task serve one stream; the loop that drains rings is never
made to wait for either. What is read and written is the peer's business (the
session); here it is bytes.

Reconnecting waits a time drawn from the whole range up to a cap that doubles
with each failure ("full jitter"), so that many hosts do not come back in step.
The cap falls back only when a hub has acknowledged something: one that dies
right after each handshake must not be hammered. One that speaks another version
of the protocol will do so for long: the cap is at its largest at once. A hub that
asked to be dialled again later has drawn the delay itself.

Rules: this and admin.py are the only files of the collector that know grpc.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Any, Protocol

import grpc
import grpc.aio

from shmtel.wire.codec import encode_collector_frame
from shmtel.wire.errors import RemoteProtocolError, VersionMismatch
from shmtel.wire.frames import CollectorFrame
from shmtel_collector.logs import ConditionLog

METHOD = "/shmtel.v1.Uplink/Stream"
# Keepalive alone is no use: a frozen hub is noticed by the ping timer, whose
# default is a minute, and closing a channel waits for it too.
CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
FIRST_CAP_SECONDS = 0.1
LAST_CAP_SECONDS = 5.0
CONDITION = "hub"


class Peer(Protocol):
    """Whom the uplink carries frames for."""

    def begin(self, now_ns: int) -> None:
        """A stream has been opened."""

    def outgoing(self) -> list[CollectorFrame]:
        """Take what is to be sent."""

    def receive(self, data: bytes, now_ns: int) -> bool:
        """Act on a frame; say whether the hub acknowledged something."""

    def end(self) -> float | None:
        """The stream is gone; return the delay that the hub asked for, if it did."""


class Backoff:
    """Draws the delay before the next attempt."""

    def __init__(self, draw: Callable[[float, float], float] = random.uniform) -> None:
        self._draw = draw
        self._cap_seconds = FIRST_CAP_SECONDS

    def next_delay(self) -> float:
        """Return how long to wait now, in seconds; the next may be longer."""
        delay = self._draw(0.0, self._cap_seconds)
        self._cap_seconds = min(self._cap_seconds * 2.0, LAST_CAP_SECONDS)
        return delay

    def slow_down(self) -> None:
        """Expect no better for long."""
        self._cap_seconds = LAST_CAP_SECONDS

    def reset(self) -> None:
        """Begin anew: the other side has proven that it works."""
        self._cap_seconds = FIRST_CAP_SECONDS


class Uplink:
    """Keeps one stream to the hub open."""

    def __init__(
        self,
        address: str,
        peer: Peer,
        on_received: Callable[[], None],
        log: ConditionLog,
    ) -> None:
        self._address = address
        self._peer = peer
        self._on_received = on_received
        self._log = log
        self._backoff = Backoff()
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._stream: Any = self._channel.stream_stream(METHOD)
        self._has_outgoing = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._lost: asyncio.Future[str] | None = None

    async def run(self) -> None:
        """Open one stream after the other, until cancelled."""
        while True:
            reason, asked_seconds = await self._run_stream()
            self._log.warning(CONDITION, "hub %s: %s", self._address, reason)
            if asked_seconds is None:
                asked_seconds = self._backoff.next_delay()
            await asyncio.sleep(asked_seconds)

    def flush(self) -> None:
        """Have the writer look for frames."""
        self._has_outgoing.set()
        if self._lost is not None:
            self._is_idle.clear()

    def abort(self, reason: str) -> None:
        """Give up the stream that is open, if there is one."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)

    async def finish(self, seconds: float) -> None:
        """Wait until everything that is to be sent has been written."""
        self.flush()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_idle.wait(), seconds)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def _run_stream(self) -> tuple[str, float | None]:
        self._lost = asyncio.get_running_loop().create_future()
        call = self._stream()
        self._peer.begin(time.monotonic_ns())
        self.flush()
        tasks = [
            asyncio.create_task(self._serve(serve, call))
            for serve in (self._read, self._write)
        ]
        try:
            reason = await self._lost
        finally:
            self._lost = None
            self._is_idle.set()
            call.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            asked_seconds = self._peer.end()
        return reason, asked_seconds

    async def _serve(self, serve: Callable[[Any], Any], call: Any) -> None:
        """Run one direction of the stream, and say why it ended."""
        try:
            await serve(call)
            self.abort("the stream has ended")
        except grpc.aio.AioRpcError as error:
            self.abort(f"{error.code().name}: {error.details()}")
        except RemoteProtocolError as error:
            if isinstance(error, VersionMismatch):
                self._backoff.slow_down()
            self.abort(str(error))
        except asyncio.InvalidStateError:  # a write after the call was over
            self.abort("the stream is closed")
        except Exception as error:  # a defect of ours must not end the host's telemetry
            self._log.warning(f"defect {error!r}", "the stream broke on %r", error)
            self.abort(f"given up after {error!r}")

    async def _read(self, call: Any) -> None:
        while (data := await call.read()) is not grpc.aio.EOF:
            if self._peer.receive(data, time.monotonic_ns()):
                self._backoff.reset()
                self._log.cleared(CONDITION)
            self.flush()
            self._on_received()

    async def _write(self, call: Any) -> None:
        while True:
            await self._has_outgoing.wait()
            self._has_outgoing.clear()
            for frame in self._peer.outgoing():
                await call.write(encode_collector_frame(frame))
            if not self._has_outgoing.is_set():
                self._is_idle.set()
