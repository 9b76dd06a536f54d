"""When the spool takes over from a ring.

A ring is at most so large; what the hub does not take in time must go somewhere
before the worker drops events. So after each pass over the rings that is looked at:

- a ring that is half full goes to the spool if the link does not relieve it: there is
  no hub, or its oldest answer is overdue;
- one that stays three quarters full goes in any case: the link works, and is not
  fast enough;
- the ring of a dead worker goes when the link has not relieved it for a second: the
  memory that it takes is needed for the rings of the living. Once all of it is
  spooled, its end is written down and its segment removed;
- all of them go when the collector is stopped without a hub: the host may be going
  down, and shared memory with it.

Steps, each of which can be repeated after a kill: the spool has the segments → the
ring has released them. And at the end: the spool has the closing record → the state
database has the account → the segment is removed.

Rules: a pass takes a bounded number of bytes, so that the uplink has its turn; the
fullest rings come first.
"""

import time

from shmtel_collector.drain import Pass
from shmtel_collector.fleet import Fleet
from shmtel_collector.last_account import closing_of, reason_of, spooled_ring
from shmtel_collector.reader import Read
from shmtel_collector.ring import Ring, State
from shmtel_collector.session import OVERDUE_NS
from shmtel_collector.spool import Spool

PASS_BYTES = 2 << 20
SEGMENT_BYTES = 64 << 10  # so that it fits beside others into a batch
HALF_FULL = 0.5
NEARLY_FULL = 0.75
DEAD_PATIENCE_NS = 1_000_000_000
SAVE_NS = 250_000_000
_UNCLOSED = (State.OPENED, State.LIVE)


class Spooling:
    """Moves events from rings to the spool."""

    def __init__(self, spool: Spool, fleet: Fleet) -> None:
        self._spool = spool
        self._fleet = fleet
        self._unrelieved_since_ns: int | None = None
        self._full_since_ns: dict[bytes, int] = {}

    def tick(self, now_ns: int, found: Pass, *, is_relieved: bool) -> bool:
        """Move what is due; say whether there is more that should not wait.

        Args:
            found: of the pass over the rings; what is found here is added.
            is_relieved: the hub is there, and answers in time.
        """
        if not self._spool.is_open:
            self._spool.flush()  # opens it again, if one is wanted
            return False
        if is_relieved:
            self._unrelieved_since_ns = None
        elif self._unrelieved_since_ns is None:
            self._unrelieved_since_ns = now_ns
        due = self._due(now_ns, found, is_relieved=is_relieved)
        is_more = bool(due) and self._move(due, found)
        self._bury([ring for ring in due if ring.is_released()])
        self._spool.flush()
        return is_more

    def save(self) -> None:
        """Move what is left in all rings: the host may be going down.

        It is soon over, however much there is.
        """
        deadline_ns = time.monotonic_ns() + SAVE_NS
        rings = [r for r in self._fleet.rings.values() if r.state in _UNCLOSED]
        while self._move(rings, Pass()) and time.monotonic_ns() < deadline_ns:
            pass
        self._spool.flush()

    def _due(self, now_ns: int, found: Pass, *, is_relieved: bool) -> list[Ring]:
        due = []
        before, self._full_since_ns = self._full_since_ns, {}
        for ring in self._fleet.rings.values():
            if ring.state not in _UNCLOSED:
                continue
            # The pass has not come to all of them, where there is no room or no hub.
            found.fill = max(found.fill, ring.growth())
            fill = ring.fill()
            is_stuck = False  # nearly full for a while, whatever the link does
            if fill >= NEARLY_FULL:
                since_ns = before.get(ring.ring_id, now_ns)
                self._full_since_ns[ring.ring_id] = since_ns
                is_stuck = now_ns - since_ns >= OVERDUE_NS
            is_wanted = ring.end is not None and self._wants_dead(now_ns)
            if is_stuck or is_wanted or (fill >= HALF_FULL and not is_relieved):
                due.append((fill, ring))
        return [ring for _, ring in sorted(due, key=lambda one: -one[0])]

    def _wants_dead(self, now_ns: int) -> bool:
        since_ns = self._unrelieved_since_ns
        return since_ns is not None and now_ns - since_ns >= DEAD_PATIENCE_NS

    def _move(self, due: list[Ring], found: Pass) -> bool:
        room = min(self._spool.room_bytes(), PASS_BYTES)
        if room == 0:
            self._spool.refuse(len(due))
            return False
        batch: list[tuple[Ring, list[Read]]] = []
        for ring in due:
            reads = ring.read_ahead(room, SEGMENT_BYTES)
            if reads:
                batch.append((ring, reads))
                room -= sum(len(read.segment.events) for read in reads)
            if room <= 0:
                break
        if not batch or not self._spool.append(
            [(spooled_ring(ring), [r.segment for r in reads]) for ring, reads in batch]
        ):
            return False
        for ring, reads in batch:
            first, last = reads[0].segment, reads[-1]
            found.events += last.segment.seq_last - first.seq_before
            ring.spooled(last)
        return room <= 0

    def _bury(self, rings: list[Ring]) -> None:
        """Let the spool stand for dead workers' rings, and remove their segments."""
        if not rings or self._spool.is_patient():
            return
        for ring in rings:
            ring.read_names()
        closings = [
            closing_of(ring, reason_of(ring), ring.reader.seq) for ring in rings
        ]
        parts = [
            (spooled_ring(ring, closing), ())
            for ring, closing in zip(rings, closings, strict=True)
        ]
        if self._spool.append(parts):
            for ring, closing in zip(rings, closings, strict=True):
                self._fleet.bury(ring, closing)
