"""What the spool holds of a ring, and the form in which it is kept.

A segment is kept as it would be sent, a ring as what is announced of it: worker,
names, and, once its segment of shared memory is gone, how it has ended.

Rules:
- what is read back is foreign input: a disk may have changed any bit of it. Each
  row carries a checksum over all that it says and over the ring it speaks of; what
  does not agree, or does not add up, is as good as not there;
- counters of a worker may be larger than a database integer: they are kept as JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from zlib import crc32

from shmtel.accounting.counts import Claims
from shmtel.wire.frames import Segment, SegmentCount, Worker
from shmtel.wire.protocol import OUTCOME_SLOTS, segment_flaw, totals_flaw
from shmtel_collector.batch import CEILING_BYTES

SegmentRow = tuple[int, int, int, str, bytes, int]
SEGMENT_COLUMNS = "seq_before, seq_last, delivered, counts, events, checksum"
# What a row that is not what it was can raise while it is read.
_UNSOUND = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


class UnsoundRow(ValueError):
    """A row is not what was written."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a ring has come: settled at the hub, and ever sent to it."""

    settled_seq: int
    totals: Sequence[int]
    sent_seq: int


@dataclass(frozen=True, slots=True)
class Closing:
    """How a ring has ended whose segment of shared memory is gone.

    Attributes:
        events: the worker's counters by event id, those that are not zero.
        left_out: what the collector has left out by event, see left_out.py.
    """

    reason: str
    last_seq: int
    claims: Claims = field(default_factory=Claims)
    events: Sequence[Mapping[str, Any]] = ()
    left_out: str | None = None


@dataclass(frozen=True, slots=True)
class SpooledRing:
    """What is known of a ring that has something in the spool.

    Attributes:
        closing: None while its segment of shared memory is there.
    """

    ring_id: bytes
    worker: Worker
    names: Sequence[str]
    standing: Standing
    closing: Closing | None = None


def segment_row(ring_id: bytes, segment: Segment) -> SegmentRow:
    """Return the columns of a segment."""
    counts = json.dumps([[c.event_id, c.outcome, c.events] for c in segment.counts])
    head = (segment.seq_before, segment.seq_last, segment.delivered, counts)
    return (*head, segment.events, _checksum(ring_id, head, segment.events))


def segment_of(ring_id: bytes, row: Sequence[Any]) -> Segment:
    """Read the columns of a segment.

    Raises:
        UnsoundRow: they are not what was written.
    """
    try:
        *head, events, checksum = row
        if _checksum(ring_id, head, events) != checksum:
            raise UnsoundRow("the checksum of a segment is another")
        counts = tuple(SegmentCount(*count) for count in json.loads(head[3]))
        before, last, delivered, _ = head
        segment = Segment(0, before, last, delivered, events, counts)
    except _UNSOUND as error:
        raise UnsoundRow(str(error)) from error
    if segment_flaw(segment) is not None or len(events) > CEILING_BYTES:
        raise UnsoundRow("a segment that no ring has yielded")
    return segment


def ring_text(ring: SpooledRing) -> str:
    """Return all of a ring but its standing."""
    closing = None if ring.closing is None else asdict(ring.closing)
    fields = {"worker": asdict(ring.worker), "names": list(ring.names)}
    return _sealed(ring.ring_id, fields | {"closing": closing})


def standing_text(ring_id: bytes, standing: Standing) -> str:
    """Return the standing of a ring."""
    return _sealed(ring_id, asdict(standing))


def ring_of(ring_id: bytes, text: str, standing: str) -> SpooledRing:
    """Read both.

    Raises:
        UnsoundRow: they are not what was written.
    """
    try:
        fields = _unsealed(ring_id, text)
        closing = fields["closing"]
        if closing is not None:
            closing = Closing(**closing | {"claims": Claims(**closing["claims"])})
        return SpooledRing(
            ring_id,
            Worker(**fields["worker"]),
            [str(name) for name in fields["names"]],
            _standing(Standing(**_unsealed(ring_id, standing))),
            closing,
        )
    except _UNSOUND as error:
        raise UnsoundRow(str(error)) from error


def _standing(standing: Standing) -> Standing:
    if len(standing.totals) != OUTCOME_SLOTS:
        raise UnsoundRow("totals of another number of outcomes")
    flaw = totals_flaw(standing.settled_seq, dict(enumerate(standing.totals)))
    if flaw is not None:
        raise UnsoundRow(flaw)
    return standing


def _checksum(ring_id: bytes, head: Sequence[Any], events: bytes) -> int:
    return crc32(events, crc32(repr((ring_id, *head)).encode()))


def _sealed(ring_id: bytes, fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields)
    return f"{crc32(ring_id + text.encode()):08x}{text}"


def _unsealed(ring_id: bytes, text: str) -> dict[str, Any]:
    checksum, text = text[:8], text[8:]
    if f"{crc32(ring_id + text.encode()):08x}" != checksum:
        raise UnsoundRow("the checksum of a ring is another")
    fields: dict[str, Any] = json.loads(text)
    return fields
