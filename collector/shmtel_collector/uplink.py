"""The channel to the hub: dials, moves bytes, and dials again.

A reader and a writer task serve one stream; the loop that drains rings is never
made to wait for either. What is read and written is the peer's business (the
session); here it is bytes. When to dial again is decided in redial.py, unless the
hub has drawn the delay itself.

Each stream has a channel of its own, which makes one connection: a channel that
is kept goes on connecting by itself while its hub is away, at a pace of its own,
and remembers for half a minute where a name led to.

Rules: this and admin.py are the only files of the collector that know grpc.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Protocol

import grpc
import grpc.aio

from shmtel.wire.codec import encode_collector_frame
from shmtel.wire.errors import RemoteProtocolError, VersionMismatch
from shmtel.wire.frames import CollectorFrame
from shmtel_collector.link_events import LinkEvents
from shmtel_collector.logs import ConditionLog
from shmtel_collector.redial import Redial

METHOD = "/shmtel.v1.Uplink/Stream"
# Keepalive alone is no use: a frozen hub is noticed by the ping timer, whose
# default is a minute, and closing a channel waits for it too.
CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # Its probes would wake both processes once more after each heartbeat.
    ("grpc.http2.bdp_probe", 0),
    # So long may a connection take to come about; a second one is never made.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 60_000),
    ("grpc.max_reconnect_backoff_ms", 60_000),
    ("grpc.use_local_subchannel_pool", 1),
)
CLOSE_SECONDS = 0.5
CONDITION = "hub"


def keep_poller() -> None:
    """Keep the thread of grpc.aio for as long as the process lives.

    Else it ends with the last channel and server, and the loop is made to wait until
    nothing is under way any more; behind a frozen hub on a unix socket that is never.
    """
    grpc.aio.init_grpc_aio()


class Peer(Protocol):
    """Whom the uplink carries frames for."""

    def begin(self, now_ns: int) -> None:
        """A stream has been opened."""

    def has_outgoing(self) -> bool:
        """Say whether there is something to be sent."""

    def outgoing(self) -> list[CollectorFrame]:
        """Take what is to be sent."""

    def receive(self, data: bytes, now_ns: int) -> bool:
        """Act on a frame; say whether the hub acknowledged something."""

    def is_welcome(self) -> bool:
        """Say whether the hub has accepted the stream that is open."""

    def end(self) -> float | None:
        """The stream is gone; return the delay that the hub asked for, if it did."""


class Uplink:
    """Keeps one stream to the hub open."""

    def __init__(
        self,
        address: str,
        peer: Peer,
        on_received: Callable[[], None],
        redial: Redial,
        log: ConditionLog,
        events: LinkEvents,
    ) -> None:
        self._address = address
        self._events = events
        self._peer = peer
        self._on_received = on_received
        self._log = log
        self._redial = redial
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
                asked_seconds = self._redial.next_delay()
            await asyncio.sleep(asked_seconds)

    def flush(self) -> None:
        """Have the writer take the frames that there are."""
        if self._lost is not None and self._peer.has_outgoing():
            self._has_outgoing.set()
            self._is_idle.clear()

    def abort(self, reason: str) -> None:
        """Give up the stream that is open, if there is one."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)

    async def finish(self, seconds: float) -> None:
        """Wait until everything that is to be sent has been written."""
        self.flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_idle.wait()

    async def _run_stream(self) -> tuple[str, float | None]:
        channel = grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS)
        try:
            return await self._serve_stream(channel.stream_stream(METHOD)())
        finally:
            # Not wait_for(): on Python 3.11 it loses a cancellation that comes just
            # as the channel is closed, and then this task never ends.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await channel.close()

    async def _serve_stream(self, call: Any) -> tuple[str, float | None]:
        self._lost = asyncio.get_running_loop().create_future()
        reason = "given up"
        self._events.dialled()
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
            self._events.ended(call, reason)
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
                self._redial.slow_down()
            self.abort(str(error))
        except asyncio.InvalidStateError:  # a write after the call was over
            self.abort("the stream is closed")
        except Exception as error:  # a defect of ours must not end the host's telemetry
            self._log.warning(f"defect {error!r}", "the stream broke on %r", error)
            self.abort(f"given up after {error!r}")

    async def _read(self, call: Any) -> None:
        while (data := await call.read()) is not grpc.aio.EOF:
            if self._peer.receive(data, time.monotonic_ns()):
                self._redial.proven()
                self._log.cleared(CONDITION)
            if self._peer.is_welcome():
                self._redial.welcomed()
                self._events.accepted()
            self._events.received()
            self.flush()
            self._on_received()

    async def _write(self, call: Any) -> None:
        while True:
            await self._has_outgoing.wait()
            self._has_outgoing.clear()
            for frame in self._peer.outgoing():
                await call.write(encode_collector_frame(frame))
                self._events.sent()
            if not self._has_outgoing.is_set():
                self._is_idle.set()
