"""The collector's own events: changes of what is in force, and lives of workers.

They go where the events of workers go, through a ring in the collector's own
namespace that this process writes and drains itself. The ring is made for the
first event, and what it still holds at the end is the next collector's, as with
any worker that has gone.

A flood must not fill the ring: of each kind of events a burst is written and then so
many a second, and the next one says how many were left out. A kind is the first
segment of the names, or one name of which there may be many. So workers that die by
the hundred hide no change.

What comes again in any case (a status, a sample) is left out too while the ring is
half full: with a hub away for an hour there is room for what will not come again.

Rules: nothing here raises into whoever changes something.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

import shmtel
from shmtel import _ring, ring
from shmtel.config import WorkerConfig
from shmtel.errors import ShmtelError
from shmtel_collector.allowance import Allowance
from shmtel_collector.logs import ConditionLog

WORKER_ID = "collector"
POOL_NAME = "shmtel"
SERVICE = "shmtel-collector"
BURST = 64
PER_SECOND = 8
# Whose burst and rate are others. All bursts at once fit, in events of the usual sizes.
_LIMITS = {
    "pool.worker.spawned": (256, 64),
    "pool.worker.ready": (256, 64),
    "pool.worker.restarted": (256, 64),
    "pool.worker.terminated": (256, 64),
    "pool.status": (256, 32),
    "python.memory.sampled": (256, 128),
    "python.cpu.sampled": (256, 128),
}
_PERIODIC = frozenset({"pool.status", "python.memory.sampled", "python.cpu.sampled"})
RING_SIZE_BYTES = 1 << 20
TEXT_MAX = 1_000
_CONDITION = "own ring"


Measurements = Mapping[str, int | float]
Metadata = Mapping[str, str | int]


class Journal(Protocol):
    """Where changes are put on record."""

    @property
    def is_open(self) -> bool:
        """Say whether what is recorded now is written down."""

    def record(
        self, event: str, measurements: Measurements, metadata: Metadata
    ) -> None:
        """Write down that something has changed."""

    def prepare(self) -> None:
        """Get ready, so that the next record takes microseconds."""

    def close(self) -> None:
        """Write nothing down any more."""


class RingJournal:
    """Emits into the ring of this process.

    Attributes:
        left_out: events that were not written, by kind.
    """

    def __init__(
        self,
        namespace: str,
        note_ring: Callable[[bytes], None],
        log: ConditionLog,
        clock: Callable[[], float] = time.monotonic,
        directory: str | None = None,
    ) -> None:
        """Prepare; `note_ring` is told the id of each ring that is made.

        What it raises, a ShmtelError, is logged, and it is told again.
        """
        self._note_ring = note_ring
        self._log = log
        self._clock = clock
        self._allowances: dict[str, Allowance] = {}  # by kind
        self.left_out: Counter[str] = Counter()
        self._noted: set[bytes] = set()
        self.is_open = True
        settings = WorkerConfig(
            namespace=namespace,
            ring_size_bytes=RING_SIZE_BYTES,
            worker_id=WORKER_ID,
            pool_name=POOL_NAME,
            service=SERVICE,
            directory=directory,
        )
        ring.use(settings)
        shmtel.enable()

    def record(
        self, event: str, measurements: Measurements, metadata: Metadata
    ) -> None:
        """Write down that something has changed."""
        if not self.is_open:
            return
        kind = event if event in _LIMITS else event.partition(".")[0]
        allowance = self._allowance(kind)
        left_out = allowance.left_out
        is_crowded = event in _PERIODIC and self._is_crowded()
        if not (allowance.refuse() if is_crowded else allowance.take()):
            self.left_out[kind] += 1
            return
        numbers = dict(measurements)
        if left_out:
            numbers["left_out"] = left_out
            allowance.left_out = 0
        shmtel.emit(event, numbers, {key: _cut(metadata[key]) for key in metadata})
        self._note_new_rings()

    def prepare(self) -> None:
        """Make the ring; where that fails the next event tries again."""
        if self.is_open and not _ring.own_rings():
            ring.open_ring()
            self._note_new_rings()

    def close(self) -> None:
        """Write nothing down any more: the ring is about to end."""
        self.is_open = False

    def _is_crowded(self) -> bool:
        stats = _ring.stats()
        return stats["used_bytes"] * 2 > stats["capacity_bytes"]

    def _allowance(self, kind: str) -> Allowance:
        if kind not in self._allowances:
            burst, per_second = _LIMITS.get(kind, (BURST, PER_SECOND))
            self._allowances[kind] = Allowance(burst, per_second, self._clock)
        return self._allowances[kind]

    def _note_new_rings(self) -> None:
        for ring_id in _ring.own_rings():
            if ring_id not in self._noted:
                self._note(ring_id)

    def _note(self, ring_id: bytes) -> None:
        try:
            self._note_ring(ring_id)
        except ShmtelError as error:  # a full disk must not end the collector
            self._log.warning(
                _CONDITION,
                "should this collector be killed now, the next one takes the ring of "
                "its own events for a worker's: %s",
                error,
            )
        else:
            self._noted.add(ring_id)
            self._log.cleared(_CONDITION)


def _cut(value: str | int) -> str | int:
    return value[:TEXT_MAX] if isinstance(value, str) else value
