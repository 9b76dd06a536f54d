"""The collector's side of the protocol, without any input or output.

One CollectorProtocol lives as long as one stream and is thrown away with it.
Calls put frames into it and `outgoing` takes them out; frames of the hub go
into `receive`, which returns what the collector must know as events. Time
comes in as `now_ns`, from any monotonic clock.

What was sent stays here until it is acknowledged, because only then may a ring
release it. When the hub discards a segment it answers with a second resume
point for that ring. Everything outstanding of the ring is then void: its
batches will be acknowledged all the same, but without those segments, and the
collector drains the ring again from the resume point.

A hub that asks to be drained gets no more batches. When all are answered Bye
leaves by itself; at the hub's deadline the stream counts as ended by it, answered
or not.

Rules:
- control, heartbeats and announcements leave before batches, and Bye last;
- a hub that breaks the protocol is a RemoteProtocolError, and a collector that
  would break it is a LocalProtocolError, raised before anything is sent;
- nothing here retries: the next stream starts from its resume points.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from shmtel.policy.model import Policy, PolicyStatus
from shmtel.wire.collector_events import (
    Ended,
    Event,
    HubSilent,
    PolicyReceived,
    Resumed,
    Welcomed,
)
from shmtel.wire.collector_rings import CollectorRings
from shmtel.wire.draining import Draining
from shmtel.wire.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    VersionMismatch,
)
from shmtel.wire.frames import (
    Ack,
    Batch,
    Bye,
    CollectorFrame,
    Counters,
    Drain,
    Error,
    Heartbeat,
    Hello,
    HubFrame,
    NamesAdded,
    ResumePoint,
    RingClosed,
    RingOpened,
    Segment,
    Welcome,
    Worker,
)
from shmtel.wire.heartbeats import Heartbeats
from shmtel.wire.limits import counters_flaw, fitted, welcome_flaw
from shmtel.wire.protocol import batch_flaw, payload_bytes, totals_flaw
from shmtel.wire.unacked import Unacked


class CollectorProtocol:
    """One stream, seen from the collector. See the module for the theory."""

    def __init__(self, hello: Hello, now_ns: int) -> None:
        self._hello = hello
        self._control: deque[CollectorFrame] = deque([hello])
        self._unacked = Unacked()
        self._rings = CollectorRings()
        self._welcome: Welcome | None = None
        self._credit_bytes = 0
        self._heartbeats = Heartbeats(now_ns)
        self._bye: Bye | None = None
        self._drain: Draining | None = None
        self._ended = False

    # -- what the collector asks ---------------------------------------------

    def has_outgoing(self) -> bool:
        """Tell whether `outgoing` has something to take."""
        is_leaving = self._bye is not None and not self._ended
        return bool(self._control) or self._unacked.has_untaken() or is_leaving

    def outgoing(self) -> list[CollectorFrame]:
        """Take the frames that are to be sent now, in this order."""
        taken = [*self._control, *self._unacked.take()]
        self._control.clear()
        if self._bye is not None and not self._ended:
            taken.append(self._bye)
            self._ended = True
        return taken

    def is_ready(self, ring: int) -> bool:
        """Tell whether the resume point of a ring has arrived."""
        return self._rings.is_ready(ring)

    def room(self) -> int:
        """Return how many bytes of events a batch may hold now; 0: none."""
        if self._welcome is None or self._is_closing():
            return 0
        return self._unacked.room(self._credit_bytes, self._welcome.max_batch_bytes)

    def oldest_unacked_age_ns(self, now_ns: int) -> int:
        """Return how long the oldest batch has waited for its ack; 0: none."""
        self._unacked.see(now_ns)
        return self._unacked.oldest_age_ns(now_ns)

    def next_tick_ns(self) -> int:
        """Return when `tick` has something to do again."""
        due_ns = [self._heartbeats.patience_end_ns()]
        heartbeat_ns = self._heartbeats.due_ns()
        if heartbeat_ns is not None and not self._ended:
            due_ns.append(heartbeat_ns)
        if self._drain is not None:
            due_ns.append(self._drain.until_ns)
        return min(due_ns)

    # -- what the collector says ---------------------------------------------

    def open_ring(
        self,
        ring_id: bytes,
        worker: Worker,
        settled_seq: int,
        totals: Mapping[int, int],
    ) -> int:
        """Announce a ring and return its number on this stream."""
        self._require_open()
        _require(totals_flaw(settled_seq, totals))
        number = self._rings.open()
        opened = RingOpened(number, ring_id, worker, settled_seq, dict(totals))
        self._control.append(opened)
        return number

    def add_names(self, ring: int, first_event_id: int, names: Sequence[str]) -> None:
        """Announce the next event names of a ring."""
        self._require_open()
        self._rings.add_names(ring, first_event_id, names)
        if names:
            self._control.append(NamesAdded(ring, first_event_id, tuple(names)))

    def send_batch(
        self, segments: Sequence[Segment], closed: Sequence[RingClosed] = ()
    ) -> int:
        """Send a batch and return its number.

        Raises:
            LocalProtocolError: it does not continue its rings, or is too large.
        """
        batch = Batch(self._unacked.last_batch_seq + 1, tuple(segments), tuple(closed))
        self._require_sendable(batch)
        self._rings.advance(batch)
        self._unacked.append(batch)
        return batch.batch_seq

    def answer_policy(self, status: PolicyStatus) -> None:
        """Tell the hub what became of a policy."""
        self._require_open()
        self._control.append(fitted(status))

    def send_counters(self, frames: Sequence[Counters]) -> bool:
        """Tell the hub what is counted ahead of the events; it needs no credit.

        Rings whose end was sent are left out: the hub may have forgotten them.

        Returns:
            False: the last ones have not left yet; ask again later.
        """
        self._require_open()
        if any(isinstance(frame, Counters) for frame in self._control):
            return False
        for frame in frames:
            known = tuple(r for r in frame.rings if self._rings.is_known(r.ring))
            counters = replace(frame, rings=known)
            _require(counters_flaw(counters))
            self._control.append(counters)
        return True

    def bye(self, reason: str) -> None:
        """End the stream in order, after what is still to be sent."""
        self._bye = Bye(reason)

    # -- what comes in -------------------------------------------------------

    def receive(self, frame: HubFrame | None, now_ns: int) -> list[Event]:
        """Take a frame of the hub; None is one of a kind not known here.

        Raises:
            RemoteProtocolError: the protocol does not allow the frame here.
        """
        self._heartbeats.heard(now_ns)
        self._unacked.see(now_ns)
        if self._welcome is None and not isinstance(frame, Welcome | Error | None):
            raise RemoteProtocolError(f"{type(frame).__name__} before Welcome")
        match frame:
            case Welcome():
                return self._on_welcome(frame, now_ns)
            case ResumePoint():
                return self._on_resume_point(frame)
            case Ack():
                return self._on_ack(frame)
            case Policy():
                return [PolicyReceived(frame)]
            case Drain():
                return self._on_drain(frame, now_ns)
            case Error():
                return self._end(Ended(frame))
        return []

    def tick(self, now_ns: int) -> list[Event]:
        """Send a heartbeat when it is due; tell when the hub has gone silent.

        Read what has arrived before calling this, or a pause of this process
        looks like the hub's.
        """
        self._unacked.see(now_ns)
        if self._drain is not None and now_ns >= self._drain.until_ns:
            return self._end(self._drain.end())
        if self._ended:
            return []
        silent_ns = self._heartbeats.silent_ns(now_ns)
        if silent_ns:
            return self._end(HubSilent(silent_ns))
        if self._heartbeats.is_due(now_ns):
            age_ms = self.oldest_unacked_age_ns(now_ns) // 1_000_000
            self._control.append(Heartbeat(now_ns, age_ms))
        return []

    def _on_welcome(self, frame: Welcome, now_ns: int) -> list[Event]:
        if self._welcome is not None:
            raise RemoteProtocolError("a second Welcome")
        lowest, highest = self._hello.protocol_min, self._hello.protocol_max
        if not lowest <= frame.protocol <= highest:
            offered = f"{lowest} to {highest} was offered"
            raise VersionMismatch(f"a Welcome of protocol {frame.protocol}, {offered}")
        flaw = welcome_flaw(frame)
        if flaw is not None:
            raise RemoteProtocolError(flaw)
        self._welcome = frame
        self._credit_bytes = frame.credit_bytes
        self._heartbeats.start(frame.heartbeat_interval_ms, now_ns)
        return [Welcomed(frame)]

    def _on_resume_point(self, frame: ResumePoint) -> list[Event]:
        if frame.ring not in self._rings:
            raise RemoteProtocolError(f"a resume point of no ring: {frame.ring}")
        flaw = totals_flaw(frame.last_seq, frame.totals)
        if flaw is not None:
            raise RemoteProtocolError(f"resume point of ring {frame.ring}: {flaw}")
        self._rings.resume(frame.ring, frame.last_seq)
        self._unacked.void(frame.ring)
        return [Resumed(frame.ring, frame.last_seq, frame.totals)]

    def _on_ack(self, frame: Ack) -> list[Event]:
        done = self._unacked.settle(frame)
        self._credit_bytes = frame.credit_bytes
        for acked in done:
            self._rings.close(acked.batch.closed)
        self._end_drain()
        return list[Event](done)

    def _on_drain(self, frame: Drain, now_ns: int) -> list[Event]:
        if self._is_closing():
            return []
        self._drain = Draining.begin(frame, now_ns)
        self._end_drain()
        return [self._drain.asked]

    def _end_drain(self) -> None:
        if self._drain is not None and self._bye is None and not self._unacked:
            self.bye("drained")

    def _end(self, last: Ended | HubSilent) -> list[Event]:
        self._drain, self._ended = None, True
        return [last]

    def _is_closing(self) -> bool:
        return self._ended or self._bye is not None or self._drain is not None

    def _require_open(self) -> None:
        _require("the stream has ended" if self._ended or self._bye else None)

    def _require_sendable(self, batch: Batch) -> None:
        self._require_open()
        _require("the stream is being drained" if self._drain else None)
        if self._welcome is None:
            raise LocalProtocolError("a batch before Welcome")
        _require(batch_flaw(batch))
        if payload_bytes(batch) > self._welcome.max_batch_bytes:
            raise LocalProtocolError("a batch larger than the hub accepts")
        self._rings.require_continued(batch)


def _require(flaw: str | None) -> None:
    if flaw is not None:
        raise LocalProtocolError(flaw)
