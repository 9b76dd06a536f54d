"""The link to the hub as events of the collector's own: when it stands, and when not.

The stream is the connection here. It counts as established when a hub has accepted
it, for a hub that answers each dial with a refusal is as good as none; what was
dialled in vain is a number in the event of the one that came about.

Rules: a frame is no event, for that event would make the next frame. Nothing is
told of a link that was never established, so that a hub which stays away for days
fills no ring with it.
"""

import time
from collections.abc import Callable
from typing import Any

from shmtel.contrib.grpc.calls import (
    CLIENT,
    RECEIVED,
    SENT,
    STREAM_STREAM,
    Call,
    Observer,
)
from shmtel.contrib.grpc.connections import Connection
from shmtel.contrib.grpc.outcomes import CANCELLED, failed, of_aio_call
from shmtel.contrib.grpc.sinks import Measurements, Metadata
from shmtel_collector.journal import Journal


class JournalSink:
    """Writes events down, unless they are not to be told."""

    def __init__(self, journal: Journal, *, is_told: bool) -> None:
        self._journal = journal
        self._is_told = is_told

    def emit(self, event: str, measurements: Measurements, metadata: Metadata) -> None:
        """Write an event down."""
        if self._is_told:
            self._journal.record(event, measurements, metadata)

    def call_span(self, metadata: Metadata) -> None:
        """Return none: a call that lasts for weeks is told by its stream."""


class LinkEvents:
    """Tells what becomes of one stream after the other."""

    def __init__(
        self,
        hub: str,
        method: str,
        sink: JournalSink,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._method = method
        self._connection = Connection(hub, sink)
        self._observer = Observer(sink, CLIENT, tells_messages=False)
        self._clock = clock
        self._stream: Call | None = None

    def dialled(self) -> None:
        """A stream is being opened."""
        self._connection.attempted()

    def accepted(self) -> None:
        """The hub has accepted the stream; it may have before."""
        if self._stream is None:
            self._connection.is_up(self._clock())
            self._stream = self._observer.begin(self._method, STREAM_STREAM)

    def sent(self) -> None:
        """A frame has been written."""
        if self._stream is not None:
            self._stream.message(SENT)

    def received(self) -> None:
        """A frame has been read."""
        if self._stream is not None:
            self._stream.message(RECEIVED)

    def ended(self, call: Any, reason: str) -> None:
        """The stream is gone, or about to be given up by us."""
        if self._stream is None:
            return
        is_done = call.done()
        self._stream.over(of_aio_call(call) if is_done else failed(CANCELLED, reason))
        self._stream = None
        self._connection.is_down(self._clock(), reason)
