"""The rings of one stream, as the collector may send of them.

A ring is announced, becomes ready with its resume point, and each segment then
continues where the one before ended.

Rules:
- what the hub would refuse is a LocalProtocolError, raised before anything changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shmtel.wire.errors import LocalProtocolError
from shmtel.wire.frames import Batch, RingClosed, Segment
from shmtel.wire.protocol import rings_of


@dataclass(slots=True)
class _Ring:
    next_before: int | None = None  # seq_before of the next segment; None: not ready
    name_count: int = 0
    is_closing: bool = False  # its end was sent; the hub may have forgotten it


class CollectorRings:
    """All rings that are open on a stream."""

    def __init__(self) -> None:
        self._rings: dict[int, _Ring] = {}
        self._last_ring = 0

    def __contains__(self, number: int) -> bool:
        return number in self._rings

    def open(self) -> int:
        """Take up one more ring, and return its number."""
        self._last_ring += 1
        self._rings[self._last_ring] = _Ring()
        return self._last_ring

    def add_names(self, number: int, first_event_id: int, names: Sequence[str]) -> None:
        """Count the names of a ring."""
        ring = self._ring(number)
        if first_event_id != ring.name_count:
            raise LocalProtocolError(
                f"names from {first_event_id}, {ring.name_count} are known"
            )
        ring.name_count += len(names)

    def is_ready(self, number: int) -> bool:
        """Tell whether the resume point of a ring has arrived."""
        return self._ring(number).next_before is not None

    def resume(self, number: int, last_seq: int) -> None:
        """Go on from a resume point."""
        ring = self._ring(number)
        ring.next_before, ring.is_closing = last_seq, False

    def is_known(self, number: int) -> bool:
        """Say whether the hub is sure to know a ring still."""
        return not self._ring(number).is_closing

    def require_continued(self, batch: Batch) -> None:
        """Require that all parts of a batch continue their rings."""
        ends = {segment.ring: segment.seq_last for segment in batch.segments}
        for part in rings_of(batch):
            flaw = self._continuation_flaw(part, ends)
            if flaw is not None:
                raise LocalProtocolError(flaw)

    def advance(self, batch: Batch) -> None:
        """Note what is sent."""
        for segment in batch.segments:
            self._ring(segment.ring).next_before = segment.seq_last
        for closed in batch.closed:
            self._ring(closed.ring).is_closing = True

    def close(self, closed: Sequence[RingClosed]) -> None:
        """Forget rings whose end is acknowledged: streams live longer than workers."""
        for part in closed:
            self._rings.pop(part.ring, None)

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

    def _ring(self, number: int) -> _Ring:
        ring = self._rings.get(number)
        if ring is None:
            raise LocalProtocolError(f"ring {number} is not open")
        return ring
