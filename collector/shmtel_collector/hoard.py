"""Dead workers' rings that nobody takes: kept within the budget of the namespace.

While a hub is there every ring is drained, however many there are. While none is,
the rings of the dead stay, held by this collector, and no worker that starts may
touch them; so beyond the budget (shmtel/budget.py) the collector itself evicts the
oldest. It waits a little before it does so, for a hub that is only being restarted.

What was in an evicted ring goes into the state database, as with any ring that has
ended: its settled totals, and the rest as lost, reason evicted. Written first and
removed then, so a kill in between leaves a ring that is drained after all, and whose
row that replaces.

A spool takes these rings, and nothing need be evicted unless it is full. What it has
of a ring is not given up then: only the rest is, and the spool is told how much.
"""

import os
from collections.abc import Iterable

from shmtel import _ring
from shmtel.accounting.counts import add_counts
from shmtel.budget import SHARE, used_bytes
from shmtel.dead_rings import last_seq, lost_with
from shmtel.segments import Home
from shmtel.wire.frames import UNKNOWN_EVENT_ID, Outcome, Segment, SegmentCount
from shmtel.wire.protocol import NO_EVENTS
from shmtel_collector.finished import EVICTED, FinishedRing
from shmtel_collector.fleet import Fleet
from shmtel_collector.last_account import account, closing_of, spooled_ring
from shmtel_collector.ring import Ring, State
from shmtel_collector.settlement import to_table
from shmtel_collector.spool import Spool

ROUND_NS = 1_000_000_000
PATIENCE_NS = 5_000_000_000


class Hoard:
    """Looks after the rings of the dead while there is no hub."""

    def __init__(self, fleet: Fleet, home: Home, spool: Spool) -> None:
        self._fleet = fleet
        self._home = home
        self._spool = spool
        self._away_since_ns: int | None = None
        self._next_look_ns = 0

    def tick(self, now_ns: int, realtime_ns: int, *, is_connected: bool) -> None:
        """Evict what is beyond the budget, if nobody has taken anything for long."""
        if is_connected or not self._spool.is_full():
            self._away_since_ns = None
            return
        if self._away_since_ns is None:
            self._away_since_ns = now_ns
        if now_ns - self._away_since_ns < PATIENCE_NS or now_ns < self._next_look_ns:
            return
        self._next_look_ns = now_ns + ROUND_NS
        for ring in beyond_budget(self._fleet.rings.values(), self._home):
            last, lost = _last_seq_and_lost(ring)
            if ring.source.head_seq == ring.source.settled_seq:
                self._fleet.evict(ring, evicted(ring, realtime_ns, last, lost))
            else:
                self._evict_rest(ring, last, lost)

    def _evict_rest(self, ring: Ring, last: int, lost: dict[int, int]) -> None:
        """Give up what of a ring is not in the spool."""
        gap = gap_of(ring.source.head_seq, last, lost)
        closing = closing_of(ring, EVICTED, last)
        if self._spool.append([(spooled_ring(ring, closing), gap)]) and (
            self._fleet.bury(ring, closing)
        ):
            self._fleet.note_eviction()


def beyond_budget(rings: Iterable[Ring], home: Home) -> list[Ring]:
    """Return the dead rings that must go, those with the oldest files first."""
    dead = [
        (status.st_mtime_ns, ring.name, ring, used_bytes(status))
        for ring in rings
        if ring.end is not None and ring.state is not State.CLOSED
        for status in (os.fstat(ring.source.fileno()),)
    ]
    budget_bytes = home.size_bytes() // SHARE
    excess = sum(size for *_, size in dead) - budget_bytes if budget_bytes else 0
    result: list[Ring] = []
    for _, _, ring, size in sorted(dead, key=lambda item: item[:2]):
        if excess <= 0:
            break
        excess -= size
        result.append(ring)
    return result


def evicted(
    ring: Ring, closed_ns: int, last: int, lost: dict[int, int]
) -> FinishedRing:
    """Return what stays of a ring that is removed undrained."""
    settled = to_table(ring.source.totals)
    totals = add_counts(settled, {n: count for n, count in lost.items() if count})
    return account(ring, closed_ns, EVICTED, last, totals)


def gap_of(head_seq: int, last: int, lost: dict[int, int]) -> list[Segment]:
    """Return what stands in the spool for events that are lost."""
    counts = [SegmentCount(UNKNOWN_EVENT_ID, n, lost[n]) for n in lost if lost[n]]
    return [Segment(0, head_seq, last, 0, NO_EVENTS, tuple(counts))] if counts else []


def _last_seq_and_lost(ring: Ring) -> tuple[int, dict[int, int]]:
    """Read both from the records; of a damaged ring take what is plausible."""
    source, fd = ring.source, ring.source.fileno()
    try:
        seen = _ring.observe(fd)
        last = max(last_seq(fd, seen), source.head_seq)
        return last, lost_with(seen, last)
    except _ring.RingError:
        last = max(source.claimed_seq(), source.head_seq)
        return last, {Outcome.LOST_EVICTED: last - source.head_seq}
