"""Reads one ring in order: each segment once, and how far it has come.

Names on the way are read, and so judged, before their events. Of a damaged ring
nothing more is drained; what the worker claims beyond the last good record is
counted as lost, once when the damage is met and once at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shmtel import _ring
from shmtel.wire.frames import Outcome, Segment, SegmentCount
from shmtel_collector.backlog import lost
from shmtel_collector.ring_source import RingSource


@dataclass(frozen=True, slots=True)
class Read:
    """A segment, and the position behind its records."""

    segment: Segment
    position: int


class Reader:
    """Goes through a ring, up to its end.

    Attributes:
        seq: everything up to here was read, or was released before.
    """

    def __init__(self, source: RingSource) -> None:
        self.seq = source.head_seq
        self._source = source
        self._claimed_seq: int | None = None  # what to count up to; None: not now

    def read(self, budget_bytes: int, read_names: Callable[[], bool]) -> Read | None:
        """Return what comes next, at most a budget; None: nothing is there."""
        drained = self._drain(budget_bytes, read_names)
        if drained is None:
            return self._read_claimed()
        self.seq = drained.seq_last
        segment = Segment(
            ring=0,
            seq_before=drained.seq_before,
            seq_last=drained.seq_last,
            delivered=drained.delivered,
            events=drained.events,
            counts=tuple(SegmentCount(*count) for count in drained.counts),
        )
        return Read(segment, drained.position)

    def ask_again(self) -> None:
        """Have a damaged ring asked once more what it still holds."""
        self._claimed_seq = None

    def rewind(self) -> None:
        """Go back to head."""
        self.ask_again()
        self._source.rewind()
        self.seq = self._source.head_seq

    def is_at(self, final_tail: int) -> bool:
        """Say whether everything up to the end was read."""
        if self._source.damage is not None:
            return self._claimed_seq is not None and self._claimed_seq <= self.seq
        return self._source.cursor >= final_tail

    def _drain(
        self, budget_bytes: int, read_names: Callable[[], bool]
    ) -> "_ring.Drained | None":
        drained = self._source.drain(budget_bytes)
        while drained is not None:
            has_grown = read_names()
            if drained.seq_last > drained.seq_before:
                return drained
            if not drained.wants_names:  # overwritten faster than it can be copied
                return None
            if not has_grown:  # it has taken back a name that it had published
                self._source.spoil("names")
                return None
            drained = self._source.drain(budget_bytes)
        return None

    def _read_claimed(self) -> Read | None:
        if self._source.damage is None:
            return None
        if self._claimed_seq is None:
            self._claimed_seq = self._source.claimed_seq()
        if self._claimed_seq <= self.seq:
            return None
        gap = lost(self.seq, self._claimed_seq, Outcome.LOST_QUARANTINED)
        self.seq = self._claimed_seq
        return Read(gap, self._source.cursor)
