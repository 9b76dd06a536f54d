"""One collector's stream at the hub.

Two threads work on it. The server's own thread runs `serve` and sends whatever
the protocol has to say: acks, resume points, policies, heartbeats. A thread of
the stream iterates the requests and is itself the dispatcher: it decodes a
batch, calls the handlers, commits, and only then reads on. So a slow handler
delays acks, and with them the collector, but never a heartbeat or a policy;
and no queue stands between the network and the handlers that could grow.

The protocol object is shared by both and guarded by one condition. Handlers run
outside of it.

Rules:
- nothing here knows grpc: requests are an iterator of bytes that just ends when
  the transport does, responses are one too;
- a stream that is to end finishes the batch in work first; `stopped` is set
  when no handler of it runs any more.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from shmtel.hub.counters import Counters
from shmtel.hub.desired import DesiredState
from shmtel.hub.dispatch import Dispatcher, RequiredHandlerError, Source
from shmtel.hub.fleet import Fleet, LiveStream
from shmtel.hub.hosts import HostEntry
from shmtel.hub.records import Record, check_head, decode_segment
from shmtel.hub.table import RingEntry, RingTable
from shmtel.policy.model import Policy, PolicyStatus
from shmtel.wire import frames
from shmtel.wire.codec import decode_collector_frame, encode_hub_frame
from shmtel.wire.errors import RemoteProtocolError, VersionMismatch
from shmtel.wire.frames import (
    Batch,
    Bye,
    CollectorFrame,
    ErrorCode,
    Hello,
    HubFrame,
    NamesAdded,
    RingOpened,
    Segment,
    Welcome,
)
from shmtel.wire.hub_role import HubProtocol

_log = logging.getLogger(__name__)

_PREDECESSOR_LOOK_S = 0.05  # how often a stream that waits looks whether it shall end


@dataclass(frozen=True, slots=True)
class Services:
    """What all streams of a hub share."""

    table: RingTable
    dispatcher: Dispatcher
    fleet: Fleet
    desired: DesiredState
    counters: Counters


@dataclass(frozen=True, slots=True)
class _Ring:
    entry: RingEntry
    source: Source


class Stream:
    """One collector's stream. See the module for who runs what."""

    def __init__(self, services: Services, terms: Welcome) -> None:
        self._services = services
        self._protocol = HubProtocol(terms, time.monotonic_ns())
        self._condition = threading.Condition()
        self._hello: Hello | None = None
        self._host: HostEntry | None = None
        self._rings: dict[int, _Ring] = {}
        self._predecessors: list[LiveStream] = []
        self._is_working = False
        self._is_gone = False  # nothing more will come in
        self._ending: tuple[int, str] | None = None
        self.stopped = threading.Event()

    # -- the sending side: the server's thread -------------------------------

    def serve(self, requests: Iterator[bytes]) -> Iterator[bytes]:
        """Serve the stream; ends when everything has been said."""
        threading.Thread(
            target=self._read, args=(requests,), name="shmtel-stream", daemon=True
        ).start()
        try:
            while frames := self._next_frames():
                yield from map(encode_hub_frame, frames)
        finally:
            self.disconnect()

    def _next_frames(self) -> list[HubFrame]:
        with self._condition:
            while True:
                now_ns = time.monotonic_ns()
                self._protocol.tick(now_ns)
                frames = self._protocol.outgoing()
                if frames or self._protocol.is_over or self._is_gone:
                    return frames
                self._condition.wait(self._patience_s(now_ns))

    def _patience_s(self, now_ns: int) -> float | None:
        due_ns = self._protocol.next_tick_ns()
        return None if due_ns is None else max(0, due_ns - now_ns) / 1e9

    # -- from any thread -----------------------------------------------------

    def disconnect(self) -> None:
        """Note that the transport is gone."""
        with self._condition:
            self._is_gone = True
            self._condition.notify_all()

    def welcome(self, policy: Policy | None) -> None:
        """Accept the collector and send it the policy, if it needs it."""
        with self._condition:
            self._protocol.accept(time.monotonic_ns())
            if policy is not None:
                self._protocol.push_policy(policy)
            self._condition.notify_all()

    def push_policy(self, policy: Policy) -> None:
        """Send the collector a new policy."""
        with self._condition:
            self._protocol.push_policy(policy)
            self._condition.notify_all()

    def end(self, code: int, message: str) -> None:
        """End the stream after the batch in work."""
        with self._condition:
            self._ending = self._ending or (code, message)
            if not self._is_working:
                self._finish()

    def oldest_unanswered_ns(self) -> int:
        """Return how long the oldest batch has waited for its answer; 0: none."""
        with self._condition:
            return self._protocol.oldest_unanswered_age_ns(time.monotonic_ns())

    def _finish(self) -> None:
        if self._ending is not None and not self._protocol.is_over:
            self._protocol.end(*self._ending)
            self._condition.notify_all()

    # -- the receiving side: the stream's thread -----------------------------

    def _read(self, requests: Iterator[bytes]) -> None:
        try:
            for data in requests:
                if not self._handle(data):
                    break
        except Exception:
            self._services.counters.add(internal_errors=1)
            _log.exception("a stream ends because of a defect in the hub")
        finally:
            self._services.fleet.leave(self)
            self.stopped.set()
            self.disconnect()

    def _handle(self, data: bytes) -> bool:
        """Do the work of one frame; tell whether to read on."""
        with self._condition:
            if self._protocol.is_over or self._is_gone:
                return False
            self._is_working = True
        try:
            goes_on = self._act(decode_collector_frame(data))
        except RemoteProtocolError as error:
            self._on_violation(error)
            goes_on = False
        except RequiredHandlerError as error:
            self._on_failed_hub(error)
            goes_on = False
        with self._condition:
            self._is_working = False
            self._finish()
            return goes_on and not self._protocol.is_over

    def _act(self, frame: CollectorFrame | None) -> bool:
        with self._condition:
            judged = self._protocol.receive(frame, time.monotonic_ns())
        if self._host is not None:
            self._host.heard_ns = time.time_ns()
        match judged:
            case Hello():
                self._hello = judged
                self._predecessors = self._services.fleet.admit(judged, self)
                if self._ending is None:
                    hosts = self._services.table.hosts
                    self._host = hosts.enter(judged, time.time_ns())
            case RingOpened():
                return self._on_ring_opened(judged)
            case NamesAdded():
                self._rings[judged.ring].source.names.extend(judged.names)
            case Batch():
                self._on_batch(judged)
            case frames.Counters():
                self._on_counters(judged)
            case PolicyStatus():
                self._services.desired.note_status(self, judged)
            case Bye():
                return False
        return True

    def _on_ring_opened(self, frame: RingOpened) -> bool:
        assert self._hello is not None
        while self._predecessors:
            if self._ending is not None or self._is_gone:
                return False
            if self._predecessors[0].stopped.wait(_PREDECESSOR_LOOK_S):
                del self._predecessors[0]
        entry = self._services.table.open(self._hello, frame)
        if self._host is not None:
            entry.stream = self._host.stream
        source = Source(entry.node, entry.worker, entry.ring_id.hex(), entry.names)
        self._rings[frame.ring] = _Ring(entry, source)
        with self._condition:
            self._protocol.resume(frame.ring, entry)
            self._condition.notify_all()
        return True

    def _on_counters(self, frame: frames.Counters) -> None:
        for counters in frame.rings:
            ring = self._rings.get(counters.ring)
            if ring is not None:
                ring.entry.tell(counters)
        if self._host is not None:
            self._host.tell(frame.host)

    def _on_batch(self, batch: Batch) -> None:
        services = self._services
        # All of it is decoded before any handler sees a part: a batch that is
        # broken anywhere has no effect at all.
        work = [(self._source(part), self._records(part)) for part in batch.segments]
        for source, records in work:
            if records:
                services.dispatcher.deliver(source, records)
        with self._condition:
            discarded = self._protocol.take_discarded()
            self._protocol.commit(batch)
        # After their last events: a ledger read in between must not miss them.
        for closed in batch.closed:
            services.table.close(self._rings.pop(closed.ring).entry, closed)
        with self._condition:
            self._protocol.acknowledge(batch.batch_seq)
            self._condition.notify_all()
        services.counters.add(
            batches=1,
            segments=len(batch.segments),
            delivered=sum(part.delivered for part in batch.segments),
            discarded=discarded,
        )

    def _source(self, segment: Segment) -> Source:
        return self._rings[segment.ring].source

    def _records(self, segment: Segment) -> list[Record]:
        source = self._source(segment)
        if self._services.dispatcher.routes(source).is_wanted:
            return decode_segment(segment, len(source.names))
        check_head(segment)
        return []

    def _on_failed_hub(self, error: RequiredHandlerError) -> None:
        """End every stream: nothing may be acknowledged that is kept nowhere."""
        _log.error("nothing is acknowledged any more: %s", error)
        self._services.fleet.close(f"the hub has failed: {error}")

    def _on_violation(self, error: RemoteProtocolError) -> None:
        self._services.counters.add(violations=1)
        node = self._hello.node if self._hello else "a peer without a hello"
        _log.warning("stream of %s ended: %s", node, error)
        code = ErrorCode.PROTOCOL_VIOLATION
        if isinstance(error, VersionMismatch):
            code = ErrorCode.PROTOCOL_VERSION
        with self._condition:
            self._ending = (code, str(error))
