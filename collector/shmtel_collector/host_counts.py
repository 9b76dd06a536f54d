"""The counts of a host that belong to no ring it serves: refusals, evictions, spool.

Rings are evicted by workers that find no collector, into a file beside the rings,
and by the collector when it has no hub, into its state database. Of them the hub is
told what was lost by it, and no more: whatever was delivered before, it has seen.
Where the rest of a ring is in the spool the hub is told with the ring, and not here.
"""

from shmtel.segments import Home
from shmtel.wire.frames import HostCounters, Outcome
from shmtel_collector.finished import FoldedRings
from shmtel_collector.fleet import Fleet
from shmtel_collector.ledger import read_evicted
from shmtel_collector.spool import Spool
from shmtel_collector.tally import Tally, TallyError

_LARGEST = (1 << 64) - 1  # what a field of a frame holds


class HostCounts:
    """Reads the counts, cheaply enough for once a second."""

    def __init__(
        self, fleet: Fleet, tally: Tally, spool: Spool, home: Home, namespace: str
    ) -> None:
        self._fleet = fleet
        self._spool = spool
        self._tally = tally
        self._home = home
        self._namespace = namespace
        self._own: tuple[int, int] = (0, 0)  # rings and events that collectors evicted
        self._own_as_of: int | None = None

    def evicted_by_workers(self) -> FoldedRings:
        """Return the sum of the rings that workers have removed undrained."""
        return read_evicted(self._home, self._namespace, {})

    def frame(self) -> HostCounters:
        """Return the counts as the hub is told them."""
        refusals = self._fleet.refusals()
        theirs = self.evicted_by_workers()
        rings, events = self._evicted_by_collectors()
        events += theirs.totals.get(Outcome.LOST_EVICTED, 0)
        return HostCounters(
            refused=refusals.refused,
            quarantined=refusals.quarantined,
            evicted_rings=min(theirs.rings + rings, _LARGEST),
            evicted={Outcome.LOST_EVICTED: min(events, _LARGEST)} if events else {},
            spool_bytes=self._spool.used_bytes,
            spool_max_bytes=self._spool.max_bytes,
            spool_refused=dict(self._spool.refused),
            spool_damaged=self._spool.damages,
        )

    def _evicted_by_collectors(self) -> tuple[int, int]:
        if self._own_as_of != self._fleet.evicted:
            try:
                sums = self._tally.sums().values()
            except TallyError:  # the next round has them
                return self._own
            self._own_as_of = self._fleet.evicted
            self._own = (
                sum(gone.untold.get("rings", 0) for gone in sums),
                sum(gone.untold.get("lost", 0) for gone in sums),
            )
        return self._own
