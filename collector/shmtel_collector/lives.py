"""The beginnings of workers as events of the collector; their ends: lifecycle.py.

    pool.worker.spawned     a ring was found of a process that had none before
    pool.worker.restarted   and its seat, the index in its pool, was another's before
    pool.worker.ready       it has committed its first event
    pool.initialized        and is the first in its pool to do so

Each is told once for each process, whoever is started anew meanwhile: what is told is
written down first (life_store.py), for all that a tick has found at once. So a kill in
between costs the event and doubles none. While it cannot be written nothing is told;
it is tried again each second.

A restart is told when it is known how the one before has ended. A worker can be found
before its predecessor's end is proven, so there may be a wait; it is over when the
predecessor's last ring goes, at the latest.

A pool begins anew when no worker of it was there for a minute: one whose only worker
is replaced after each task does not begin with each.

Rules: of rings that a collector wrote nothing is told; nothing here raises.
"""

from collections import Counter

from shmtel_collector.finished import FinishedRing
from shmtel_collector.journal import Journal
from shmtel_collector.life_news import Life, LifeEnd, LifeNews, Restart
from shmtel_collector.life_store import LifeStore, LifeStoreError
from shmtel_collector.lifeline import Lifeline
from shmtel_collector.logs import ConditionLog
from shmtel_collector.ring import RETIRED, Ring
from shmtel_collector.subjects import Pool, pool_of
from shmtel_collector.worker_process import process_of, start_up_ns

_CONDITION = "lives"
_PRUNE_EVERY = 1_024  # lives


class Lives:
    """Tells that workers have begun."""

    def __init__(
        self,
        store: LifeStore,
        journal: Journal,
        log: ConditionLog,
        boot_id: bytes,
        started_ns: int,
        *,
        is_told: bool = True,
    ) -> None:
        """Prepare; `started_ns`: since when this collector looks, by the wall clock."""
        self._store = store
        self._journal = journal
        self._log = log
        self._boot_id = boot_id
        self._started_ns = started_ns
        self._is_told = is_told
        self._present: dict[bytes, Life] = {}
        self._pools: Counter[Pool] = Counter()  # of those present that are told
        self._new: dict[bytes, Life] = {}
        self._unready: dict[bytes, Life] = {}
        self._ends: dict[bytes, LifeEnd] = {}
        self._awaited: dict[bytes, Restart] = {}
        self._beginning: set[Pool] = set()
        self._since_pruned = _PRUNE_EVERY

    def attach(self, ring: Ring) -> None:
        """Note a ring that was found."""
        if ring.is_own or not self._is_told:
            return
        identity = ring.source.identity
        process = process_of(identity)
        if process not in self._present:
            start_up = start_up_ns(identity, self._boot_id)
            life = Life(process, ring.worker, start_up)
            self._present[process] = self._new[process] = life
        self._present[process].rings[ring.ring_id] = ring

    def end(self, ring: Ring, lifeline: Lifeline) -> None:
        """Note that a ring has ended; unless it was retired its process is dead."""
        if ring.end is not None and ring.end.reason != RETIRED:
            is_seen = lifeline.lifetime_ns() is not None
            ended_ns = lifeline.ended_ns if is_seen else 0
            self._note_end(ring, ring.end.reason, ended_ns)

    def detach(self, ring: Ring, account: FinishedRing) -> None:
        """Note that a ring is gone."""
        process = process_of(ring.source.identity)
        life = self._present.get(process)
        if life is None or life.rings.pop(ring.ring_id, None) is None or life.rings:
            return
        if process in self._awaited:
            self._note_end(ring, account.reason, 0)
        del self._present[process]
        self._unready.pop(process, None)
        if self._new.pop(process, None) is None:
            self._leave_pool(pool_of(life.worker))

    def tell(self, now_ns: int) -> None:
        """Tell what is new, by the wall clock."""
        unready = [life for life in self._unready.values() if life.has_events()]
        if not (self._new or self._ends or unready) or not self._journal.is_open:
            return
        self._journal.prepare()  # between the mark and the event is no time
        try:
            news = self._write(unready, now_ns)
        except LifeStoreError as error:
            self._log.warning(_CONDITION, "%s", error)
            return
        self._take_over(news)
        for event in news.events:
            self._journal.record(*event)

    def _note_end(self, ring: Ring, reason: str, ended_ns: int) -> None:
        process = process_of(ring.source.identity)
        if process in self._present:
            worker = self._present[process].worker
            end = LifeEnd(process, worker, reason, ended_ns)
            self._ends.setdefault(process, end)

    def _leave_pool(self, pool: Pool) -> None:
        self._pools[pool] -= 1
        if self._pools[pool] <= 0:
            del self._pools[pool]
            self._beginning.discard(pool)

    def _write(self, unready: list[Life], now_ns: int) -> LifeNews:
        news = LifeNews(
            *(now_ns, self._started_ns, self._present.keys() | self._ends.keys()),
            *(self._pools.copy(), self._beginning.copy(), self._awaited.copy()),
        )
        with self._store.writing() as rows:
            for life in sorted(self._new.values(), key=_age):
                news.begin(rows, life)
            for life in unready:
                news.make_ready(rows, life)
            for end in sorted(self._ends.values(), key=_age):
                news.end(rows, end)
            if self._since_pruned >= _PRUNE_EVERY:
                rows.prune(self._present, now_ns)
        return news

    def _take_over(self, news: LifeNews) -> None:
        self._since_pruned %= _PRUNE_EVERY
        self._since_pruned += len(self._new)
        self._pools, self._beginning = news.pools, news.beginning
        self._awaited = news.awaited
        self._unready |= self._new
        for process in news.ready:
            self._unready.pop(process, None)
        self._new, self._ends = {}, {}


def _age(one: Life | LifeEnd) -> int:
    """Let orphans, found in no order, take their seats in that of their making."""
    return one.worker.created_ns
