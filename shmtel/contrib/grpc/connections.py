"""A connection as its events: established, lost, reconnected.

A channel makes connections when it needs them, and makes them anew. Its state is
followed here; who follows is told of each change, and the rest is arithmetic.

    IDLE - CONNECTING - READY - IDLE (the server went), TRANSIENT_FAILURE, SHUTDOWN

Rules: `Connection` knows neither channels nor clocks. It is told by one at a time.
"""

from typing import Any

from shmtel.contrib.grpc.sinks import Sink

ESTABLISHED, LOST, RECONNECTED = (
    "grpc.connection.established",
    "grpc.connection.lost",
    "grpc.connection.reconnected",
)


class Connection:
    """Where a connection to one target stands."""

    def __init__(self, target: str, sink: Sink) -> None:
        self._about = {"target": target}
        self._sink = sink
        self._attempts = 0
        self._up_ns: int | None = None
        self._down_ns: int | None = None  # since when it is lost

    def attempted(self) -> None:
        """Note that somebody has begun to connect."""
        self._attempts += 1

    def is_up(self, now_ns: int) -> None:
        """Note that it is there; it may have been before."""
        if self._up_ns is not None:
            return
        attempts = {"attempts": max(self._attempts, 1)}
        if self._down_ns is None:
            self._sink.emit(ESTABLISHED, attempts, self._about)
        else:
            downtime = {"downtime": now_ns - self._down_ns}
            self._sink.emit(RECONNECTED, downtime | attempts, self._about)
        self._up_ns, self._down_ns, self._attempts = now_ns, None, 0

    def is_down(self, now_ns: int, reason: str) -> None:
        """Note that it is not there; it may not have been before either."""
        if self._up_ns is None:
            return
        uptime = {"uptime": now_ns - self._up_ns}
        self._sink.emit(LOST, uptime, {**self._about, "reason": reason})
        self._up_ns, self._down_ns = None, now_ns


def follow(connection: Connection, state: Any, now_ns: int) -> None:
    """Note the state of a channel, a `grpc.ChannelConnectivity`."""
    if state.name == "CONNECTING":
        connection.attempted()
    if state.name == "READY":
        connection.is_up(now_ns)
    else:
        connection.is_down(now_ns, state.name.lower())
