"""What is to be told of workers' lives at one moment, worked out in one transaction.

It is made from what is known before, and nothing of it holds until the transaction
is through: then lives.py takes over what is here.
"""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from shmtel.wire.frames import Worker
from shmtel_collector.journal import Metadata
from shmtel_collector.life_store import POOL, UNKNOWN, LifeRows, Place, Seat
from shmtel_collector.ring import Ring
from shmtel_collector.subjects import (
    POOL_REST_NS,
    Pool,
    pool_metadata,
    pool_of,
    subject_of,
)

SPAWNED = "pool.worker.spawned"
RESTARTED = "pool.worker.restarted"
READY = "pool.worker.ready"
INITIALIZED = "pool.initialized"


@dataclass(slots=True)
class Life:
    """A process that has rings here.

    Attributes:
        start_up_ns: from its start to its first ring; None: not known.
    """

    process: bytes
    worker: Worker
    start_up_ns: int | None
    rings: dict[bytes, Ring] = field(default_factory=dict)

    def has_events(self) -> bool:
        """Say whether it has committed anything."""
        return any(ring.source.tail() > 0 for ring in self.rings.values())

    def metadata(self) -> dict[str, str | int]:
        """Return what names it in an event."""
        return subject_of(self.worker, next(iter(self.rings)))


@dataclass(frozen=True, slots=True)
class LifeEnd:
    """The proven end of a process, or of the last ring that it had here.

    Attributes:
        ended_ns: when its end was seen; 0: nobody saw it.
    """

    process: bytes
    worker: Worker
    reason: str
    ended_ns: int


@dataclass(frozen=True, slots=True)
class Restart:
    """A worker that has taken over a seat, for all but how the last one ended."""

    count: int
    created_ns: int
    metadata: Metadata


@dataclass(slots=True)
class LifeNews:
    """Events, and what is known when they are told.

    Attributes:
        awaitable: processes whose end is still to be told, now or later.
        pools: workers that are here and told, by pool.
        beginning: pools that have begun, and have no ready worker yet.
        awaited: restarts, by the process for whose end they wait.
        ready: processes of which it was told now, or before, that they are ready.
    """

    now_ns: int
    started_ns: int
    awaitable: Container[bytes]
    pools: Counter[Pool]
    beginning: set[Pool]
    awaited: dict[bytes, Restart]
    ready: set[bytes] = field(default_factory=set)
    events: list[tuple[str, Mapping[str, int], Metadata]] = field(default_factory=list)

    def begin(self, rows: LifeRows, life: Life) -> None:
        """Take note of a process that has its first ring here."""
        known = rows.is_ready(life.process)
        if known is None:
            rows.note(life.process, is_ready=False, now_ns=self.now_ns)
            self._spawn(rows, life)
        self.pools[pool_of(life.worker)] += 1
        if known:
            self.ready.add(life.process)
        elif life.has_events():
            self.make_ready(rows, life)

    def make_ready(self, rows: LifeRows, life: Life) -> None:
        """Take note of a process that has committed its first event."""
        rows.note(life.process, is_ready=True, now_ns=self.now_ns)
        self.ready.add(life.process)
        created_ns, pool = self._created_ns(life.worker), pool_of(life.worker)
        start_up = {}
        # Of one that was there before us nobody knows when its first event came.
        if life.start_up_ns is not None and self.started_ns <= created_ns:
            start_up["start_up"] = life.start_up_ns + self.now_ns - created_ns
        self.events.append((READY, start_up, life.metadata()))
        if pool in self.beginning:
            self.beginning.discard(pool)
            workers = {"workers": self.pools[pool]}
            self.events.append((INITIALIZED, workers, pool_metadata(pool)))

    def end(self, rows: LifeRows, end: LifeEnd) -> None:
        """Take note of the end of a process."""
        rows.end(
            _place(end.worker),
            end.process,
            reason=end.reason,
            ended_ns=end.ended_ns,
            now_ns=self.now_ns,
        )
        if (restart := self.awaited.pop(end.process, None)) is not None:
            self._tell_restart(restart, end.reason, end.ended_ns)

    def _spawn(self, rows: LifeRows, life: Life) -> None:
        pool, worker = pool_of(life.worker), life.worker
        before = rows.seat((*pool, POOL))
        if self._is_at_rest(pool, before):
            self.beginning.add(pool)
        spawns = self._take(rows, (*pool, POOL), before, Life(b"", worker, None))
        measurements = {"spawn_count": spawns}
        if life.start_up_ns is not None:
            measurements["start_up"] = life.start_up_ns
        self.events.append((SPAWNED, measurements, life.metadata()))
        if worker.worker_index is not None:
            self._sit_down(rows, life)

    def _sit_down(self, rows: LifeRows, life: Life) -> None:
        place = _place(life.worker)
        before, created_ns = rows.seat(place), self._created_ns(life.worker)
        if before is not None and (
            before.process == life.process  # it was forgotten, and the seat was not
            or before.created_ns > created_ns  # it had the seat before that one
        ):
            return
        spawns = self._take(rows, place, before, life)
        if before is None:
            return
        restart = Restart(spawns - 1, created_ns, life.metadata())
        if before.reason or before.process not in self.awaitable:
            self._tell_restart(restart, before.reason or UNKNOWN, before.ended_ns)
        else:
            self.awaited[before.process] = restart

    def _take(
        self, rows: LifeRows, place: Place, before: Seat | None, life: Life
    ) -> int:
        spawns = 1 if before is None else before.spawns + 1
        created_ns = self._created_ns(life.worker)
        rows.take(place, Seat(spawns, life.process, created_ns, 0, "", self.now_ns))
        return spawns

    def _created_ns(self, worker: Worker) -> int:
        """Return what a worker says of it; nothing was made in the future."""
        return min(worker.created_ns, self.now_ns)

    def _is_at_rest(self, pool: Pool, before: Seat | None) -> bool:
        if before is None:
            return True
        return not self.pools[pool] and self.now_ns - before.touched_ns > POOL_REST_NS

    def _tell_restart(self, restart: Restart, reason: str, ended_ns: int) -> None:
        measurements = {"restart_count": restart.count}
        if ended_ns:  # one that came before the end was noticed was at once there
            measurements["downtime"] = max(restart.created_ns - ended_ns, 0)
        metadata = {**restart.metadata, "reason": reason}
        self.events.append((RESTARTED, measurements, metadata))


def _place(worker: Worker) -> Place:
    index = worker.worker_index
    return (*pool_of(worker), POOL if index is None else index)
