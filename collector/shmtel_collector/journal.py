"""The collector's own events: every change of what is in force, on the record.

They go where the events of workers go, through a ring in the collector's own
namespace that this process writes and drains itself. The ring is made with the
first event, and what it still holds at the end is the next collector's, as with
any worker that has gone.

A flood of changes must not fill the ring: beyond a burst so many events a
second are written, and the next one says how many were left out.

Rules: nothing here raises into whoever changes something.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import shmtel
from shmtel import _ring, ring
from shmtel.config import WorkerConfig

WORKER_ID = "collector"
POOL_NAME = "shmtel"
SERVICE = "shmtel-collector"
BURST = 64
PER_SECOND = 8
RING_SIZE_BYTES = 256 << 10  # the whole burst in events of the largest usual size
TEXT_MAX = 1_000


class Journal(Protocol):
    """Where changes are put on record."""

    def record(
        self, event: str, measurements: Mapping[str, int], metadata: Mapping[str, str]
    ) -> None:
        """Write down that something has changed."""

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
        self._room = float(BURST)
        self._last = clock()
        self._left_out = 0
        self._noted: set[bytes] = set()
        self._is_closed = False
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
        self, event: str, measurements: Mapping[str, int], metadata: Mapping[str, str]
    ) -> None:
        """Write down that something has changed."""
        if self._is_closed:
            return
        if not self._has_room():
            self._left_out += 1
            return
        numbers = dict(measurements)
        if self._left_out:
            numbers["left_out"] = self._left_out
        texts = {key: text[:TEXT_MAX] for key, text in metadata.items()}
        shmtel.emit(event, numbers, texts)
        self._left_out = 0
        self._note_new_rings()

    def close(self) -> None:
        """Write nothing down any more: the ring is about to end."""
        self._is_closed = True

    def _has_room(self) -> bool:
        now = self._clock()
        self._room = min(self._room + (now - self._last) * PER_SECOND, BURST)
        self._last = now
        if self._room < 1.0:
            return False
        self._room -= 1.0
        return True

    def _note_new_rings(self) -> None:
        for ring_id in _ring.own_rings():
            if ring_id not in self._noted:
                self._noted.add(ring_id)
                self._note_ring(ring_id)
