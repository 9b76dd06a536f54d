"""The status of each pool as an event of the collector, once in a period.

What is counted goes from when this collector first saw the pool: of a live ring what
its worker claims, of one that is gone its final account. So counts never go back
while the collector runs, and begin anew when it is started anew, as counters do. What
a ring held before the collector was there is in the counts and not in the rate.

A pool without a ring is told for a minute more, with no workers, and then forgotten.

Rules: of rings that a collector wrote nothing is told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shmtel import _ring
from shmtel.accounting.counts import Claims
from shmtel_collector.finished import FinishedRing
from shmtel_collector.journal import Journal
from shmtel_collector.ring import Ring
from shmtel_collector.subjects import POOL_REST_NS, Pool, pool_metadata, pool_of
from shmtel_collector.worker_end import LARGEST, counts_of
from shmtel_collector.worker_process import process_of

STATUS = "pool.status"
POOLS_MAX = 1_024  # those without a ring go first


@dataclass(slots=True)
class _Counts:
    committed: int = 0
    dropped: int = 0
    sampled_out: int = 0
    lost: int = 0

    def add(self, counts: Mapping[str, int]) -> None:
        self.committed += counts["committed"]
        self.dropped += counts["dropped"]
        self.sampled_out += counts["sampled_out"]
        self.lost += counts["lost"]


@dataclass(slots=True)
class _Pool:
    """What is remembered of a pool from one status to the next."""

    told_ns: int  # when it was last told, or first seen
    told_committed: int
    seen_ns: int  # when it last had a ring
    gone: _Counts


@dataclass(slots=True)
class _Look:
    """What its rings say of a pool now."""

    workers: set[bytes]
    ready: set[bytes]
    counts: _Counts
    unread_bytes: int = 0


class Pools:
    """Counts for each pool, and tells it."""

    def __init__(self, journal: Journal, interval_ns: int, started_ns: int) -> None:
        """Prepare; every `interval_ns` its status is told, and never if that is 0.

        Args:
            started_ns: since when this collector looks, by the wall clock.
        """
        self._journal = journal
        self._interval_ns = interval_ns
        self._started_ns = started_ns
        self._pools: dict[Pool, _Pool] = {}
        self._now_ns = self._next_ns = 0

    def attach(self, ring: Ring) -> None:
        """Note a ring that was found."""
        if ring.is_own or not self._interval_ns:
            return
        pool = self._pool(pool_of(ring.worker))
        if ring.worker.created_ns < self._started_ns:
            pool.told_committed += _counts_of_ring(ring)["committed"]

    def detach(self, ring: Ring, account: FinishedRing) -> None:
        """Note that a ring is gone, with its account."""
        if not ring.is_own and self._interval_ns:
            self._pool(pool_of(ring.worker)).gone.add(counts_of(account))

    def tick(self, now_ns: int, rings: Iterable[Ring]) -> None:
        """Tell the status of each pool, if it is time to; by the monotonic clock."""
        self._now_ns = now_ns
        if not self._interval_ns or now_ns < self._next_ns:
            return
        is_first, self._next_ns = not self._next_ns, now_ns + self._interval_ns
        if is_first or not self._journal.is_open:
            return
        looks = _looks_of(rings)
        for key in looks:
            self._pool(key).seen_ns = now_ns
        for key, pool in list(self._pools.items()):
            if now_ns - pool.seen_ns > POOL_REST_NS:
                del self._pools[key]
            else:
                self._tell(key, pool, looks.get(key) or _Look(set(), set(), _Counts()))

    def _pool(self, key: Pool) -> _Pool:
        if key not in self._pools:
            if len(self._pools) >= POOLS_MAX:
                del self._pools[min(self._pools, key=lambda k: self._pools[k].seen_ns)]
            self._pools[key] = _Pool(self._now_ns, 0, self._now_ns, _Counts())
        return self._pools[key]

    def _tell(self, key: Pool, pool: _Pool, look: _Look) -> None:
        gone, here = pool.gone, look.counts
        committed = gone.committed + here.committed
        # A ring that turns out damaged takes back what it had claimed.
        grown = max(committed - pool.told_committed, 0)
        seconds = (self._now_ns - pool.told_ns) / 1e9
        pool.told_ns, pool.told_committed = self._now_ns, committed
        measurements = {
            "workers": len(look.workers),
            "ready": len(look.ready),
            "committed": committed,
            "committed_per_second": round(grown / seconds, 3) if seconds > 0 else 0.0,
            "dropped": gone.dropped + here.dropped,
            "sampled_out": gone.sampled_out + here.sampled_out,
            "lost": gone.lost + here.lost,
            "unread_bytes": look.unread_bytes,
        }
        numbers = {word: min(n, LARGEST) for word, n in measurements.items()}
        self._journal.record(STATUS, numbers, pool_metadata(key))


def _looks_of(rings: Iterable[Ring]) -> dict[Pool, _Look]:
    looks: dict[Pool, _Look] = {}
    for ring in rings:
        if ring.is_own:
            continue
        look = looks.setdefault(pool_of(ring.worker), _Look(set(), set(), _Counts()))
        look.counts.add(_counts_of_ring(ring))
        tail = ring.source.tail()
        look.unread_bytes += max(tail - ring.source.cursor, 0)
        if ring.end is None:
            process = process_of(ring.source.identity)
            look.workers.add(process)
            if tail > 0:
                look.ready.add(process)
    return looks


def _counts_of_ring(ring: Ring) -> dict[str, int]:
    """Return what is counted of a ring that is served; what cannot be read is 0."""
    source = ring.source
    claims = source.claims() or Claims(ring.reader.seq)
    is_sound = source.damage is None
    totals = enumerate(source.totals)
    return {
        "committed": claims.committed if is_sound else ring.reader.seq,
        "dropped": sum(claims.dropped.values()),
        "sampled_out": claims.sampled_out,
        "lost": sum(n for outcome, n in totals if n and _is_loss(outcome)),
    }


def _is_loss(outcome: int) -> bool:
    return _ring.OUTCOMES.get(outcome, ("lost", ""))[0] == "lost"
