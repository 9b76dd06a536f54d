"""All rings of the namespace: attached, looked after, and removed in the end.

Each tick looks for new rings. Once a second every ring gets a sign of life, its
new names are read, and its worker is probed; of one that has exited at once, see
deathwatch.py. What happens to one ring is no reason to look at the others:
short-lived workers beside many long-lived ones must not cost more than themselves.

The end of a ring, each step repeatable after a kill at any point: the hub has
acknowledged its closing → its totals are in the state database → its segment is
removed → its consumer is closed. The ring of this very process ends with it; if
the hub does not answer in time, the next collector finishes it. A ring that is buried
takes the same steps when the spool has all of it; then spooled_rings.py has it.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from shmtel import _ring
from shmtel.errors import SegmentError
from shmtel_collector.backlog import Backlog
from shmtel_collector.deathwatch import Deathwatch
from shmtel_collector.discovery import Discovery, Found
from shmtel_collector.enforcement import Enforcement
from shmtel_collector.finished import FinishedRing
from shmtel_collector.last_account import acknowledged, buried
from shmtel_collector.left_out import LeftOut
from shmtel_collector.lifecycle import Lifecycle
from shmtel_collector.lifeline import CLOSED
from shmtel_collector.lives import Lives
from shmtel_collector.logs import ConditionLog
from shmtel_collector.pools import Pools
from shmtel_collector.refusals import Refusals
from shmtel_collector.ring import Ring, State
from shmtel_collector.source import Source
from shmtel_collector.spool import Spool
from shmtel_collector.spool_records import Closing
from shmtel_collector.spooled_rings import SpooledRings
from shmtel_collector.state import State as Database
from shmtel_collector.state import StateError

ROUND_NS = 1_000_000_000


class Fleet:
    """The rings that this collector serves."""

    def __init__(
        self,
        discovery: Discovery,
        database: Database,
        enforcement: Enforcement,
        deathwatch: Deathwatch,
        epoch: int,
        spool: Spool,
        spooled: SpooledRings,
        log: ConditionLog,
        lifecycle: Lifecycle,
        lives: Lives,
        pools: Pools,
    ) -> None:
        self.rings: dict[bytes, Ring] = {}
        self.spooled = spooled
        self._spool = spool
        self._is_adopting = True
        self.quarantined: Counter[str] = Counter()
        self._refusals_before = self._refusals_noted = database.refusals_before
        self.finished = 0
        self.evicted = 0
        self._damaged: set[bytes] = set()
        self._discovery = discovery
        self._database = database
        self._enforcement = enforcement
        self._deathwatch = deathwatch
        self._epoch = epoch
        self._log = log
        self._lifecycle = lifecycle
        self._lives = lives
        self._pools = pools
        self._next_round_ns = 0
        self._realtime_ns = 0

    def tick(self, now_ns: int, realtime_ns: int) -> list[Ring]:
        """Look for rings and look after them; return those that are new."""
        self._realtime_ns = realtime_ns
        self._pools.tick(now_ns, self.rings.values())
        polled = self._discovery.poll(now_ns, self.spooled.rings)
        attached = [self._attach(found) for found in polled]
        if now_ns >= self._next_round_ns:
            self._next_round_ns = now_ns + ROUND_NS
            self._go_round(now_ns)
        else:
            self._look_after_some(attached, now_ns)
        # By now what is in memory is attached.
        if self._is_adopting and self._spool.is_open and not self._spool.is_patient():
            self._is_adopting = not self.spooled.adopt(realtime_ns, self.rings)
        return attached

    def served(self) -> Iterator[Ring]:
        """Return all rings whose events are delivered, also from the spool alone."""
        return chain(self.rings.values(), self.spooled.rings.values())

    def load_spooled(self, now_ns: int) -> list[Ring]:
        """Return rings of the spool alone whose turn it is, and was not before."""
        return self.spooled.tick(now_ns, self.rings)

    def suspend(self) -> None:
        """Forget the stream."""
        for ring in self.rings.values():
            ring.suspend()
        self.spooled.suspend()

    def note_damage(self, ring: Ring) -> None:
        """Count and log a ring that has turned out to be damaged, once."""
        if ring.source.damage is None or ring.ring_id in self._damaged:
            return
        self._damaged.add(ring.ring_id)
        self.quarantined[ring.source.damage] += 1
        self._log.warning(
            f"quarantined {ring.name}",
            "ring %s of worker %s is quarantined: %s",
            ring.name,
            ring.worker.worker_id,
            _ring.STATUSES.get(ring.source.damage, ring.source.damage),
        )

    def remove(self, ring: Ring) -> None:
        """Write down a ring whose closing is acknowledged, and remove it.

        What fails is logged, and tried again on the next round.
        """
        if self.rings.get(ring.ring_id) is not ring:
            self.finished += self.spooled.remove(ring, self._realtime_ns)
            return
        ring.state = State.CLOSED
        self.note_damage(ring)
        if self._write_down(ring, acknowledged(ring, self._realtime_ns)):
            self._spool.forget(ring.ring_id)
            self.finished += 1

    def bury(self, ring: Ring, closing: Closing) -> bool:
        """Remove a dead worker's ring of which the spool has all, and its end.

        What fails is logged, and tried again when it is asked for again.
        """
        self.note_damage(ring)
        return self._write_down(ring, buried(ring, self._realtime_ns, closing))

    def evict(self, ring: Ring, account: FinishedRing) -> None:
        """Remove a dead worker's ring undrained; it is counted as `account` says.

        What fails is logged, and tried again when it is asked for again.
        """
        if self._write_down(ring, account):
            self.note_eviction()

    def note_eviction(self) -> None:
        """Count and log a ring that was removed undrained."""
        self.evicted += 1
        self._log.warning(
            "evicted",
            "the hub is away, and the rings of dead workers fill more than a "
            "quarter of their file system: %d were removed undrained by now, see "
            "`shmtel ledger`",
            self.evicted,
        )

    def refusals(self) -> Refusals:
        """Return how often rings were refused or quarantined, ever."""
        refused = self._discovery.refusals
        return self._refusals_before.plus(refused, self.quarantined)

    def end_own(self) -> None:
        """Let the ring of this very process end, as far as the hub will have it."""
        for ring in self.rings.values():
            if ring.source.is_own:
                ring.finish(CLOSED)

    def close(self) -> None:
        """Let go of all rings; they stay where they are."""
        for ring in list(self.rings.values()):
            self._detach(ring)

    def _attach(self, found: Found) -> Ring:
        source = Source(found.consumer, is_own=found.is_own)
        ring_id = source.identity["ring_id"]
        is_own = found.is_own or ring_id in self._database.policies.own_rings()
        self._spool.tidy(ring_id, source.settled_seq, source.head_seq)
        backlog = Backlog(self._spool, ring_id)
        ring = Ring(found.name, source, self._enforcement.renew, backlog, is_own)
        self.rings[ring_id] = ring
        ring.is_counted = self._database.tally.has(ring_id)
        ring.left_out = LeftOut(self._database.left_out(ring_id))
        self._enforcement.attach(ring)
        if not found.is_own:
            self._deathwatch.add(ring)
        self._lives.attach(ring)
        self._pools.attach(ring)
        return ring

    def _detach(self, ring: Ring) -> None:
        self._deathwatch.remove(ring.ring_id)
        self._enforcement.forget(ring)
        ring.source.close()
        ring.state = State.CLOSED  # whatever a hub still has to say of it
        self._damaged.discard(ring.ring_id)
        del self.rings[ring.ring_id]

    def _write_down(self, ring: Ring, account: FinishedRing) -> bool:
        lifeline, is_final = self._deathwatch.get(ring.ring_id), not account.spooled
        self._lifecycle.note(ring, account, lifeline, is_final=is_final)
        try:
            self._database.finish(account)
            ring.is_counted = is_final
            self._discovery.remove(ring.name)
        except (StateError, SegmentError) as error:
            self._log.warning(
                f"remove {ring.name}", "ring %s stays: %s", ring.name, error
            )
            return False
        self._detach(ring)
        self._lives.detach(ring, account)
        self._pools.detach(ring, account)
        self._lifecycle.tell(self.rings)
        return True

    def _go_round(self, now_ns: int) -> None:
        self._deathwatch.take_exited()
        for ring in list(self.rings.values()):
            self._look_after(ring, now_ns)
        self.spooled.retry(self._realtime_ns)
        self._note_left_out()
        self._note_refusals()
        self._lives.tell(self._realtime_ns)
        self._lifecycle.tell(self.rings)

    def _look_after_some(self, attached: list[Ring], now_ns: int) -> None:
        ids = self._deathwatch.take_exited() & self.rings.keys()
        exited = [self.rings[ring_id] for ring_id in ids]
        for ring in (*attached, *exited):
            self._look_after(ring, now_ns)
        if attached:  # what has ended can wait for the round
            self._lives.tell(self._realtime_ns)

    def _look_after(self, ring: Ring, now_ns: int) -> None:
        if ring.state is State.CLOSED:
            self.remove(ring)
            return
        ring.control.beat(self._epoch, self._realtime_ns)
        ring.read_names()
        ended = self._deathwatch.probe(ring.ring_id, now_ns, self._realtime_ns)
        if ended is not None:
            self._lives.end(ring, ended)
        self.note_damage(ring)

    def _note_left_out(self) -> None:
        """Write down which names were left out; the next round has what fails."""
        news = {ring.ring_id: ring.left_out.news() for ring in self.served()}
        try:
            self._database.note_left_out(
                {ring_id: text for ring_id, text in news.items() if text is not None}
            )
        except StateError as error:
            self._log.warning("left out", "counts by event are not kept: %s", error)

    def _note_refusals(self) -> None:
        """Write down how many rings were refused; the next round has what fails."""
        counts = self.refusals()
        if counts == self._refusals_noted:
            return
        try:
            self._database.note_refusals(counts)
            self._refusals_noted = counts
        except StateError as error:
            self._log.warning("refusals", "counts of refusals are not kept: %s", error)
