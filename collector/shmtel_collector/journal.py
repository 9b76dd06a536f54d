"""The collector's own events: changes of what is in force, and ends of workers.

They go where the events of workers go, through a ring in the collector's own
namespace that this process writes and drains itself. The ring is made for the
first event, and what it still holds at the end is the next collector's, as with
any worker that has gone.

A flood must not fill the ring: of each kind of events, by the first segment of
their names, a burst is written and then so many a second, and the next one says
how many were left out. So workers that die by the hundred hide no change.

Rules: nothing here raises into whoever changes something.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import shmtel
from shmtel import _ring, ring
from shmtel.config import WorkerConfig
from shmtel_collector.allowance import Allowance

WORKER_ID = "collector"
POOL_NAME = "shmtel"
SERVICE = "shmtel-collector"
BURST = 64
PER_SECOND = 8
_KINDS = {"pool": (256, 64)}  # whose burst and rate are others
RING_SIZE_BYTES = 256 << 10  # all bursts at once, in events of the usual sizes
TEXT_MAX = 1_000


Metadata = Mapping[str, str | int]


class Journal(Protocol):
    """Where changes are put on record."""

    @property
    def is_open(self) -> bool:
        """Say whether what is recorded now is written down."""

    def record(
        self, event: str, measurements: Mapping[str, int], metadata: Metadata
    ) -> None:
        """Write down that something has changed."""

    def prepare(self) -> None:
        """Get ready, so that the next record takes microseconds."""

    def close(self) -> None:
        """Write nothing down any more."""


class RingJournal:
    """Emits into the ring of this process."""

    def __init__(
        self,
        namespace: str,
        note_ring: Callable[[bytes], None],
        clock: Callable[[], float] = time.monotonic,
        directory: str | None = None,
    ) -> None:
        """Prepare; `note_ring` is told the id of each ring that is made."""
        self._note_ring = note_ring
        self._clock = clock
        self._allowances: dict[str, Allowance] = {}  # by kind
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
        self, event: str, measurements: Mapping[str, int], metadata: Metadata
    ) -> None:
        """Write down that something has changed."""
        allowance = self._allowance(event)
        left_out = allowance.left_out
        if not self.is_open or not allowance.take():
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

    def _allowance(self, event: str) -> Allowance:
        kind = event.partition(".")[0]
        if kind not in self._allowances:
            burst, per_second = _KINDS.get(kind, (BURST, PER_SECOND))
            self._allowances[kind] = Allowance(burst, per_second, self._clock)
        return self._allowances[kind]

    def _note_new_rings(self) -> None:
        for ring_id in _ring.own_rings():
            if ring_id not in self._noted:
                self._noted.add(ring_id)
                self._note_ring(ring_id)


def _cut(value: str | int) -> str | int:
    return value[:TEXT_MAX] if isinstance(value, str) else value
