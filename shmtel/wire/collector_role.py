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

Rules:
- control, heartbeats and announcements leave before batches, and Bye last;
- a hub that breaks the protocol is a RemoteProtocolError, and a collector that
  would break it is a LocalProtocolError, raised before anything is sent;
- nothing here retries: the next stream starts from its resume points.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shmtel.policy.model import Policy, PolicyStatus
from shmtel.wire.collector_events import (
    Acked,
    Ended,
    Event,
    HubSilent,
    PolicyReceived,
    Resumed,
    Welcomed,
)
from shmtel.wire.errors import LocalProtocolError, RemoteProtocolError
from shmtel.wire.frames import (
    Ack,
    Batch,
    Bye,
    CollectorFrame,
    Counters,
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
from shmtel.wire.limits import fitted
from shmtel.wire.protocol import (
    SILENT_INTERVALS,
    batch_flaw,
    payload_bytes,
    rings_of,
    totals_flaw,
)
from shmtel.wire.unacked import Unacked

_WELCOME_WAIT_NS = 5_000_000_000  # for a first frame; a busy hub may be slow to start
_INTERVAL_MIN_MS, _INTERVAL_MAX_MS = 10, 60_000


@dataclass(slots=True)
class _Ring:
    next_before: int | None = None  # seq_before of the next segment; None: not ready
    name_count: int = 0


class CollectorProtocol:
    """One stream, seen from the collector. See the module for the theory."""

    def __init__(self, hello: Hello, now_ns: int) -> None:
        self._control: deque[CollectorFrame] = deque([hello])
        self._unacked = Unacked()
        self._rings: dict[int, _Ring] = {}
        self._last_ring = 0
        self._welcome: Welcome | None = None
        self._credit_bytes = 0
        self._heard_ns = now_ns
        self._heartbeat_due_ns = now_ns
        self._bye: Bye | None = None
        self._ended = False

    # -- what the collector asks ---------------------------------------------

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
        return self._ring(ring).next_before is not None

    def room(self) -> int:
        """Return how many bytes of events a batch may hold now; 0: none.

        With nothing outstanding one largest batch may always go. Less than
        half a batch counts as no room, or a full link would be fed in crumbs.
        """
        if self._welcome is None or self._ended or self._bye is not None:
            return 0
        largest = self._welcome.max_batch_bytes
        if not self._unacked:
            return largest
        free = min(self._credit_bytes - self._unacked.payload_bytes, largest)
        return free if 2 * free >= largest else 0

    def oldest_unacked_age_ns(self, now_ns: int) -> int:
        """Return how long the oldest batch has waited for its ack; 0: none."""
        self._unacked.see(now_ns)
        return self._unacked.oldest_age_ns(now_ns)

    def next_tick_ns(self) -> int:
        """Return when `tick` has something to do again."""
        silent_at = self._heard_ns + self._patience_ns()
        if self._welcome is None:
            return silent_at
        return min(silent_at, self._heartbeat_due_ns)

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
        number = self._last_ring = self._last_ring + 1
        self._rings[number] = _Ring()
        opened = RingOpened(number, ring_id, worker, settled_seq, dict(totals))
        self._control.append(opened)
        return number

    def add_names(self, ring: int, first_event_id: int, names: Sequence[str]) -> None:
        """Announce the next event names of a ring."""
        self._require_open()
        state = self._ring(ring)
        if first_event_id != state.name_count:
            expected = state.name_count
            _require(f"names from {first_event_id}, {expected} are known")
        if names:
            state.name_count += len(names)
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
        for segment in segments:
            self._ring(segment.ring).next_before = segment.seq_last
        self._unacked.append(batch)
        return batch.batch_seq

    def answer_policy(self, status: PolicyStatus) -> None:
        """Tell the hub what became of a policy."""
        self._require_open()
        self._control.append(fitted(status))

    def send_counters(self, frames: Sequence[Counters]) -> bool:
        """Send counters; False: the last ones have not left yet, ask again later."""
        self._require_open()
        if any(isinstance(frame, Counters) for frame in self._control):
            return False
        self._control.extend(frames)
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
        self._heard_ns = now_ns
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
            case Error():
                self._ended = True
                return [Ended(frame)]
        return []

    def tick(self, now_ns: int) -> list[Event]:
        """Send a heartbeat when it is due; tell when the hub has gone silent.

        Read what has arrived before calling this, or a pause of this process
        looks like the hub's.
        """
        self._unacked.see(now_ns)
        silent_ns = now_ns - self._heard_ns
        if self._ended:
            return []
        if silent_ns >= self._patience_ns():
            self._ended = True
            return [HubSilent(silent_ns)]
        if self._welcome is not None and now_ns >= self._heartbeat_due_ns:
            age_ms = self.oldest_unacked_age_ns(now_ns) // 1_000_000
            self._control.append(Heartbeat(now_ns, age_ms))
            self._heartbeat_due_ns = now_ns + self._interval_ns()
        return []

    def _on_welcome(self, frame: Welcome, now_ns: int) -> list[Event]:
        if self._welcome is not None:
            raise RemoteProtocolError("a second Welcome")
        if not _INTERVAL_MIN_MS <= frame.heartbeat_interval_ms <= _INTERVAL_MAX_MS:
            raise RemoteProtocolError("a heartbeat interval out of range")
        if frame.max_batch_bytes == 0:
            raise RemoteProtocolError("no batch would be small enough")
        self._welcome = frame
        self._credit_bytes = frame.credit_bytes
        self._heartbeat_due_ns = now_ns + self._interval_ns()
        return [Welcomed(frame)]

    def _on_resume_point(self, frame: ResumePoint) -> list[Event]:
        ring = self._rings.get(frame.ring)
        if ring is None:
            raise RemoteProtocolError(f"a resume point of no ring: {frame.ring}")
        flaw = totals_flaw(frame.last_seq, frame.totals)
        if flaw is not None:
            raise RemoteProtocolError(f"resume point of ring {frame.ring}: {flaw}")
        ring.next_before = frame.last_seq
        self._unacked.void(frame.ring)
        return [Resumed(frame.ring, frame.last_seq, frame.totals)]

    def _on_ack(self, frame: Ack) -> list[Event]:
        if frame.batch_seq > self._unacked.last_taken_seq():
            raise RemoteProtocolError(f"an ack of batch {frame.batch_seq}, never sent")
        self._credit_bytes = frame.credit_bytes
        done = self._unacked.pop_through(frame.batch_seq)
        for closed in (closed for batch in done for closed in batch.closed):
            self._rings.pop(closed.ring, None)  # streams live for weeks, workers do not
        return [Acked(batch) for batch in done]

    def _interval_ns(self) -> int:
        interval_ms = self._welcome.heartbeat_interval_ms if self._welcome else 0
        return interval_ms * 1_000_000

    def _patience_ns(self) -> int:
        return SILENT_INTERVALS * self._interval_ns() or _WELCOME_WAIT_NS

    def _ring(self, number: int) -> _Ring:
        ring = self._rings.get(number)
        if ring is None:
            raise LocalProtocolError(f"ring {number} is not open")
        return ring

    def _require_open(self) -> None:
        _require("the stream has ended" if self._ended or self._bye else None)

    def _require_sendable(self, batch: Batch) -> None:
        self._require_open()
        if self._welcome is None:
            raise LocalProtocolError("a batch before Welcome")
        _require(batch_flaw(batch))
        if payload_bytes(batch) > self._welcome.max_batch_bytes:
            raise LocalProtocolError("a batch larger than the hub accepts")
        ends = {segment.ring: segment.seq_last for segment in batch.segments}
        for part in rings_of(batch):
            _require(self._continuation_flaw(part, ends))

    def _continuation_flaw(
        self, part: Segment | RingClosed, ends: Mapping[int, int]
    ) -> str | None:
        held = self._ring(part.ring).next_before
        if held is None:
            return f"ring {part.ring} has no resume point yet"
        if isinstance(part, RingClosed):
            held = ends.get(part.ring, held)
        start = part.seq_before if isinstance(part, Segment) else part.last_seq
        return None if start == held else f"ring {part.ring} is at {held}, not {start}"


def _require(flaw: str | None) -> None:
    if flaw is not None:
        raise LocalProtocolError(flaw)
