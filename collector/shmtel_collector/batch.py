"""Fills one batch after the other from the segments of many rings.

A batch aims at TARGET_BYTES of events, about a thousand, and leaves earlier
when a pass over the rings ends. A ring yields at least one record whatever its
budget, so a batch can exceed its target by one largest record: room for that is
asked of the stream before anything is drained.
"""

from shmtel.wire.frames import RingClosed, Segment

TARGET_BYTES = 128 << 10
LEAST_BUDGET_BYTES = 32 << 10  # a smaller rest is left to the next batch
LARGEST_RECORD_BYTES = 64 << 10
CEILING_BYTES = TARGET_BYTES + LARGEST_RECORD_BYTES  # what both sides measure by


class BatchBuilder:
    """Collects segments and closings until the batch is full."""

    __slots__ = ("bytes", "closed", "segments")

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.closed: list[RingClosed] = []
        self.bytes = 0

    def add(self, segment: Segment) -> None:
        """Add a ring's part."""
        self.segments.append(segment)
        self.bytes += len(segment.events)

    def close(self, closed: RingClosed) -> None:
        """Add the end of a ring; it takes effect after the segments."""
        self.closed.append(closed)

    def budget_bytes(self) -> int:
        """Return how much the next ring may add."""
        return TARGET_BYTES - self.bytes

    def has_place(self, least_bytes: int) -> bool:
        """Say whether a segment of at least that size fits in, whatever its budget."""
        return self.is_empty() or self.bytes + least_bytes <= CEILING_BYTES

    def is_full(self) -> bool:
        """Say whether the batch should leave before another ring is asked."""
        return self.budget_bytes() < LEAST_BUDGET_BYTES

    def is_empty(self) -> bool:
        """Say whether there is nothing to send."""
        return not self.segments and not self.closed
