"""Rings and their collector as a model, and the oracle of what a hub hands on.

The protocol is the real one; what stands around it is as little as it needs. An
event is its seq, eight bytes; what is not handed on, and why, follows from the seq
alone, so that anybody can say what has to become of it.

Rules: nothing here draws or waits: numbers and moments come in as arguments.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from shmtel.wire.collector_events import (
    Acked,
    DrainAsked,
    Ended,
    Event,
    HubSilent,
    Resumed,
    Welcomed,
)
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import (
    UNKNOWN_EVENT_ID,
    Counters,
    Hello,
    Outcome,
    RingClosed,
    RingCounters,
    Segment,
    SegmentCount,
    Worker,
)
from shmtel.wire.protocol import NO_EVENTS, Position, advanced

EVENT_BYTES = 8
_MALFORMED_EACH = 11
_POISON_EACH = 61


class Flaw(AssertionError):
    """What must never happen has happened."""


def fate(seq: int) -> Outcome:
    """Return what the collector makes of an event."""
    is_malformed = seq % _MALFORMED_EACH == 0
    return Outcome.REJECTED_MALFORMED if is_malformed else Outcome.DELIVERED


def encode_events(seqs: Sequence[int]) -> bytes:
    """Return events as a segment carries them here."""
    return b"".join(seq.to_bytes(EVENT_BYTES) for seq in seqs) or NO_EVENTS


def decode_events(segment: Segment) -> list[int] | None:
    """Return the seqs of the events; None: the hub cannot read them."""
    if segment.delivered == 0:
        return []
    parts = range(0, len(segment.events), EVENT_BYTES)
    seqs = [int.from_bytes(segment.events[i : i + EVENT_BYTES]) for i in parts]
    assert len(seqs) == segment.delivered
    is_poison = any(seq % _POISON_EACH == 0 for seq in seqs)
    return None if is_poison else seqs


@dataclass(eq=False)
class ModelRing:
    """One ring: what is in shared memory, and what its collector knows of it."""

    ring_id: bytes
    emitted: int = 0
    settled: Position = field(default_factory=Position)
    resent_through: int = 0  # sent on streams that have ended
    is_dead: bool = False  # nothing is emitted any more
    is_closed: bool = False
    # of the stream
    accepted: Position = field(default_factory=Position)
    sent_seq: int = 0
    highest_sent: int = 0
    number: int = 0
    is_closing: bool = False

    def suspend(self) -> None:
        """Forget the stream."""
        # Not `sent_seq`: a resume point in mid-stream takes it back.
        self.resent_through = max(self.resent_through, self.highest_sent)
        self.sent_seq = self.settled.last_seq
        self.number, self.is_closing = 0, False

    def resume(self, point: Position) -> None:
        """Go on from where the hub stands."""
        if point.last_seq > self.emitted:
            raise Flaw(f"resumed at {point.last_seq}, {self.emitted} were emitted")
        self.accepted, self.sent_seq = point, point.last_seq
        self.is_closing = False
        if point.last_seq > self.settled.last_seq:
            self.settled = point

    def take(self, count: int) -> Segment | None:
        """Return the next segment of at most so many events."""
        if self.sent_seq < self.settled.last_seq:
            return self._take_lost()
        seqs = range(self.sent_seq + 1, min(self.sent_seq + count, self.emitted) + 1)
        if not seqs:
            return None
        fates = Counter(map(fate, seqs))
        delivered = [seq for seq in seqs if fate(seq) is Outcome.DELIVERED]
        del fates[Outcome.DELIVERED]
        counts = (SegmentCount(0, outcome, n) for outcome, n in fates.items())
        return self._sent(
            seqs[-1], len(delivered), encode_events(delivered), tuple(counts)
        )

    def is_drained(self) -> bool:
        """Say whether its end may be announced."""
        is_all = self.emitted == self.sent_seq >= self.settled.last_seq
        return self.is_dead and is_all and not self.is_closing

    def acknowledge(self, segment: Segment) -> None:
        """Settle a segment."""
        if segment.seq_before != self.accepted.last_seq:
            raise Flaw(f"{segment} acknowledged at {self.accepted.last_seq}")
        self.accepted = advanced(self.accepted, segment)
        if self.accepted.last_seq >= self.settled.last_seq:
            self.settled = self.accepted

    def _take_lost(self) -> Segment:
        last = self.settled.last_seq
        outcome = Outcome.LOST_HUB_STATE_LOST
        count = SegmentCount(UNKNOWN_EVENT_ID, outcome, last - self.sent_seq)
        return self._sent(last, 0, NO_EVENTS, (count,))

    def _sent(
        self, last: int, delivered: int, events: bytes, counts: tuple[SegmentCount, ...]
    ) -> Segment:
        before, self.sent_seq = self.sent_seq, last
        self.highest_sent = max(self.highest_sent, last)
        resent = self.resent_through if self.resent_through > before else 0
        return Segment(self.number, before, last, delivered, events, counts, resent)


class ModelCollector:
    """The collector of one host: its rings outlive it, the rest is made anew."""

    def __init__(self, host_id: str, rings: Iterable[ModelRing]) -> None:
        self.host_id = host_id
        self.rings = list(rings)
        self.epoch = self.streams = 0
        self.protocol: CollectorProtocol | None = None
        self.is_welcome = False
        self.ended_with: int | None = None  # code of the hub's last error
        self.redial_ms: int | None = None
        self.restart()

    def restart(self) -> None:
        """Be killed and started again."""
        self.end()
        self.epoch += 1
        self.instance_id = self.epoch.to_bytes(16)

    def begin(self, now_ns: int) -> None:
        """Start a stream."""
        self.streams += 1
        hello = Hello(1, 1, "node", self.host_id, self.instance_id, self.epoch)
        hello = replace(hello, stream=self.streams)
        self.protocol = CollectorProtocol(hello, now_ns)
        self.redial_ms = self.ended_with = None

    def end(self) -> None:
        """Lose the stream."""
        self.protocol, self.is_welcome = None, False
        for ring in self.rings:
            ring.suspend()

    def open_rings(self) -> None:
        """Announce the rings that are not yet."""
        if not self.is_welcome or self.protocol is None:
            return
        for ring in self.rings:
            if not ring.number and not ring.is_closed:
                settled = ring.settled
                ring.number = self.protocol.open_ring(
                    ring.ring_id, Worker(), settled.last_seq, settled.totals
                )

    def send(self, chosen: Iterable[ModelRing], count: int) -> bool:
        """Drain some rings into one batch, if there is room and something in them."""
        protocol = self.protocol
        if protocol is None or not self.is_welcome:
            return False
        room_bytes = protocol.room() - len(NO_EVENTS) * len(self.rings)
        segments, closed = [], []
        for ring in chosen:
            if not self._is_ready(ring) or room_bytes < EVENT_BYTES:
                continue
            segment = ring.take(min(count, room_bytes // EVENT_BYTES))
            if segment is not None:
                segments.append(segment)
                room_bytes -= len(segment.events)
            if ring.is_drained():
                ring.is_closing = True
                closed.append(RingClosed(ring.number, ring.sent_seq, "closed"))
        if segments or closed:
            protocol.send_batch(segments, closed)
        return bool(segments or closed)

    def send_counters(self) -> None:
        """Say how far the rings are."""
        if self.protocol is not None and self.is_welcome:
            opened = [ring for ring in self.rings if ring.number and not ring.is_closed]
            parts = (RingCounters(ring.number, ring.sent_seq) for ring in opened)
            self.protocol.send_counters([Counters(tuple(parts))])

    def take(self, events: Iterable[Event]) -> None:
        """Act on what the protocol says.

        Raises:
            RemoteProtocolError: the stream is over.
        """
        for event in events:
            match event:
                case Welcomed():
                    self.is_welcome = True
                    self.open_rings()
                case Resumed(number, last_seq, totals):
                    self._ring(number).resume(Position(last_seq, totals))
                case Acked():
                    self._on_acked(event)
                case DrainAsked():
                    self.is_welcome, self.redial_ms = False, event.delay_ms
                case Ended(error):
                    self.ended_with = error.code
                    raise RemoteProtocolError(error.message)
                case HubSilent():
                    raise RemoteProtocolError("silent")

    def is_settled(self) -> bool:
        """Say whether everything is acknowledged, by the hub of this stream."""
        return self.is_welcome and all(map(self._is_ring_settled, self.rings))

    def _is_ring_settled(self, ring: ModelRing) -> bool:
        if ring.is_closed:
            return ring.settled.last_seq == ring.emitted
        is_resumed = not ring.is_closing and self._is_ready(ring)
        return is_resumed and ring.accepted.last_seq == ring.emitted

    def _on_acked(self, event: Acked) -> None:
        for segment in event.batch.segments:
            self._ring(segment.ring).acknowledge(segment)
        for closed in event.batch.closed:
            ring = self._ring(closed.ring)
            if ring.settled.last_seq != closed.last_seq:
                raise Flaw(f"closed at {closed.last_seq}: {ring}")
            ring.is_closed = True

    def _is_ready(self, ring: ModelRing) -> bool:
        if not ring.number or ring.is_closed or ring.is_closing:
            return False
        return self.protocol is not None and self.protocol.is_ready(ring.number)

    def _ring(self, number: int) -> ModelRing:
        return next(ring for ring in self.rings if ring.number == number)


class Oracle:
    """Watches what the handlers of a hub get, and what its table says."""

    def __init__(self) -> None:
        self._highest: Counter[bytes] = Counter()
        self._delivered: dict[bytes, set[int]] = {}
        self._outcomes: dict[bytes, dict[int, int]] = {}
        self.redelivered = 0
        self.has_lost_table = False
        self.may_lose_state = False  # its table was an older one once

    def deliver(self, ring_id: bytes, segment: Segment, seqs: Iterable[int]) -> None:
        """Note what a handler gets: in order, and once unless it is marked."""
        delivered = self._delivered.setdefault(ring_id, set())
        for seq in seqs:
            if seq <= self._highest[ring_id]:
                if seq > segment.resent_through:
                    raise Flaw(f"{ring_id.hex()} {seq}: again, and not marked")
                self.redelivered += seq in delivered
            self._highest[ring_id] = max(self._highest[ring_id], seq)
            delivered.add(seq)

    def commit(self, ring_id: bytes, segment: Segment) -> None:
        """Note what the hub's table says of each event of a segment."""
        seqs = decode_events(segment)
        assert seqs is not None
        outcomes = self._outcomes.setdefault(ring_id, {})
        kinds = {count.outcome for count in segment.counts if count.events}
        for seq in range(segment.seq_before + 1, segment.seq_last + 1):
            outcomes[seq] = _outcome(seq, kinds)
        delivered = self._delivered.get(ring_id, set())
        if any(seq not in delivered for seq in seqs):
            raise Flaw(f"{ring_id.hex()}: {segment} was not delivered")
        if Outcome.REJECTED_BY_HUB in kinds:
            first = max(segment.seq_before, segment.resent_through) + 1
            if not delivered.isdisjoint(range(first, segment.seq_last + 1)):
                raise Flaw(f"{ring_id.hex()}: {segment} delivered, then rejected")

    def check_end(self, ring: ModelRing, known: Position | None) -> None:
        """Check that every event of a ring was delivered, or counted with a reason.

        Args:
            known: what the hub's table says; a hub that lost it does not hear again
                of a ring that is closed.
        """
        outcomes, position = self._outcomes.get(ring.ring_id, {}), ring.settled
        if known != position and not (ring.is_closed and self.has_lost_table):
            raise Flaw(f"the hub is at {known}, its collector at {ring}")
        if sorted(outcomes) != list(range(1, ring.emitted + 1)):
            raise Flaw(f"{ring}: events without an outcome")
        if self.may_lose_state:
            return  # what a table says after that may be lost once more
        if Counter(outcomes.values()) != Counter(position.totals):
            raise Flaw(f"{position} of {ring}, but {Counter(outcomes.values())}")
        lost = position.totals.get(Outcome.LOST_HUB_STATE_LOST, 0)
        if lost:
            raise Flaw(f"{lost} events lost of {ring}")


def _outcome(seq: int, kinds: set[int]) -> int:
    if Outcome.LOST_HUB_STATE_LOST in kinds:
        return Outcome.LOST_HUB_STATE_LOST
    outcome = fate(seq)
    if outcome is Outcome.DELIVERED and Outcome.REJECTED_BY_HUB in kinds:
        return Outcome.REJECTED_BY_HUB
    return outcome
