"""The spool: events on disk, while the hub is away or slow.

It takes what the rings cannot hold any longer and gives it back in order. What it
holds of a ring comes before what is in the ring, see ring.py and spooling.py; the
file itself is in spool_store.py.

Whatever the disk does, the collector goes on:
- full, by its quota (`full`) or by the disk (`no_space`), or not writable (`failed`):
  it refuses, and is asked again a second later; the rings hold, and then the workers
  count drops;
- damaged: it is set aside, counted, and begun anew; whoever looks for what was in
  there finds a hole, and counts that as lost;
- unusable from the start: there is none.

Rules:
- a ring settles first, and what is settled is removed here then: `release` only
  notes it, `flush` does it for all rings in one transaction;
- nothing of it is kept in memory but what is noted.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from shmtel.errors import ShmtelError
from shmtel.statefiles import is_damage, set_aside
from shmtel.wire.frames import Segment
from shmtel_collector.logs import ConditionLog
from shmtel_collector.spool_records import SpooledRing, Standing
from shmtel_collector.spool_refusals import reason_of
from shmtel_collector.spool_store import SpoolStore

RESERVE_BYTES = 1 << 20  # of the quota: for how rings have ended
LEAST_ROOM_BYTES = 256 << 10  # less is none
RETRY_NS = 1_000_000_000
_CONDITION = "spool"

_T = TypeVar("_T")
Part = tuple[SpooledRing, Sequence[Segment]]


class SpoolUnreadable(ShmtelError):
    """The disk does not answer; what is asked for may be there all the same."""


class Spool:
    """What is on disk of the rings of one namespace; without a path there is none.

    Attributes:
        refused: segments that found no place, by reason.
        damages: how often it was set aside, or a row was not what it had been.
    """

    def __init__(
        self,
        path: Path | None,
        max_bytes: int,
        log: ConditionLog,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Open it; what stands in the way of that is logged."""
        self.refused: Counter[str] = Counter()
        self._damages = 0
        self._path = path
        self._max_bytes = max_bytes
        self._log = log
        self._clock = clock
        self._released: dict[bytes, Standing] = {}
        self._retry_ns: int | None = None
        self._is_shrinking = True
        self._store: SpoolStore | None = None
        if path is not None:
            self._open(path)
        self._holds = self._try(SpoolStore.holds_segments, False)

    # -- what it is ------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Say whether there is one."""
        return self._store is not None

    @property
    def max_bytes(self) -> int:
        """Return how large it may be; 0: there is none."""
        return self._max_bytes if self.is_open else 0

    @property
    def used_bytes(self) -> int:
        """Return how much of it is in use."""
        return self._try(SpoolStore.used_bytes, 0)

    @property
    def damages(self) -> int:
        """Return how often something in it was not what it had been."""
        return self._damages + (self._store.unsound if self._store else 0)

    def room_bytes(self) -> int:
        """Return how much may be put in now; 0: none, or there is no spool."""
        store = self._store
        if store is None or self.is_patient():
            return 0
        room = store.max_bytes - self.used_bytes - RESERVE_BYTES
        return room if room >= LEAST_ROOM_BYTES else 0

    def is_full(self) -> bool:
        """Say whether it takes nothing at present."""
        return self.room_bytes() == 0

    # -- putting in ------------------------------------------------------------

    def append(self, parts: Sequence[Part]) -> bool:
        """Put in segments of rings, all or none; False: none."""
        store = self._store
        if store is None:
            return False
        try:
            store.append(parts)
        except sqlite3.Error as error:
            self.refuse(
                reason_of(error, store.path), sum(len(part[1]) for part in parts)
            )
            self._on_error(error)
            return False
        self._retry_ns = None
        if not self._holds and any(segments for _, segments in parts):
            self._holds = True
            self._log.warning(
                _CONDITION,
                "events go to the spool %s: the hub is away, or slow",
                self._path,
            )
        return True

    def refuse(self, reason: str, segments: int) -> None:
        """Count segments that found no place, and ask no more for a while."""
        self.refused[reason] += segments
        self._retry_ns = self._clock() + RETRY_NS
        self._log.warning(
            f"{_CONDITION} {reason}",
            "the spool takes nothing (%s); what does not fit in the rings is "
            "dropped and counted there",
            reason,
        )

    # -- taking out ------------------------------------------------------------

    def next_segment(
        self, ring_id: bytes, after_seq: int, last_seq: int
    ) -> Segment | None:
        """Return the first segment that ends in (after_seq, last_seq]; None: none.

        Raises:
            SpoolUnreadable: this cannot be said at present.
        """
        return self._read(
            lambda store: store.next_segment(ring_id, after_seq, last_seq), None
        )

    def last_seq(self, ring_id: bytes) -> int | None:
        """Return up to where the segments of a ring reach; None: there are none."""
        return self._try(lambda store: store.last_seq(ring_id), None)

    def rings(
        self, limit: int, *, are_closed: bool, beside: Collection[bytes] = ()
    ) -> list[SpooledRing]:
        """Return rings that have something here, the first ones first.

        Args:
            are_closed: their segment of shared memory is gone.
            beside: these are left out.
        """
        limit += len(beside)
        return self._try(lambda store: store.rings(are_closed, beside, limit), [])

    def has_ring(self, ring_id: bytes) -> bool:
        """Say whether anything is known of a ring."""
        return self._try(lambda store: store.has_ring(ring_id), False)

    # -- removing --------------------------------------------------------------

    def tidy(self, ring_id: bytes, settled_seq: int, head_seq: int) -> None:
        """Make the spool agree with a ring that has just been attached."""
        if self.has_ring(ring_id):
            self._try(lambda store: store.tidy(ring_id, settled_seq, head_seq), None)

    def release(self, ring_id: bytes, standing: Standing) -> None:
        """Note that segments are settled; `flush` removes them."""
        if self._store is not None:
            self._released[ring_id] = standing

    def forget(self, ring_id: bytes) -> None:
        """Remove all of a ring that is finished."""
        self._released.pop(ring_id, None)
        if self.has_ring(ring_id):
            self._try(lambda store: store.forget(ring_id), None)

    def flush(self) -> None:
        """Remove what is settled; once nothing is left, give the space back."""
        if self._released:
            self._try(lambda store: store.release(self._released), None)
            self._released = {}
            self._note_emptiness()
        if self._is_shrinking and not self._holds:
            self._is_shrinking = self._try(SpoolStore.shrink, False)

    def close(self) -> None:
        """Close it, and remove what is settled before."""
        self.flush()
        self.abandon()

    def abandon(self) -> None:
        """Close it as it stands."""
        if self._store is not None:
            self._store.close()
            self._store = None

    # -- inside ----------------------------------------------------------------

    def _note_emptiness(self) -> None:
        held, self._holds = self._holds, self._try(SpoolStore.holds_segments, False)
        if held and not self._holds:
            self._is_shrinking = True
            self._retry_ns = None
            self._log.cleared(_CONDITION)
            self._log.info("the spool is empty again")

    def is_patient(self) -> bool:
        """Say whether it has just refused, and is not to be asked yet."""
        return self._retry_ns is not None and self._clock() < self._retry_ns

    def _try(self, action: Callable[[SpoolStore], _T], otherwise: _T) -> _T:
        try:
            return self._read(action, otherwise)
        except SpoolUnreadable:
            return otherwise

    def _read(self, action: Callable[[SpoolStore], _T], otherwise: _T) -> _T:
        if self._store is None:
            return otherwise
        try:
            return action(self._store)
        except sqlite3.Error as error:
            self._on_error(error)
            if is_damage(error):
                return otherwise
            raise SpoolUnreadable(str(error)) from error

    def _on_error(self, error: sqlite3.Error) -> None:
        if is_damage(error):
            self._start_over(error)
        else:
            self._log.warning(f"{_CONDITION} error", "the spool: %s", error)

    def _open(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._store = SpoolStore(path, self._max_bytes)
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.Error) and is_damage(error):
                self._start_over(error)
            else:
                self._give_up(error)

    def _start_over(self, error: sqlite3.Error) -> None:
        """Set the file aside, and begin a new one."""
        assert self._path is not None
        self._damages += 1 + (self._store.unsound if self._store else 0)
        if self._store is not None:
            self._store.close()
            self._store = None
        self._released = {}
        self._holds = False
        try:
            target = set_aside(self._path)
            self._log.warning(
                f"{_CONDITION} damaged {target}",
                "the spool is damaged (%s) and is set aside as %s; what was in there "
                "and not delivered is lost, reason spool_damaged",
                *(error, target),
            )
            self._store = SpoolStore(self._path, self._max_bytes)
        except (sqlite3.Error, OSError) as again:
            self._give_up(again)

    def _give_up(self, error: Exception) -> None:
        self._log.warning(
            f"{_CONDITION} unusable",
            "no spool: %s cannot be used: %s; name a directory of this user's on a "
            "disk that can be written, with --spool-dir",
            *(self._path, error),
        )
