"""Rings of which nothing is left but what the spool, or its loss, has to say.

Their workers are dead and their segments of shared memory are removed; a closing
record in the spool says how they ended. With a hub they are rings like any other:
announced, sent, closed, and written down for good. Without one they are on disk
alone, and of thousands only some are in memory at a time, the oldest first.

Two kinds come without a closing record:
- the segment has vanished together with the events in it, as after a restart of the
  host: what the spool has of it is delivered, and its worker counts as vanished;
- the spool has vanished: of a ring that was finished with events in the spool the
  state database knows how many they were. They are lost, and the hub is told.
"""

from collections.abc import Callable, Container
from contextlib import suppress

from shmtel.accounting.counts import Claims, EventTable
from shmtel.wire.frames import Worker
from shmtel_collector.backlog import Backlog
from shmtel_collector.finished import FinishedRing
from shmtel_collector.last_account import acknowledged, buried
from shmtel_collector.left_out import LeftOut, text_of
from shmtel_collector.lifeline import VANISHED
from shmtel_collector.logs import ConditionLog
from shmtel_collector.ring import End, Ring, State
from shmtel_collector.settlement import to_list
from shmtel_collector.spool import Spool
from shmtel_collector.spool_file import SpoolUnreadable
from shmtel_collector.spool_records import Closing, SpooledRing, Standing
from shmtel_collector.spooled_source import SpooledSource
from shmtel_collector.state import State as Database
from shmtel_collector.state import StateError

LOADED_MAX = 256
ROUND_NS = 1_000_000_000


class SpooledRings:
    """Those that are being delivered, and whoever is next.

    Attributes:
        rings: in memory now, by id.
    """

    def __init__(
        self,
        spool: Spool,
        database: Database,
        is_served: Callable[[bytes], bool],
        on_finished: Callable[[FinishedRing], None],
        log: ConditionLog,
    ) -> None:
        """Take over a spool.

        Args:
            is_served: knows whether the segment of a ring is there to be served.
            on_finished: is told the final account of a ring, perhaps again.
        """
        self.rings: dict[bytes, Ring] = {}
        self._spool = spool
        self._database = database
        self._is_served = is_served
        self._on_finished = on_finished
        self._log = log
        self._next_load_ns = 0

    def adopt(self, realtime_ns: int, attached: Container[bytes]) -> bool:
        """Close the rings whose segments have vanished, at the start.

        Args:
            attached: rings of these ids are served from shared memory.

        Returns:
            False: the disk does not answer; it is to be tried again.
        """
        try:
            return self._adopt_all(realtime_ns, attached)
        except SpoolUnreadable:
            return False

    def tick(self, now_ns: int, attached: Container[bytes]) -> list[Ring]:
        """Return rings that are to be delivered now, and were not before.

        Args:
            attached: rings of these ids are served from shared memory.
        """
        if now_ns < self._next_load_ns or not self._spool.is_open:
            return []
        room = LOADED_MAX - len(self.rings)
        if room < LOADED_MAX // 2:
            return []
        found: list[Ring] = []
        with suppress(SpoolUnreadable):
            found = self._load(room, attached)
        if len(found) < room:
            self._next_load_ns = now_ns + ROUND_NS
        return found

    def suspend(self) -> None:
        """Forget all: there is no stream, and they are on disk."""
        for ring in self.rings.values():
            ring.suspend()
        self.rings = {
            ring_id: ring
            for ring_id, ring in self.rings.items()
            if ring.state is State.CLOSED
        }
        self._next_load_ns = 0

    def retry(self, realtime_ns: int) -> None:
        """Write down what could not be written before."""
        for ring in list(self.rings.values()):
            if ring.state is State.CLOSED:
                self.remove(ring, realtime_ns)

    def remove(self, ring: Ring, realtime_ns: int) -> bool:
        """Write down a ring that the hub has all of; False: it is tried again."""
        ring.state = State.CLOSED
        account = acknowledged(ring, realtime_ns)
        self._on_finished(account)  # again, should we be killed before it is written
        try:
            self._database.finish(account)
        except StateError as error:
            self._log.warning("spooled rings", "a spooled ring stays: %s", error)
            return False
        self._spool.forget(ring.ring_id)
        del self.rings[ring.ring_id]
        return True

    def _load(self, room: int, attached: Container[bytes]) -> list[Ring]:
        known = self._spool.rings(room, are_closed=True, beside=self.rings.keys())
        found = [
            self._make(ring, ring.closing)
            for ring in known
            if ring.closing is not None
            and not self._is_in_memory(ring, attached)
            and not self._forget_if_over(ring, ring.closing)
        ]
        if not known:
            found += [self._make(*lost) for lost in self._find_lost(room, attached)]
        self.rings.update((ring.ring_id, ring) for ring in found)
        return found

    def _is_in_memory(self, ring: SpooledRing, attached: Container[bytes]) -> bool:
        """Say whether it has a segment, as when its collector was killed too early."""
        return ring.ring_id in attached or self._is_served(ring.ring_id)

    def _forget_if_over(self, ring: SpooledRing, closing: Closing) -> bool:
        """Forget a ring that was delivered: its account is final, its events are here.

        Its collector could not forget it. A hub that has forgotten it would take all
        of that once more.
        """
        has_events = ring.standing.settled_seq < closing.last_seq
        is_over = has_events and self._database.tally.has(ring.ring_id)
        if is_over:
            self._spool.forget(ring.ring_id)
        return is_over

    def _find_lost(
        self, room: int, attached: Container[bytes]
    ) -> list[tuple[SpooledRing, Closing]]:
        """Return rings that had events in a spool that is not there any more."""
        found: list[tuple[SpooledRing, Closing]] = []
        for ring_id in self._database.spooled():
            if ring_id in self.rings or ring_id in attached:
                continue
            if self._spool.has_ring(ring_id) or self._is_served(ring_id):
                continue
            row = self._database.finished(ring_id)
            if row is not None:
                found.append(_of_row(row))
            if len(found) == room:
                break
        return found

    def _make(self, known: SpooledRing, closing: Closing) -> Ring:
        source = SpooledSource(known, closing)
        backlog = Backlog(self._spool, known.ring_id)
        ring = Ring("", source, _ignore_names, backlog)
        ring.read_names()
        ring.end = End(closing.reason, source.tail())
        text = self._database.left_out(known.ring_id) or closing.left_out
        ring.left_out = LeftOut(text)
        return ring

    def _adopt_all(self, realtime_ns: int, attached: Container[bytes]) -> bool:
        beside: set[bytes] = set()
        is_done = True
        while found := self._spool.rings(LOADED_MAX, are_closed=False, beside=beside):
            for ring in found:
                beside.add(ring.ring_id)
                if self._database.tally.has(ring.ring_id):
                    self._spool.forget(ring.ring_id)  # its collector was killed then
                elif not self._is_in_memory(ring, attached):
                    is_done &= self._adopt(ring, realtime_ns)
        return is_done

    def _adopt(self, known: SpooledRing, realtime_ns: int) -> bool:
        settled_seq = known.standing.settled_seq
        last_seq = max(self._spool.last_seq(known.ring_id) or 0, settled_seq)
        closing = Closing(VANISHED, last_seq, Claims(committed=last_seq))
        ring = self._make(known, closing)
        closed = SpooledRing(
            *(known.ring_id, known.worker, known.names, known.standing, closing)
        )
        if not self._spool.append([(closed, ())]):
            return False
        try:
            self._database.finish(buried(ring, realtime_ns, closing))
        except StateError as error:  # it is written when it is delivered
            self._log.warning("spooled rings", "%s", error)
        return True


def _of_row(row: FinishedRing) -> tuple[SpooledRing, Closing]:
    """Make a ring of what the state database knows."""
    standing = Standing(row.last_seq - row.spooled, to_list(row.totals), 0)
    worker = Worker(
        worker_id=row.worker_id,
        pool_name=row.pool_name,
        service=row.service,
        pid=row.pid,
        worker_index=row.worker_index,
    )
    events = [
        {
            "name": name,
            "committed": counts.committed,
            "sampled_out": counts.sampled_out,
            "filtered": counts.filtered,
            "dropped": dict(counts.dropped),
        }
        for name, counts in row.events.items()
    ]
    left_out = _left_out_text(row.events)
    closing = Closing(row.reason, row.last_seq, row.claims, events, left_out)
    return SpooledRing(row.ring_id, worker, (), standing), closing


def _left_out_text(events: EventTable) -> str:
    return text_of({n: counts.left_out for n, counts in enumerate(events.values())})


def _ignore_names(ring: Ring) -> None:
    """No policy acts on what was drained."""
