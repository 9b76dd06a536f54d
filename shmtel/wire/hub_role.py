"""The hub's side of the protocol, without any input or output.

One HubProtocol lives as long as one stream. A frame of the collector goes into
`receive`, which judges it and returns what the hub has to do about it; what is
to be sent is taken out by `outgoing`.

A batch is judged when it is received and takes effect when it is committed.
In between, nothing about its rings changes: a batch that turns out to be broken
leaves no trace. It is acknowledged apart from that, when all that is promised of it
is done; the next ones may be judged and committed meanwhile. The position of a ring
belongs to whoever keeps the table of rings and outlives the stream; this role
reads it when it judges and replaces it when it commits.

A segment that does not continue its ring is taken out of the batch and
answered with a resume point. What follows of that ring is taken out without a
word until a segment fits, because the collector had sent it before it could
read the answer; only if the position has moved since, there is another one.

Rules:
- acks and resume points leave in the order of the work they answer;
- what a collector may not do is a RemoteProtocolError; nothing was changed then;
- one caller at a time: the owner holds the lock.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol

from shmtel.policy.model import Policy, PolicyStatus
from shmtel.wire.errors import RemoteProtocolError, VersionMismatch
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
)
from shmtel.wire.limits import counters_flaw, hello_flaw, status_flaw, worker_flaw
from shmtel.wire.protocol import (
    NAMES_MAX,
    PROTOCOL_MAX,
    PROTOCOL_MIN,
    Position,
    advanced,
    batch_flaw,
    payload_bytes,
    rings_of,
    totals_flaw,
    without_rings,
)

RINGS_MAX = 65_536  # open on one stream at the same time
NAME_LENGTH_MAX = 255  # bytes, as in a ring


class RingState(Protocol):
    """What the protocol needs of an entry in the hub's table."""

    position: Position


@dataclass(slots=True)
class _Ring:
    ring_id: bytes
    state: RingState | None = None
    name_count: int = 0
    answered_seq: int | None = None  # of the resume point that is out; None: it fits


class HubProtocol:
    """One stream, seen from the hub. See the module for the theory.

    `receive` returns the frame that it judged, as far as it is to be acted on:

    - Hello: answer with `accept` or `end`;
    - RingOpened: answer with `resume`;
    - NamesAdded, PolicyStatus, Counters, Bye: note it;
    - Batch, without what was discarded: `commit` it, do the work, `acknowledge` it.
    """

    def __init__(self, terms: Welcome, now_ns: int) -> None:
        self._terms = terms
        self._outgoing: deque[HubFrame] = deque()
        self._rings: dict[int, _Ring] = {}
        self._ring_ids: set[bytes] = set()
        self._last_ring = 0
        self._has_hello = False
        self._last_batch_seq = 0
        self._unanswered: deque[tuple[int, int]] = deque()  # batch seq, since when
        self._heartbeat_due_ns = now_ns
        self._is_welcomed = False
        self.is_over = False
        self._discarded_count = 0

    # -- what comes in -------------------------------------------------------

    def receive(
        self, frame: CollectorFrame | None, now_ns: int
    ) -> Hello | RingOpened | NamesAdded | Batch | Bye | PolicyStatus | Counters | None:
        """Judge a frame; None means that there is nothing to do.

        Raises:
            RemoteProtocolError: the protocol does not allow the frame here.
        """
        if isinstance(frame, Hello):
            return self._on_hello(frame)
        if not self._has_hello:
            raise RemoteProtocolError("a frame before Hello")
        match frame:
            case RingOpened():
                return self._on_ring_opened(frame)
            case NamesAdded():
                return self._on_names_added(frame)
            case Batch():
                return self._on_batch(frame, now_ns)
            case PolicyStatus():
                _require(status_flaw(frame))
                return frame
            case Counters():
                _require(counters_flaw(frame))
                return self._of_open_rings(frame)
            case Bye():
                return frame
        return None

    def _on_hello(self, frame: Hello) -> Hello:
        if self._has_hello:
            raise RemoteProtocolError("a second Hello")
        lowest = max(frame.protocol_min, PROTOCOL_MIN)
        highest = min(frame.protocol_max, PROTOCOL_MAX)
        if lowest > highest:
            theirs = f"{frame.protocol_min} to {frame.protocol_max}"
            ours = f"{PROTOCOL_MIN} to {PROTOCOL_MAX}"
            raise VersionMismatch(f"protocol {theirs} is offered, {ours} is spoken")
        _require(hello_flaw(frame))
        self._has_hello = True
        self._terms = replace(self._terms, protocol=highest)
        return frame

    def _on_ring_opened(self, frame: RingOpened) -> RingOpened:
        if frame.ring != self._last_ring + 1:
            raise RemoteProtocolError(f"ring number {frame.ring} is not the next")
        if frame.ring_id in self._ring_ids:
            raise RemoteProtocolError("a ring announced twice")
        if len(self._rings) == RINGS_MAX:
            raise RemoteProtocolError(f"more than {RINGS_MAX} open rings")
        _require(totals_flaw(frame.settled_seq, frame.totals))
        _require(worker_flaw(frame.worker))
        self._last_ring = frame.ring
        self._ring_ids.add(frame.ring_id)
        self._rings[frame.ring] = _Ring(frame.ring_id)
        return frame

    def _on_names_added(self, frame: NamesAdded) -> NamesAdded:
        ring = self._ring(frame.ring)
        if frame.first_event_id != ring.name_count:
            raise RemoteProtocolError("names with a gap")
        if ring.name_count + len(frame.names) > NAMES_MAX:
            raise RemoteProtocolError("more names than a ring can hold")
        if any(len(name.encode()) > NAME_LENGTH_MAX for name in frame.names):
            raise RemoteProtocolError("a name longer than a ring can hold")
        ring.name_count += len(frame.names)
        return frame

    def _on_batch(self, frame: Batch, now_ns: int) -> Batch:
        if frame.batch_seq != self._last_batch_seq + 1:
            raise RemoteProtocolError(f"batch {frame.batch_seq} is not the next")
        _require(batch_flaw(frame))
        if payload_bytes(frame) > self._terms.max_batch_bytes:
            raise RemoteProtocolError("a batch larger than the terms allow")
        for part in rings_of(frame):
            if self._ring(part.ring).state is None:
                raise RemoteProtocolError(f"ring {part.ring} has no resume point")
        self._last_batch_seq = frame.batch_seq
        self._unanswered.append((frame.batch_seq, now_ns))
        return without_rings(frame, self._misfits(frame))

    def _of_open_rings(self, frame: Counters) -> Counters:
        """Leave out rings that the hub has closed while the counters were under way."""
        is_open = [ring for ring in frame.rings if ring.ring in self._rings]
        return replace(frame, rings=tuple(is_open))

    def _misfits(self, batch: Batch) -> set[int]:
        misfits: set[int] = set()
        ends: dict[int, int] = {}
        for part in rings_of(batch):
            ring = self._rings[part.ring]
            assert ring.state is not None
            start, end = _ends(part)
            expected = ends.get(part.ring, ring.state.position.last_seq)
            if part.ring in misfits or start != expected:
                misfits.add(part.ring)
                self._discard(ring, part)
            else:
                ring.answered_seq = None
                ends[part.ring] = end
        return misfits

    def _discard(self, ring: _Ring, part: Segment | RingClosed) -> None:
        assert ring.state is not None
        self._discarded_count += 1
        last_seq = ring.state.position.last_seq
        if ring.answered_seq != last_seq:
            ring.answered_seq = last_seq
            self._send_resume_point(part.ring)

    # -- what the hub says ---------------------------------------------------

    def accept(self, now_ns: int) -> None:
        """Welcome the collector."""
        self._is_welcomed = True
        self._heartbeat_due_ns = now_ns + self._interval_ns()
        self._outgoing.append(self._terms)

    def resume(self, ring: int, state: RingState) -> None:
        """Say where the hub stands with a ring, and keep it up to date."""
        self._rings[ring].state = state
        self._send_resume_point(ring)

    def commit(self, batch: Batch) -> None:
        """Let a batch that `receive` returned take effect; `acknowledge` it later."""
        for segment in batch.segments:
            state = self._rings[segment.ring].state
            assert state is not None
            state.position = advanced(state.position, segment)
        for closed in batch.closed:
            # Streams live for weeks and workers do not: a closed ring is forgotten.
            self._ring_ids.discard(self._rings.pop(closed.ring).ring_id)

    def acknowledge(self, batch_seq: int) -> None:
        """Say that all batches up to one are done, and safe as far as is promised."""
        while self._unanswered and self._unanswered[0][0] <= batch_seq:
            self._unanswered.popleft()
        if self._outgoing and isinstance(self._outgoing[-1], Ack):
            self._outgoing.pop()  # acks are cumulative: the newest says it all
        terms = self._terms
        self._outgoing.append(Ack(batch_seq, terms.ack_level, terms.credit_bytes))

    def push_policy(self, policy: Policy) -> None:
        """Send the desired state; only the newest of those still waiting goes."""
        waiting = [frame for frame in self._outgoing if not isinstance(frame, Policy)]
        self._outgoing = deque([*waiting, policy])

    def end(self, code: int, message: str) -> None:
        """Tell the collector why, and end the stream."""
        self._outgoing.append(Error(code, message))
        self.is_over = True

    def outgoing(self) -> list[HubFrame]:
        """Take the frames that are to be sent now, in this order."""
        taken = list(self._outgoing)
        self._outgoing.clear()
        return taken

    def tick(self, now_ns: int) -> None:
        """Send a heartbeat when it is due."""
        if not self._is_welcomed or self.is_over or now_ns < self._heartbeat_due_ns:
            return
        age_ms = self.oldest_unanswered_age_ns(now_ns) // 1_000_000
        self._outgoing.append(Heartbeat(now_ns, age_ms))
        self._heartbeat_due_ns = now_ns + self._interval_ns()

    def next_tick_ns(self) -> int | None:
        """Return when the next heartbeat is due; None before the welcome."""
        return self._heartbeat_due_ns if self._is_welcomed else None

    def oldest_unanswered_age_ns(self, now_ns: int) -> int:
        """Return how long the oldest batch has waited for its ack; 0: none does."""
        return now_ns - self._unanswered[0][1] if self._unanswered else 0

    def take_discarded(self) -> int:
        """Return how many parts of batches were discarded since the last call."""
        count, self._discarded_count = self._discarded_count, 0
        return count

    # -- helpers -------------------------------------------------------------

    def _interval_ns(self) -> int:
        return self._terms.heartbeat_interval_ms * 1_000_000

    def _send_resume_point(self, ring: int) -> None:
        state = self._rings[ring].state
        assert state is not None
        position = state.position
        self._outgoing.append(ResumePoint(ring, position.last_seq, position.totals))

    def _ring(self, number: int) -> _Ring:
        ring = self._rings.get(number)
        if ring is None:
            raise RemoteProtocolError(f"ring {number} is not open")
        return ring


def _ends(part: Segment | RingClosed) -> tuple[int, int]:
    if isinstance(part, Segment):
        return part.seq_before, part.seq_last
    return part.last_seq, part.last_seq


def _require(flaw: str | None) -> None:
    if flaw is not None:
        raise RemoteProtocolError(flaw)
