"""One pass over all rings: every ring is asked once, in turn, for its share.

A ring may fill at most one batch per pass. Where the stream runs out of room
the pass ends, and the next one begins with the ring whose turn it was.

Room is asked for before anything is drained, so that what was taken from a ring
can always be sent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from shmtel_collector.batch import BatchBuilder
from shmtel_collector.last_account import announced
from shmtel_collector.ring import Ring, State

HUNGRY_BYTES = 32 << 10  # so much unread, or a quarter of a ring, is taken at once


class Outlet(Protocol):
    """Where batches go."""

    def has_room(self) -> bool:
        """Say whether one batch may be sent now."""

    def announce(self, ring: Ring) -> None:
        """Make sure that the other side knows the names of a ring."""

    def send(self, batch: BatchBuilder) -> None:
        """Send a batch that is not empty."""


@dataclass(slots=True)
class Pass:
    """What one pass over the rings found."""

    events: int = 0
    fill: float = 0.0  # what the fastest ring has grown by, as share of its size
    is_hungry: bool = False  # more waits than should wait for a tick
    is_starved: bool = False  # it ended for want of room


class Drain:
    """Remembers whose turn it is."""

    def __init__(self) -> None:
        self._turn = 0

    def run(self, rings: Iterable[Ring], outlet: Outlet) -> Pass:
        """Make one pass, and send what it yields."""
        live = [ring for ring in rings if ring.state is State.LIVE]
        result = Pass()
        batch = BatchBuilder()
        first = self._turn % max(len(live), 1)
        for index, ring in enumerate(live[first:] + live[:first], first):
            if ring.is_idle():  # as most rings are, most of the time
                continue
            result.fill = max(result.fill, ring.growth())
            if not batch.has_place(ring.least_bytes()):
                outlet.send(batch)
                batch = BatchBuilder()
            if batch.is_empty() and not outlet.has_room():
                self._turn = index
                result.is_starved = True
                break
            _visit(ring, batch, outlet, result)
            if batch.is_full():
                outlet.send(batch)
                batch = BatchBuilder()
        if not batch.is_empty():
            outlet.send(batch)
        return result


def _visit(ring: Ring, batch: BatchBuilder, outlet: Outlet, result: Pass) -> None:
    segment = ring.take(batch.budget_bytes())
    if segment is not None:
        outlet.announce(ring)
        batch.add(segment)
        result.events += segment.seq_last - segment.seq_before
        limit = min(HUNGRY_BYTES, ring.source.capacity // 4)
        result.is_hungry |= ring.is_behind(limit)
    if ring.is_drained():
        ring.state = State.CLOSING
        batch.close(announced(ring))
