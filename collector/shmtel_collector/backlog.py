"""What the spool holds of one ring, handed out in order.

The ring knows up to where its events are spooled. What the spool does not have of
them, because it was damaged, is a hole: a segment without events that counts it as
lost. A segment that the hub knows the beginning of is cut.
"""

from collections.abc import Mapping, Sequence

from shmtel.wire.frames import UNKNOWN_EVENT_ID, Outcome, Segment, SegmentCount
from shmtel.wire.protocol import NO_EVENTS
from shmtel_collector import settlement
from shmtel_collector.cut import cut
from shmtel_collector.spool import Spool
from shmtel_collector.spool_records import Standing

_HOLE = Outcome.LOST_SPOOL_DAMAGED


def lost(seq_before: int, seq_last: int, outcome: int) -> Segment:
    """Return a segment that counts all of its events as lost."""
    count = SegmentCount(UNKNOWN_EVENT_ID, outcome, seq_last - seq_before)
    return Segment(0, seq_before, seq_last, 0, NO_EVENTS, (count,))


class Backlog:
    """One ring's part of the spool."""

    def __init__(self, spool: Spool, ring_id: bytes) -> None:
        self._spool = spool
        self._ring_id = ring_id
        self._next: Segment | None = None
        self._counted: Mapping[int, int] = {}

    def peek(self, after_seq: int, head_seq: int) -> Segment:
        """Return what follows a seq, up to head_seq at most; it stays here.

        Raises:
            SpoolUnreadable: this cannot be said at present.
        """
        if self._next is None or self._next.seq_before != after_seq:
            self._next = self._find(after_seq, head_seq)
        return self._next

    def drop(self) -> None:
        """Forget what was looked at: it is sent, or the stream is gone."""
        self._next = None

    def resume(self, ours: Standing, last_seq: int, theirs: Sequence[int]) -> None:
        """Prepare for a hub that stands at `last_seq`, amid what is here.

        Args:
            theirs: its totals up to there; ours reach up to what we have settled.

        Raises:
            SpoolUnreadable: what is here cannot be read at present.
        """
        spool, seq, totals = self._spool, ours.settled_seq, list(ours.totals)
        while (found := spool.next_segment(self._ring_id, seq, last_seq)) is not None:
            totals, seq = settlement.after(totals, found), found.seq_last
        self._counted = {
            outcome: max(their - our, 0)
            for outcome, (their, our) in enumerate(zip(theirs, totals, strict=True))
        }

    def note(self, standing: Standing) -> None:
        """Give up what is settled, and note what is sent."""
        self._spool.release(self._ring_id, standing)

    def _find(self, after_seq: int, head_seq: int) -> Segment:
        segment = self._spool.next_segment(self._ring_id, after_seq, head_seq)
        if segment is None:
            return self._hole(after_seq, head_seq)
        if segment.seq_before > after_seq:
            return self._hole(after_seq, segment.seq_before)
        if segment.seq_before == after_seq:
            return segment
        try:
            return cut(segment, after_seq, self._counted)
        except ValueError:
            return self._hole(after_seq, segment.seq_last)

    def _hole(self, seq_before: int, seq_last: int) -> Segment:
        self._spool.note_hole(self._ring_id, seq_last - seq_before)
        return lost(seq_before, seq_last, _HOLE)
