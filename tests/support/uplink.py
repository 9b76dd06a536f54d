"""A scripted collector: the real protocol over a real gRPC channel.

It holds no rings. A test says what is opened and sent, and waits for what the
hub makes of it.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import grpc
import msgspec

from shmtel.wire.codec import decode_hub_frame, encode_collector_frame
from shmtel.wire.collector_events import Acked, Event, Resumed, Welcomed
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.frames import (
    Hello,
    HubFrame,
    RingClosed,
    Segment,
    SegmentCount,
    Worker,
)

_T = TypeVar("_T")
STREAM = "/shmtel.v1.Uplink/Stream"
WORKER = Worker(worker_id="w-1", pool_name="pool", service="svc", pid=42)
WAIT_S = 10.0


def make_hello(
    host_id: str = "host-1", epoch: int = 1, instance: bytes = b"i" * 16
) -> Hello:
    """Return a hello of the only version there is."""
    return Hello(1, 1, f"node-of-{host_id}", host_id, instance, epoch, namespace="ns")


def make_event(seq: int, event_id: int = 0, **fields: object) -> list[object]:
    """Return the eight fields of a record."""
    record: dict[str, object] = {
        "timestamp_ns": 1_700_000_000_000_000_000 + seq,
        "threshold": 0,
        "correlation_id": None,
        "measurements": {"value": seq},
        "metadata": None,
        "span": None,
    }
    record |= fields
    return [event_id, seq, *record.values()]


def pack(events: Sequence[object]) -> bytes:
    """Encode records as a segment carries them: one array32."""
    return b"\xdd" + len(events).to_bytes(4) + b"".join(map(_encode, events))


_encode = msgspec.msgpack.Encoder().encode


def make_segment(
    before: int,
    last: int,
    ring: int = 1,
    counts: Mapping[int, int] | None = None,
    **fields: object,
) -> Segment:
    """Return a segment of plain events; the last of them may be counted away."""
    counted = tuple(SegmentCount(0, k, n) for k, n in (counts or {}).items())
    delivered = last - before - sum(count.events for count in counted)
    events = [make_event(before + 1 + i, **fields) for i in range(delivered)]
    return Segment(ring, before, last, delivered, pack(events), counted)


class ScriptedCollector:
    """One stream to a hub."""

    def __init__(self, address: str, hello: Hello | None = None) -> None:
        self.protocol = CollectorProtocol(hello or make_hello(), time.monotonic_ns())
        self.events: list[Event] = []
        self.frames: list[HubFrame] = []
        self.is_over = False
        self.code: grpc.StatusCode | None = None
        self.details = ""
        self._changed = threading.Condition()
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(
            address, options=[("grpc.use_local_subchannel_pool", 1)]
        )
        self._call = self._channel.stream_stream(STREAM)(self._requests())
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.flush()

    # -- what a test does ------------------------------------------------------

    def flush(self) -> None:
        """Send what the protocol has to say."""
        with self._changed:
            for frame in self.protocol.outgoing():
                self._outgoing.put(encode_collector_frame(frame))

    def send_raw(self, data: bytes) -> None:
        """Send bytes past the protocol."""
        self._outgoing.put(data)

    def open(
        self,
        ring_id: bytes = b"r" * 16,
        settled_seq: int = 0,
        names: Sequence[str] = ("a.b",),
        worker: Worker = WORKER,
    ) -> int:
        """Open a ring and wait for its resume point."""
        ring = self.announce(ring_id, settled_seq, names, worker)
        self.wait_resumed(ring)
        return ring

    def announce(
        self,
        ring_id: bytes = b"r" * 16,
        settled_seq: int = 0,
        names: Sequence[str] = ("a.b",),
        worker: Worker = WORKER,
    ) -> int:
        """Open a ring and wait for nothing."""
        totals = {0: settled_seq} if settled_seq else {}
        with self._changed:
            ring = self.protocol.open_ring(ring_id, worker, settled_seq, totals)
            self.protocol.add_names(ring, 0, names)
        self.flush()
        return ring

    def wait_resumed(self, ring: int) -> Resumed:
        """Wait for the resume point of a ring."""
        self.wait_for(lambda: any(e.ring == ring for e in self.of(Resumed)))
        return next(event for event in self.of(Resumed) if event.ring == ring)

    def frames_of(self, kind: type[_T]) -> list[_T]:
        """Return the frames of a kind that came so far."""
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def send(self, *segments: Segment, closed: Sequence[RingClosed] = ()) -> int:
        """Send a batch and return its number."""
        with self._changed:
            number = self.protocol.send_batch(segments, closed)
        self.flush()
        return number

    def wait_acked(self, batch_seq: int) -> None:
        """Wait until a batch is acknowledged."""
        self.wait_for(lambda: len(self.of(Acked)) >= batch_seq)

    def wait_welcome(self) -> None:
        """Wait until the hub has accepted the stream."""
        self.wait_for(lambda: bool(self.of(Welcomed)))

    def of(self, kind: type[_T]) -> list[_T]:
        """Return the events of a kind that came so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds that depends on events or the end."""
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S), self.events

    def wait_over(self) -> None:
        """Wait until the hub or the transport has ended the stream."""
        self.wait_for(lambda: self.is_over)

    def cut(self) -> None:
        """Break the connection without a word."""
        self._channel.close()
        self._outgoing.put(None)
        self._thread.join(WAIT_S)

    def close(self) -> None:
        """Say bye and wait for the end."""
        with self._changed:
            self.protocol.bye("done")
        self.flush()
        self._outgoing.put(None)
        self.wait_over()
        self.cut()

    # -- the stream ------------------------------------------------------------

    def _requests(self) -> Iterator[bytes]:
        while (data := self._outgoing.get()) is not None:
            yield data

    def _read(self) -> None:
        try:
            for data in self._call:
                with self._changed:
                    frame = decode_hub_frame(data)
                    assert frame is not None
                    self.frames.append(frame)
                    now_ns = time.monotonic_ns()
                    self.events += self.protocol.receive(frame, now_ns)
                    self.flush()  # a drain is answered by the protocol itself
                    self._changed.notify_all()
        except grpc.RpcError as error:
            self.code, self.details = error.code(), error.details()
        with self._changed:
            self.is_over = True
            self._changed.notify_all()


@contextmanager
def connected(address: str, hello: Hello | None = None) -> Iterator[ScriptedCollector]:
    """Yield a collector whose hello was accepted; the connection is cut after."""
    collector = ScriptedCollector(address, hello)
    try:
        collector.wait_welcome()
        yield collector
    finally:
        collector.cut()
