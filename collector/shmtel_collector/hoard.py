"""Dead workers' rings that nobody takes: kept within the budget of the namespace.

While a hub is there every ring is drained, however many there are. While none is,
the rings of the dead stay, held by this collector, and no worker that starts may
touch them; so beyond the budget (shmtel/budget.py) the collector itself evicts the
oldest. It waits a little before it does so, for a hub that is only being restarted.

What was in an evicted ring goes into the state database, as with any ring that has
ended: its settled totals, and the rest as lost, reason evicted. Written first and
removed then, so a kill in between leaves a ring that is drained after all, and whose
row that replaces.
"""

import os
from collections.abc import Iterable

from shmtel import _ring
from shmtel.accounting.counts import Claims, add_counts
from shmtel.budget import SHARE, used_bytes
from shmtel.dead_rings import last_seq, lost_with
from shmtel.segments import Home
from shmtel.wire.frames import Outcome
from shmtel_collector.finished import FinishedRing
from shmtel_collector.fleet import Fleet
from shmtel_collector.left_out import event_table
from shmtel_collector.ring import Ring, State
from shmtel_collector.settlement import to_table

EVICTED = "evicted"
ROUND_NS = 1_000_000_000
PATIENCE_NS = 5_000_000_000


class Hoard:
    """Looks after the rings of the dead while there is no hub."""

    def __init__(self, fleet: Fleet, home: Home) -> None:
        self._fleet = fleet
        self._home = home
        self._away_since_ns: int | None = None
        self._next_look_ns = 0

    def tick(self, now_ns: int, realtime_ns: int, *, is_connected: bool) -> None:
        """Evict what is beyond the budget, if nobody has taken anything for long."""
        if is_connected:
            self._away_since_ns = None
            return
        if self._away_since_ns is None:
            self._away_since_ns = now_ns
        if now_ns - self._away_since_ns < PATIENCE_NS or now_ns < self._next_look_ns:
            return
        self._next_look_ns = now_ns + ROUND_NS
        for ring in beyond_budget(self._fleet.rings.values(), self._home):
            self._fleet.evict(ring, evicted(ring, realtime_ns))


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


def evicted(ring: Ring, closed_ns: int) -> FinishedRing:
    """Return what stays of a ring that is removed undrained."""
    source = ring.source
    last, lost = _last_seq_and_lost(ring)
    totals = add_counts(
        to_table(source.totals), {n: count for n, count in lost.items() if count}
    )
    return FinishedRing(
        ring_id=ring.ring_id,
        worker_id=ring.worker.worker_id,
        pool_name=ring.worker.pool_name,
        pid=ring.worker.pid,
        closed_ns=closed_ns,
        reason=EVICTED,
        last_seq=last,
        totals=totals,
        claims=source.claims() or Claims(committed=last),
        events=event_table(source.events(), ring.left_out.counts(), totals),
        service=ring.worker.service,
        worker_index=ring.worker.worker_index,
    )


def _last_seq_and_lost(ring: Ring) -> tuple[int, dict[int, int]]:
    """Read both from the records; of a damaged ring take what is plausible."""
    source, fd = ring.source, ring.source.fileno()
    try:
        seen = _ring.observe(fd)
        last = max(last_seq(fd, seen), source.settled_seq)
        return last, lost_with(seen, last)
    except _ring.RingError:
        last = max(source.claimed_seq(), source.settled_seq)
        return last, {Outcome.LOST_EVICTED: last - source.settled_seq}
