"""What is said of a ring at its end: to the hub, the state database, the spool."""

from collections.abc import Mapping

from shmtel.accounting.counts import Claims
from shmtel.accounting.rings import counters_of
from shmtel.wire.frames import RingClosed
from shmtel_collector.finished import FinishedRing
from shmtel_collector.left_out import event_table
from shmtel_collector.ring import Ring
from shmtel_collector.settlement import to_table
from shmtel_collector.spool_records import Closing, SpooledRing

QUARANTINED = "quarantined"


def announced(ring: Ring) -> RingClosed:
    """Return what the hub is told, behind the last segment."""
    return RingClosed(
        ring=ring.number,
        last_seq=ring.sent_seq,
        reason=reason_of(ring),
        counters=counters_of(claims_of(ring)),
    )


def acknowledged(ring: Ring, closed_ns: int) -> FinishedRing:
    """Return what stays of a ring when the hub has all of it."""
    totals = to_table(ring.accepted)
    return account(ring, closed_ns, reason_of(ring), ring.accepted_seq, totals)


def buried(ring: Ring, closed_ns: int, closing: Closing) -> FinishedRing:
    """Return what stays of a ring when the rest of it is in the spool."""
    settled_seq, totals = ring.source.settled_seq, to_table(ring.source.totals)
    spooled = closing.last_seq - settled_seq
    return account(
        ring, closed_ns, closing.reason, closing.last_seq, totals, spooled=spooled
    )


def account(
    ring: Ring,
    closed_ns: int,
    reason: str,
    last_seq: int,
    totals: Mapping[int, int],
    *,
    spooled: int = 0,
) -> FinishedRing:
    """Return what stays of a ring, with totals that sum to last_seq less spooled."""
    return FinishedRing(
        ring_id=ring.ring_id,
        worker_id=ring.worker.worker_id,
        pool_name=ring.worker.pool_name,
        pid=ring.worker.pid,
        closed_ns=closed_ns,
        reason=reason,
        last_seq=last_seq,
        totals=totals,
        claims=claims_of(ring),
        events=event_table(ring.source.events(), ring.left_out.counts(), totals),
        spooled=spooled,
        service=ring.worker.service,
        worker_index=ring.worker.worker_index,
    )


def reason_of(ring: Ring) -> str:
    """Return how a ring has ended."""
    if ring.source.damage is not None:
        return QUARANTINED
    return ring.end.reason if ring.end is not None else ""


def claims_of(ring: Ring) -> Claims:
    """Return the worker's own counters, as far as they can be read."""
    return ring.source.claims() or Claims(committed=ring.reader.seq)


def closing_of(ring: Ring, reason: str, last_seq: int) -> Closing:
    """Return how a ring has ended, for the spool."""
    events = [
        {
            "name": event["name"],
            "committed": event["committed"],
            "sampled_out": event["sampled_out"],
            "filtered": event["filtered"],
            "dropped": {k: n for k, n in event["dropped"].items() if n},
        }
        for event in ring.source.events()
    ]
    return Closing(reason, last_seq, claims_of(ring), events, ring.left_out.text())


def spooled_ring(ring: Ring, closing: Closing | None = None) -> SpooledRing:
    """Return what the spool keeps of a ring beside its segments."""
    return SpooledRing(ring.ring_id, ring.worker, ring.names, ring.standing(), closing)
