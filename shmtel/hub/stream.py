"""One collector's stream at the hub.

Two threads work on it. The server's own thread runs `serve` and sends whatever
the protocol has to say: acks, resume points, policies, heartbeats. A thread of
the stream iterates the requests and is itself the dispatcher: it decodes a
batch, calls the handlers, moves the positions, and reads on. So a slow handler
delays acks, and with them the collector, but never a heartbeat or a policy; and
what waits in between is bounded by the credit.

An ack leaves when the batch is committed: when also the handlers with threads of
their own have finished it, and it is on the record with all before it. Where a
ring may go on from is as good as an ack. So no other stream is told before this
one is at rest, and none is this one's until all that it did to that ring is.

The protocol object is shared by both and guarded by one condition. Handlers run
outside of it.

Rules:
- nothing here knows grpc: requests are an iterator of bytes that just ends when
  the transport does, responses are one too;
- nothing is read beyond what the terms allow a collector to have unanswered;
- a stream that is to end finishes the batches in work first; `stopped` is set
  when nothing of it is in work any more, or nothing more will come of it because
  the hub has failed.
"""

import logging
import threading
import time
from collections.abc import Iterator

from shmtel.hub.fleet import LiveStream
from shmtel.hub.handlers import RequiredHandlerError
from shmtel.hub.hosts import HostEntry
from shmtel.hub.measures.instrument import Delta
from shmtel.hub.open_rings import OpenRings
from shmtel.hub.progress import Progress
from shmtel.hub.services import Services
from shmtel.policy.model import Policy, PolicyStatus
from shmtel.wire.codec import decode_collector_frame, encode_hub_frame
from shmtel.wire.errors import RemoteProtocolError, VersionMismatch
from shmtel.wire.frames import (
    Batch,
    Bye,
    CollectorFrame,
    Counters,
    ErrorCode,
    Heartbeat,
    Hello,
    HubFrame,
    NamesAdded,
    RingOpened,
    Welcome,
)
from shmtel.wire.hub_role import OUTGOING_MAX, HubProtocol
from shmtel.wire.protocol import payload_bytes

_log = logging.getLogger(__name__)

_PREDECESSOR_LOOK_S = 0.05  # how often a stream that waits looks whether it shall end


class Stream:
    """One collector's stream. See the module for who runs what."""

    def __init__(self, services: Services, terms: Welcome) -> None:
        self._services = services
        self._protocol = HubProtocol(terms, time.monotonic_ns())
        self._condition = threading.Condition()
        self._hello: Hello | None = None
        self._host = HostEntry("", "")  # of nobody until it is accepted
        self._number = 0  # among the streams of the host
        self._rings = OpenRings(services.table, services.dispatcher, services.measures)
        self._predecessors: list[LiveStream] = []
        self._progress = Progress(
            services.marks, services.committer.submit, self._on_committed
        )
        self._is_working = False
        self._is_read_out = False  # nothing more will come in
        self._is_gone = False  # nothing can be sent any more
        self._is_retired = False
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
            self._retire()

    def _next_frames(self) -> list[HubFrame]:
        with self._condition:
            while True:
                now_ns = time.monotonic_ns()
                self._protocol.tick(now_ns)
                frames = self._protocol.outgoing()
                if len(frames) > OUTGOING_MAX:
                    self._condition.notify_all()  # whoever reads waited for that
                if frames or self._protocol.is_over or self._is_gone:
                    return frames
                if self._is_read_out and self._is_at_rest():
                    return []
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

    def drain(self, reason: str, delay_ms: int, deadline_ms: int) -> None:
        """Ask the collector to end the stream, and to dial again after the delay."""
        with self._condition:
            self._protocol.drain(reason, delay_ms, deadline_ms)
            self._condition.notify_all()

    def end(self, code: int, message: str) -> None:
        """End the stream after the batches in work."""
        with self._condition:
            self._ending = self._ending or (code, message)
            self._finish()
            self._condition.notify_all()  # also to whoever waits in the work

    def unanswered_ns(self) -> int:
        """Return for how long the oldest batch has waited for its ack; 0: none."""
        with self._condition:
            return self._protocol.oldest_unanswered_age_ns(time.monotonic_ns())

    def _finish(self) -> None:
        if self._ending is None or self._is_working or not self._is_at_rest():
            return
        if not self._protocol.is_over:
            self._protocol.end(*self._ending)
            self._condition.notify_all()

    def _is_to_end(self) -> bool:
        return self._ending is not None or self._protocol.is_over or self._is_gone

    def _is_at_rest(self) -> bool:
        return self._progress.is_idle or self._services.dispatcher.failure is not None

    def _on_committed(self, batch_seq: int) -> None:
        with self._condition:  # at rest only with its ack: who ends first says it
            self._progress.settle(batch_seq)
            if not self._protocol.is_over:
                self._protocol.acknowledge(batch_seq, time.monotonic_ns())
            self._finish()
            self._condition.notify_all()
        self._retire()

    def _retire(self) -> None:
        """Let the next stream of this host go on, when nothing is left to do."""
        with self._condition:
            is_over = self._is_read_out and self._is_at_rest()
            if not is_over or self._is_retired:
                return
            self._is_retired = True
        self._services.table.leave(self._rings.entries(), int(time.time()))
        self._services.fleet.leave(self)
        self.stopped.set()
        with self._condition:
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
            with self._condition:
                self._is_read_out = True
                self._condition.notify_all()
            self._retire()

    def _handle(self, data: bytes) -> bool:
        """Do the work of one frame; tell whether to read on."""
        with self._condition:
            self._condition.wait_for(
                lambda: not self._protocol.is_full() or self._is_to_end()
            )
            if self._is_to_end():
                return False
            self._is_working = True
        try:
            goes_on = self._act(decode_collector_frame(data))
        except RemoteProtocolError as error:
            self._on_violation(error)
            goes_on = False
        except RequiredHandlerError:
            goes_on = False  # whoever was the first has ended all streams
        with self._condition:
            self._is_working = False
            self._finish()
            return goes_on and not self._protocol.is_over

    def _act(self, frame: CollectorFrame | None) -> bool:
        with self._condition:
            judged = self._protocol.receive(frame, time.monotonic_ns())
            if isinstance(frame, Heartbeat):
                self._condition.notify_all()  # it is answered
        self._host.heard_ns = time.time_ns()
        match judged:
            case Hello():
                self._on_hello(judged)
            case RingOpened():
                return self._on_ring_opened(judged)
            case NamesAdded():
                self._rings.add_names(judged)
            case Batch():
                self._on_batch(judged)
            case Counters():
                return self._on_counters(judged)
            case PolicyStatus():
                self._services.desired.note_status(self, judged)
            case Bye():
                return False
        return True

    def _on_hello(self, hello: Hello) -> None:
        self._hello = hello
        self._predecessors = self._services.fleet.admit(hello, self)
        if self._ending is None:
            self._host = self._services.table.hosts.enter(hello, time.time_ns())
            self._number = self._host.stream

    def _wait_predecessors(self) -> bool:
        """Wait until no other stream of the host has work; tell whether to go on."""
        while self._predecessors:
            if self._is_to_end():
                return False
            if self._predecessors[0].stopped.wait(_PREDECESSOR_LOOK_S):
                del self._predecessors[0]
        return True

    def _on_counters(self, counters: Counters) -> bool:
        if not self._wait_predecessors():  # their rings are not gone
            return False
        rings = self._rings.told(counters.rings)
        self._services.table.tell(self._host, self._number, rings, counters.host)
        self._services.committer.note()
        return True

    def _on_ring_opened(self, frame: RingOpened) -> bool:
        assert self._hello is not None
        if not self._wait_predecessors():
            return False
        if self._services.dispatcher.failure is not None:
            return False  # predecessors may have stopped with work that is not done
        is_known = self._services.table.knows(self._hello.host_id, frame.ring_id)
        if is_known and not self._wait_at_rest():
            return False
        entry = self._services.table.open(self._hello, frame, int(time.time()))
        self._rings.add(frame.ring, entry)
        with self._condition:
            self._protocol.resume(frame.ring, entry)
            self._condition.notify_all()
        return True

    def _wait_at_rest(self) -> bool:
        """Wait until all batches are committed; tell whether to go on."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._progress.is_idle or self._is_to_end()
            )
            return not self._is_to_end()

    def _on_batch(self, batch: Batch) -> None:
        services = self._services
        # All of it is decoded before any handler sees a part of it.
        delta = Delta()
        parts, rejected = self._rings.parts(batch, delta)
        refused = sum(s.delivered for s in batch.segments if s.ring in rejected)
        work = self._progress.begin(batch.batch_seq, payload_bytes(batch))
        try:
            self._rings.hand_out(parts, work)
        except BaseException:
            self._progress.drop(work)
            raise
        with self._condition:
            discarded = self._protocol.take_discarded()
            batch = self._protocol.commit(batch, rejected)
        self._rings.count(batch, parts, services.event_counts)
        work.changes, work.delta = self._rings.take_changes(batch), delta
        services.counters.add(
            batches=1,
            segments=len(batch.segments),
            delivered=sum(segment.delivered for segment in batch.segments),
            discarded=discarded,
            redelivered=sum(part.redelivered for part in parts),
            rejected=refused,
        )
        work.release()

    def _on_violation(self, error: RemoteProtocolError) -> None:
        self._services.counters.add(violations=1)
        node = self._hello.node if self._hello else "a peer without a hello"
        _log.warning("stream of %s ended: %s", node, error)
        code = ErrorCode.PROTOCOL_VIOLATION
        if isinstance(error, VersionMismatch):
            code = ErrorCode.PROTOCOL_VERSION
        with self._condition:
            self._ending = (code, str(error))
