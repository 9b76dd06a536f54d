"""The spool: events on disk, while the hub is away or slow.

It takes what the rings cannot hold any longer and gives it back in order. What it
holds of a ring comes before what is in the ring, see ring.py and spooling.py. How it
is kept is in spool_store.py, and what happens when the file breaks in spool_file.py.

Full, by its quota (`full`) or by the disk (`no_space`), or not writable (`failed`), it
refuses, and is asked again a second later; the rings hold, and then the workers count
drops.

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

from shmtel.wire.frames import Segment
from shmtel_collector.logs import ConditionLog
from shmtel_collector.spool_file import CONDITION, SpoolFile
from shmtel_collector.spool_records import SpooledRing, Standing
from shmtel_collector.spool_refusals import FULL, NO_SPACE, free_bytes, reason_of
from shmtel_collector.spool_store import LOG_BYTES, SpoolStore

RESERVE_BYTES = 1 << 20  # of the quota: for how rings have ended
# Of the disk: for the log, and for what is in it and not in the file yet. Where a disk
# is full to the brim nothing can be removed either.
DISK_RESERVE_BYTES = 2 * LOG_BYTES
LEAST_ROOM_BYTES = 256 << 10  # less is none
RETRY_NS = 1_000_000_000
_SAY_NS = 60_000_000_000

Part = tuple[SpooledRing, Sequence[Segment]]


class Spool:
    """What is on disk of the rings of one namespace; without a path there is none.

    Attributes:
        refused: rings that found no place, by reason; once a second while that lasts.
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
        self._holes: set[bytes] = set()  # ids of rings that miss something here
        self._max_bytes = max_bytes
        self._log = log
        self._clock = clock
        self._released: dict[bytes, Standing] = {}
        self._retry_ns: int | None = None
        self._is_shrinking = True
        self._is_said = False
        self._said_ns: int | None = None
        self._file = SpoolFile(path, max_bytes, log, clock)
        self._file.on_start_over = self._forget_all
        self._holds = self._file.attempt(SpoolStore.holds_segments, False)

    # -- what it is ------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Say whether there is one."""
        return self._file.store is not None

    @property
    def max_bytes(self) -> int:
        """Return how large it may be; 0: there is none."""
        return self._max_bytes if self.is_open else 0

    @property
    def used_bytes(self) -> int:
        """Return how much of it is in use."""
        return self._file.attempt(SpoolStore.used_bytes, 0)

    @property
    def damages(self) -> int:
        """Return how often it was set aside, or a row was not what it had been."""
        return self._file.damages

    def room_bytes(self) -> int:
        """Return how much may be put in now; 0: none, or there is no spool."""
        if self.is_patient():
            return 0
        room = min(self._room().values(), default=0)
        return room if room >= LEAST_ROOM_BYTES else 0

    def is_full(self) -> bool:
        """Say whether it takes nothing: it has no room, or the last try has failed."""
        return self._retry_ns is not None or self.room_bytes() == 0

    def is_patient(self) -> bool:
        """Say whether it has just refused, and is not to be asked yet."""
        return self._retry_ns is not None and self._clock() < self._retry_ns

    # -- putting in ------------------------------------------------------------

    def append(self, parts: Sequence[Part]) -> bool:
        """Put in segments of rings, all or none; False: none."""
        store = self._file.store
        if store is None:
            return False
        try:
            store.append(parts)
        except sqlite3.Error as error:
            self._refuse(reason_of(error, store.path), len(parts))
            self._file.note(error)
            return False
        self._retry_ns = None
        if not self._holds and any(segments for _, segments in parts):
            self._holds = True
            self._say_that_it_is_used(store.path)
        return True

    def refuse(self, rings: int) -> None:
        """Count rings for which there is no room, unless it has just refused."""
        room = self._room()
        if room and not self.is_patient():
            self._refuse(min(room, key=room.__getitem__), rings)

    # -- taking out ------------------------------------------------------------

    def next_segment(
        self, ring_id: bytes, after_seq: int, last_seq: int
    ) -> Segment | None:
        """Return the first segment that ends in (after_seq, last_seq]; None: none.

        Raises:
            SpoolUnreadable: this cannot be said at present.
        """
        bounds = (ring_id, after_seq, last_seq)
        return self._file.read(lambda store: store.next_segment(*bounds), None)

    def last_seq(self, ring_id: bytes) -> int | None:
        """Return up to where the segments of a ring reach; None: there are none."""
        return self._file.attempt(lambda store: store.last_seq(ring_id), None)

    def rings(
        self, limit: int, *, are_closed: bool, beside: Collection[bytes] = ()
    ) -> list[SpooledRing]:
        """Return rings that have something here, the first ones first.

        Args:
            are_closed: their segment of shared memory is gone.
            beside: these are left out.

        Raises:
            SpoolUnreadable: this cannot be said at present.
        """
        chosen = (are_closed, beside, limit + len(beside))
        return self._file.read(lambda store: store.rings(*chosen), [])

    def has_ring(self, ring_id: bytes) -> bool:
        """Say whether anything is known of a ring; yes if nobody can look now."""
        return self._file.attempt(lambda store: store.has_ring(ring_id), True)

    def note_hole(self, ring_id: bytes, events: int) -> None:
        """Say, once for a ring, that events which were put in are not here."""
        if ring_id in self._holes:
            return
        self._holes.add(ring_id)
        self._log.warning(
            f"{CONDITION} hole {ring_id.hex()}",
            "%d events of ring %s were spooled and are not in the spool: lost, reason "
            "spool_damaged; is another --spool-dir named, or was it removed?",
            *(events, ring_id.hex()),
        )

    # -- removing --------------------------------------------------------------

    def tidy(self, ring_id: bytes, settled_seq: int, head_seq: int) -> None:
        """Make the spool agree with a ring that has just been attached."""
        seqs = (settled_seq, head_seq)
        self._file.attempt(lambda store: store.tidy(ring_id, *seqs), None)

    def release(self, ring_id: bytes, standing: Standing) -> None:
        """Note that segments are settled; `flush` removes them."""
        if self._file.is_wanted:
            self._released[ring_id] = standing

    def forget(self, ring_id: bytes) -> None:
        """Remove all of a ring that is finished."""
        self._released.pop(ring_id, None)
        if self.has_ring(ring_id):
            self._file.attempt(lambda store: store.forget(ring_id), None)
            self._note_emptiness()

    def flush(self) -> None:
        """Remove what is settled; once nothing is left, give the space back."""
        self._file.open_again()
        if self._released:
            is_removed = self._file.attempt(self._remove, False)
            if is_removed:
                self._released = {}
                self._note_emptiness()
        if self._is_shrinking and not self._holds:
            self._is_shrinking = self._file.attempt(SpoolStore.shrink, False)

    def close(self) -> None:
        """Close it, and remove what is settled before."""
        self.flush()
        self.abandon()

    def abandon(self) -> None:
        """Close it as it stands."""
        self._file.close()

    # -- inside ----------------------------------------------------------------

    def _room(self) -> dict[str, int]:
        """Return how much fits, by what would refuse the rest."""
        store = self._file.store
        if store is None:
            return {}
        return {
            FULL: store.max_bytes - self.used_bytes - RESERVE_BYTES,
            NO_SPACE: free_bytes(store.path) - DISK_RESERVE_BYTES,
        }

    def _refuse(self, reason: str, rings: int) -> None:
        self.refused[reason] += rings
        self._retry_ns = self._clock() + RETRY_NS
        self._log.warning(
            f"{CONDITION} {reason}",
            "the spool takes nothing (%s); what does not fit in the rings is "
            "dropped and counted there",
            reason,
        )

    def _remove(self, store: SpoolStore) -> bool:
        store.release(self._released)
        return True

    def _note_emptiness(self) -> None:
        holds = self._file.attempt(SpoolStore.holds_segments, False)
        if self._holds and not holds:
            self._is_shrinking = True
            self._retry_ns = None
            if self._is_said:
                self._is_said = False
                self._log.info("the spool is empty again")
        self._holds = holds

    def _say_that_it_is_used(self, path: Path) -> None:
        """Say so once a minute: beside a slow hub it may begin and end all the time."""
        now_ns = self._clock()
        if self._said_ns is None or now_ns - self._said_ns >= _SAY_NS:
            self._said_ns, self._is_said = now_ns, True
            text = "events go to the spool %s: the hub is away, or slow"
            self._log.warning(f"{CONDITION} used", text, path)

    def _forget_all(self) -> None:
        self._released = {}
        self._holds = False
