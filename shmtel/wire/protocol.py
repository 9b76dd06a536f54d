"""What both roles of the protocol hold true: versions, sums, sizes.

Theory: a stream carries batches numbered 1, 2, 3 ...; each holds at most one
segment per ring, and a segment continues its ring where the one before ended.
Both sides keep a position per ring, so a gap or a repetition is seen by
comparing two numbers, and nothing else has to be remembered.

Rules:
- pure functions over frames; a flaw is returned as text, and the role decides
  whose fault it is;
- a batch is measured by the bytes of its events: what both sides can compute
  without encoding, and what memory goes into.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

from shmtel.wire.frames import (
    UNKNOWN_EVENT_ID,
    Batch,
    Outcome,
    RingClosed,
    Segment,
    SegmentCount,
)

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1
OUTCOME_SLOTS = 32  # outcomes that a settlement slot of a ring can count
NAMES_MAX = 1024  # of the names table of a ring
NO_EVENTS = b"\xdd\x00\x00\x00\x00"  # a msgpack array32 of none


@dataclass(frozen=True, slots=True)
class Position:
    """Where a ring stands: its last seq, and what became of the events up to it."""

    last_seq: int = 0
    totals: Mapping[int, int] = field(default_factory=dict)


def payload_bytes(batch: Batch) -> int:
    """Return what a batch costs of the credit."""
    return sum(len(segment.events) for segment in batch.segments)


def totals_flaw(seq: int, totals: Mapping[int, int]) -> str | None:
    """Say what is wrong with totals that shall account for `seq` events."""
    if any(not 0 <= outcome < OUTCOME_SLOTS for outcome in totals):
        return "totals of an outcome out of range"
    found = sum(totals.values())
    return None if found == seq else f"totals sum to {found}, not {seq}"


def segment_flaw(segment: Segment) -> str | None:
    """Say what is wrong with the arithmetic of a segment."""
    events = segment.delivered
    for count in segment.counts:
        if not Outcome.DELIVERED < count.outcome < OUTCOME_SLOTS:
            return f"a count of outcome {count.outcome}"
        events += count.events
    covered = segment.seq_last - segment.seq_before
    if events != covered:
        return f"{events} events cover {covered} seqs"
    resent = segment.resent_through
    if resent and resent <= segment.seq_before:
        return f"events resent through {resent}, which is before the segment"
    return None


def batch_flaw(batch: Batch) -> str | None:
    """Say what is wrong with a batch that can be told without its rings."""
    return (
        _repeated(segment.ring for segment in batch.segments)
        or _repeated(closed.ring for closed in batch.closed)
        or next(filter(None, map(segment_flaw, batch.segments)), None)
    )


def _repeated(rings: Iterable[int]) -> str | None:
    seen: set[int] = set()
    for ring in rings:
        if ring in seen:
            return f"ring {ring} twice in one batch"
        seen.add(ring)
    return None


def advanced(position: Position, segment: Segment) -> Position:
    """Return the position of a ring after one more segment."""
    totals = dict(position.totals)
    delivered = SegmentCount(UNKNOWN_EVENT_ID, Outcome.DELIVERED, segment.delivered)
    for count in (delivered, *segment.counts):
        if count.events:
            totals[count.outcome] = totals.get(count.outcome, 0) + count.events
    return Position(segment.seq_last, totals)


def as_rejected(segment: Segment) -> Segment:
    """Return how both sides count a segment that the hub could not read."""
    outcome = Outcome.REJECTED_BY_HUB
    count = SegmentCount(UNKNOWN_EVENT_ID, outcome, segment.delivered)
    counts = (*segment.counts, count)
    return replace(segment, delivered=0, events=NO_EVENTS, counts=counts)


def without_rings(batch: Batch, rings: Container[int]) -> Batch:
    """Return a batch without what it says about some rings."""
    return Batch(
        batch.batch_seq,
        tuple(part for part in batch.segments if part.ring not in rings),
        tuple(part for part in batch.closed if part.ring not in rings),
    )


def rings_of(batch: Batch) -> list[Segment | RingClosed]:
    """Return the parts of a batch in the order in which they take effect."""
    return [*batch.segments, *batch.closed]
