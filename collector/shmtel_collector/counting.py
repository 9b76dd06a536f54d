"""What the hub is told of rings ahead of their events, once a second.

How far each ring has come, and what its worker claims until now: with that the
hub's ledger knows of live rings what the host's does. Only what has changed since
the last time is told; on a new stream that is everything. What a worker leaves
out that emits nothing else is told within four seconds.

Rules:
- numbers that do not leave are not forgotten: they are told the next time.
"""

from dataclasses import dataclass

from shmtel.accounting.counts import Claims
from shmtel.accounting.rings import counters_of
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.frames import HostCounters, RingCounters
from shmtel.wire.limits import fitted_counters
from shmtel_collector.fleet import ROUND_NS, Fleet
from shmtel_collector.host_counts import HostCounts
from shmtel_collector.ring import Ring, State

REST_ROUNDS = 4  # of which a ring at rest is looked at in one
_SERVED = (State.OPENED, State.LIVE)  # what ends says so itself


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a ring has come, by seq, and what its worker claims."""

    sent_seq: int
    spooled_seq: int
    claims: Claims


class Counting:
    """Tells the hub what has changed."""

    def __init__(self, fleet: Fleet, host: HostCounts) -> None:
        self._fleet = fleet
        self._host = host
        self.forget()

    def forget(self) -> None:
        """Forget the stream: the next one is told everything."""
        self._told: dict[int, Progress] = {}
        self._told_host: HostCounters | None = None
        self._rounds = 0
        self._next_ns = 0

    def tick(self, protocol: CollectorProtocol, now_ns: int) -> None:
        """Tell what has changed, if it is time to."""
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + ROUND_NS
            self._rounds += 1
            self._tell(protocol, is_thorough=self._rounds % REST_ROUNDS == 0)

    def tell(self, protocol: CollectorProtocol) -> None:
        """Tell what has changed, of all rings."""
        self._tell(protocol, is_thorough=True)

    def _tell(self, protocol: CollectorProtocol, *, is_thorough: bool) -> None:
        now = {
            ring.number: self._progress(ring, is_thorough=is_thorough)
            for ring in self._fleet.served()
            if ring.number and ring.state in _SERVED
        }
        news = [
            _counters(number, progress)
            for number, progress in now.items()
            if progress != self._told.get(number)
        ]
        host = self._host.frame()
        if not news and host == self._told_host:
            return
        if protocol.send_counters(fitted_counters(news, host)):
            self._told, self._told_host = now, host

    def _progress(self, ring: Ring, *, is_thorough: bool) -> Progress:
        told = self._told.get(ring.number)
        if told is None or is_thorough or not _is_at_rest(ring, told):
            return progress_of(ring, told)
        return told


def _is_at_rest(ring: Ring, told: Progress) -> bool:
    """Say whether no event has come or gone; calls that were left out may have."""
    seqs = ring.sent_seq, spooled_seq_of(ring)
    return seqs == (told.sent_seq, told.spooled_seq) and ring.is_read()


def progress_of(ring: Ring, before: Progress | None = None) -> Progress:
    """Return how far a ring has come; what cannot be read is as it was before."""
    claims = ring.source.claims()
    if claims is None:
        claims = Claims() if before is None else before.claims
    return Progress(ring.sent_seq, spooled_seq_of(ring), claims)


def spooled_seq_of(ring: Ring) -> int:
    """Return up to which seq events have left the ring, for the hub or the spool."""
    return ring.source.head_seq


def _counters(number: int, progress: Progress) -> RingCounters:
    return RingCounters(
        number,
        progress.sent_seq,
        progress.spooled_seq,
        counters_of(progress.claims),
    )
