"""The rings of one stream, as the hub judges them.

A ring is announced, gets a state (whoever keeps the table of rings owns it) and
is advanced by segments that continue it. A part of a batch that does not fit is
a misfit; the ring is then told its position once, and no more until a part fits,
unless the position has moved since.

Rules:
- numbers count from 1 on a stream and are not used twice;
- what is closed is forgotten: streams live for weeks and workers do not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import (
    Batch,
    NamesAdded,
    RingClosed,
    RingCounters,
    RingOpened,
    Segment,
)
from shmtel.wire.limits import worker_flaw
from shmtel.wire.protocol import (
    NAMES_MAX,
    Position,
    advanced,
    rings_of,
    totals_flaw,
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


@dataclass(frozen=True, slots=True)
class Misfits:
    """What of a batch does not continue its rings.

    Attributes:
        rings: nothing that the batch says about these counts.
        unanswered: those of them that are to be told where they stand.
        parts: segments and ends that were discarded.
    """

    rings: frozenset[int]
    unanswered: tuple[int, ...]
    parts: int


class HubRings:
    """All rings that are open on a stream."""

    def __init__(self) -> None:
        self._rings: dict[int, _Ring] = {}
        self._ring_ids: set[bytes] = set()
        self._last_ring = 0

    def open(self, frame: RingOpened) -> None:
        """Take up a ring that was announced.

        Raises:
            RemoteProtocolError: it may not be announced here.
        """
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

    def add_names(self, frame: NamesAdded) -> None:
        """Count the names of a ring.

        Raises:
            RemoteProtocolError: they do not continue those before.
        """
        ring = self._ring(frame.ring)
        if frame.first_event_id != ring.name_count:
            raise RemoteProtocolError("names with a gap")
        if ring.name_count + len(frame.names) > NAMES_MAX:
            raise RemoteProtocolError("more names than a ring can hold")
        if any(len(name.encode()) > NAME_LENGTH_MAX for name in frame.names):
            raise RemoteProtocolError("a name longer than a ring can hold")
        ring.name_count += len(frame.names)

    def open_ones(self, counted: Iterable[RingCounters]) -> tuple[RingCounters, ...]:
        """Leave out rings that were closed while their counters were under way.

        Raises:
            RemoteProtocolError: one was never announced.
        """
        counted = tuple(counted)
        for ring in counted:
            if not 0 < ring.ring <= self._last_ring:
                raise RemoteProtocolError(f"ring {ring.ring} is not open")
        return tuple(ring for ring in counted if ring.ring in self._rings)

    def require_resumed(self, batch: Batch) -> None:
        """Require that all rings of a batch know where they stand.

        Raises:
            RemoteProtocolError: one is not open, or has no resume point.
        """
        for part in rings_of(batch):
            if self._ring(part.ring).state is None:
                raise RemoteProtocolError(f"ring {part.ring} has no resume point")

    def misfits(self, batch: Batch) -> Misfits:
        """Find what does not continue its ring, and note that it will be told."""
        misfits: set[int] = set()
        unanswered: list[int] = []
        parts = 0
        ends: dict[int, int] = {}
        for part in rings_of(batch):
            ring = self._rings[part.ring]
            position_seq = self.position(part.ring).last_seq
            start, end = _ends(part)
            if part.ring not in misfits and start == ends.get(part.ring, position_seq):
                ring.answered_seq = None
                ends[part.ring] = end
                continue
            misfits.add(part.ring)
            parts += 1
            if ring.answered_seq != position_seq:
                ring.answered_seq = position_seq
                unanswered.append(part.ring)
        return Misfits(frozenset(misfits), tuple(unanswered), parts)

    def resume(self, number: int, state: RingState) -> None:
        """Give a ring its state."""
        self._rings[number].state = state

    def position(self, number: int) -> Position:
        """Return where a ring stands that was resumed."""
        state = self._rings[number].state
        assert state is not None
        return state.position

    def advance(self, segment: Segment) -> None:
        """Let a segment take effect."""
        state = self._rings[segment.ring].state
        assert state is not None
        state.position = advanced(state.position, segment)

    def close(self, closed: RingClosed) -> None:
        """Forget a ring that has ended."""
        self._ring_ids.discard(self._rings.pop(closed.ring).ring_id)

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
