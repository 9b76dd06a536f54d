"""The hub's side of the protocol, without any input or output.

One HubProtocol lives as long as one stream. A frame of the collector goes into
`receive`, which judges it and returns what the hub has to do about it; what is
to be sent is taken out by `outgoing`.

A batch is judged when it is received and takes effect when it is committed.
In between, nothing about its rings changes: a batch that turns out to be broken
leaves no trace. It is acknowledged apart from that, when all that is promised of it
is done; the next ones may be judged and committed meanwhile. A segment that the
hub cannot read is committed as rejected: it would be no better the next time, and
the ring goes on behind it.

The position of a ring belongs to whoever keeps the table of rings and outlives the
stream; this role reads it when it judges and replaces it when it commits.

A segment that does not continue its ring is taken out of the batch and
answered with a resume point. What follows of that ring is taken out without a
word until a segment fits, because the collector had sent it before it could
read the answer; only if the position has moved since, there is another one. The
resume point waits for the acks of what was committed before, since it tells the
collector to let go of that, and goes before the ack of its own batch, which would
otherwise speak for what was taken out.

Rules:
- acks and resume points leave in the order of the work they answer;
- what a collector may not do is a RemoteProtocolError; nothing was changed then;
- one caller at a time: the owner holds the lock.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from shmtel.policy.model import Policy, PolicyStatus
from shmtel.wire.credit import Credit
from shmtel.wire.errors import RemoteProtocolError, VersionMismatch
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
    Rejected,
    ResumePoint,
    RingOpened,
    Welcome,
)
from shmtel.wire.heartbeats import Heartbeats
from shmtel.wire.hub_rings import HubRings, RingState
from shmtel.wire.limits import closed_flaw, counters_flaw, hello_flaw, status_flaw
from shmtel.wire.protocol import (
    PROTOCOL_MAX,
    PROTOCOL_MIN,
    as_rejected,
    batch_flaw,
    payload_bytes,
    without_rings,
)

REASON_MAX = 200  # characters
OUTGOING_MAX = 10_000  # frames that wait for a collector to read them
REJECTED_MAX = 1_000  # segments in an ack that still takes up those of the next


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
        self._rings = HubRings()
        self._has_hello = False
        self._last_batch_seq = self._acknowledged_seq = 0
        self._rejected: list[Rejected] = []  # committed and not acknowledged
        self._held: deque[tuple[int, ResumePoint]] = deque()  # by batch they answer
        self._heartbeats = Heartbeats(now_ns, answers=True)
        self._credit = Credit(terms.credit_bytes, terms.max_batch_bytes, now_ns)
        self._is_welcomed = self._is_draining = False
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
                self._rings.open(frame)
                return frame
            case NamesAdded():
                self._rings.add_names(frame)
                return frame
            case Batch():
                return self._on_batch(frame, now_ns)
            case PolicyStatus():
                _require(status_flaw(frame))
                return frame
            case Counters():
                _require(counters_flaw(frame))
                return replace(frame, rings=self._rings.open_ones(frame.rings))
            case Heartbeat():
                self._heartbeats.answer(now_ns)
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
            side = "hub" if frame.protocol_min > PROTOCOL_MAX else "collector"
            raise VersionMismatch(
                f"protocol {theirs} is offered, {ours} is spoken: upgrade the {side}"
            )
        _require(hello_flaw(frame))
        self._has_hello = True
        self._terms = replace(self._terms, protocol=highest)
        return frame

    def _on_batch(self, frame: Batch, now_ns: int) -> Batch:
        if frame.batch_seq != self._last_batch_seq + 1:
            raise RemoteProtocolError(f"batch {frame.batch_seq} is not the next")
        _require(batch_flaw(frame))
        _require(next(filter(None, map(closed_flaw, frame.closed)), None))
        cost_bytes = payload_bytes(frame)
        if cost_bytes > self._terms.max_batch_bytes:
            raise RemoteProtocolError("a batch larger than the terms allow")
        self._rings.require_resumed(frame)
        self._last_batch_seq = frame.batch_seq
        self._credit.received(frame.batch_seq, cost_bytes, now_ns)
        misfits = self._rings.misfits(frame)
        self._discarded_count += misfits.parts
        for ring in misfits.unanswered:
            self._held.append((frame.batch_seq, self._resume_point(ring)))
        self._release_held()
        return without_rings(frame, misfits.rings)

    # -- what the hub says ---------------------------------------------------

    def accept(self, now_ns: int) -> None:
        """Welcome the collector."""
        self._is_welcomed = True
        self._heartbeats.start(self._terms.heartbeat_interval_ms, now_ns)
        credit_bytes = self._credit.granted_bytes()
        self._outgoing.append(replace(self._terms, credit_bytes=credit_bytes))

    def resume(self, ring: int, state: RingState) -> None:
        """Say where the hub stands with a ring, and keep it up to date."""
        self._rings.resume(ring, state)
        self._outgoing.append(self._resume_point(ring))

    def commit(self, batch: Batch, rejected: Mapping[int, str] | None = None) -> Batch:
        """Let a batch that `receive` returned take effect; `acknowledge` it later.

        Args:
            rejected: why the segments of some rings cannot be read.

        Returns:
            The batch as it took effect.
        """
        reasons = rejected or {}
        for ring, reason in reasons.items():
            part = Rejected(batch.batch_seq, ring, reason[:REASON_MAX])
            self._rejected.append(part)
        segments = tuple(
            as_rejected(segment) if segment.ring in reasons else segment
            for segment in batch.segments
        )
        for segment in segments:
            self._rings.advance(segment)
        for closed in batch.closed:
            self._rings.close(closed)
        return replace(batch, segments=segments)

    def acknowledge(self, batch_seq: int, now_ns: int) -> None:
        """Say that all batches up to one are done, and safe as far as is promised."""
        self._credit.answered(batch_seq, now_ns)
        while self._held and self._held[0][0] <= batch_seq:
            before = self._held[0][0] - 1
            self._send_ack(before)
            self._release_held()
        self._send_ack(batch_seq)
        self._release_held()

    def push_policy(self, policy: Policy) -> None:
        """Send the desired state; only the newest of those still waiting goes."""
        waiting = [frame for frame in self._outgoing if not isinstance(frame, Policy)]
        self._outgoing = deque([*waiting, policy])

    def drain(self, reason: str, delay_ms: int, deadline_ms: int) -> None:
        """Ask the collector to end the stream in order, and to dial again later.

        All goes on as before until its Bye; the owner calls `end` at the deadline.
        """
        if self._is_welcomed and not self._is_draining and not self.is_over:
            self._is_draining = True
            self._outgoing.append(Drain(reason, delay_ms, deadline_ms))

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
        if not self.is_over and self._heartbeats.is_due(now_ns):
            age_ms = self.oldest_unanswered_age_ns(now_ns) // 1_000_000
            self._outgoing.append(Heartbeat(now_ns, age_ms))

    def next_tick_ns(self) -> int | None:
        """Return when the next heartbeat is due; None before the welcome."""
        return self._heartbeats.due_ns()

    def is_full(self) -> bool:
        """Tell whether to read no more until something is answered, or has left.

        No collector that keeps to its credit, and reads what it is told, sees it.
        """
        return self._credit.is_overdrawn() or len(self._outgoing) > OUTGOING_MAX

    def oldest_unanswered_age_ns(self, now_ns: int) -> int:
        """Return how long the oldest batch has waited for its ack; 0: none does."""
        return self._credit.oldest_age_ns(now_ns)

    def take_discarded(self) -> int:
        """Return how many parts of batches were discarded since the last call."""
        count, self._discarded_count = self._discarded_count, 0
        return count

    # -- helpers -------------------------------------------------------------

    def _send_ack(self, batch_seq: int) -> None:
        """Send an ack; of those that wait side by side the newest says it all."""
        if batch_seq <= self._acknowledged_seq:
            return
        self._acknowledged_seq = batch_seq
        done = [part for part in self._rejected if part.batch_seq <= batch_seq]
        self._rejected = self._rejected[len(done) :]
        last = self._outgoing[-1] if self._outgoing else None
        if isinstance(last, Ack) and len(last.rejected) + len(done) <= REJECTED_MAX:
            self._outgoing.pop()
            done = [*last.rejected, *done]
        credit_bytes, level = self._credit.granted_bytes(), self._terms.ack_level
        self._outgoing.append(Ack(batch_seq, level, credit_bytes, tuple(done)))

    def _release_held(self) -> None:
        """Send the resume points for which nothing is committed and unacknowledged."""
        while self._held and self._held[0][0] <= self._acknowledged_seq + 1:
            self._outgoing.append(self._held.popleft()[1])

    def _resume_point(self, ring: int) -> ResumePoint:
        position = self._rings.position(ring)
        return ResumePoint(ring, position.last_seq, position.totals)


def _require(flaw: str | None) -> None:
    if flaw is not None:
        raise RemoteProtocolError(flaw)
