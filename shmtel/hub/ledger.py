"""What the hub's ledger is made of: hosts and rings, as they are at one moment.

People are told the newest that is known. Metrics are made of what is on record, also
of what only collectors tell: a hub after this one begins with the same numbers. A
host of which nothing told is on record has no series, and not one of half its account.

Rules:
- plain data; what follows from it is computed by shmtel.accounting.fleet, here and
  by the tools that ask.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shmtel.accounting.counts import add_counts
from shmtel.accounting.fleet import FleetLedger, fleet_ledger
from shmtel.accounting.rings import Counted, Placed, counters_of, sum_of_counted
from shmtel.hub.closed_sums import ClosedSums
from shmtel.hub.hosts import HostEntry
from shmtel.hub.positions import Folded
from shmtel.hub.ring_entry import RingEntry
from shmtel.hub.table import RingTable
from shmtel.wire.control import HostLedger, RingLedger, RingSum
from shmtel.wire.frames import HostCounters, Outcome


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ledger is made of."""

    hosts: tuple[HostLedger, ...]
    rings: tuple[RingLedger, ...]

    def ledger(self) -> FleetLedger:
        """Return the ledger."""
        return fleet_ledger(self.hosts, self.rings)


def facts(table: RingTable, connected: Container[str]) -> Facts:
    """Collect them; `connected` are the ids of the hosts that are."""
    shown, folded, known = table.at_once()
    entries = [entry for entry, _ in shown]
    told = [_host(h, h.counters, h.gone_events, h.host_id in connected) for h in known]
    hosts = [*told, *_others(entries, folded, known)]
    return Facts(tuple(hosts), tuple(entry.for_ledger() for entry in entries))


@dataclass(frozen=True, slots=True)
class Summary:
    """What metrics tell of a fleet, however many workers of it have ended.

    Attributes:
        hosts: all that are known, also those of which nothing told is on record.
        ledger: of those of which it is; closed rings are summed up by host.
        closed: how many these are, by host id and by the reason of their end.
    """

    hosts: Sequence[HostLedger]
    ledger: FleetLedger
    closed: Mapping[tuple[str, str], int]


def summary(table: RingTable, connected: Container[str], sums: ClosedSums) -> Summary:
    """Collect what metrics are made of."""
    shown, folded, known = table.at_once()
    told = {host.host_id for host in known if host.shown is not None}
    closed = sums.of(shown)
    hosts = [
        _host(
            *(host, host.shown or HostCounters(), host.shown_gone_events),
            host.host_id in connected,
        )
        for host in known
    ]
    hosts += _others((entry for entry, _ in shown), folded, known)
    summed = [
        _with_closed(host, *closed.by_host.get(host.host_id, (0, None)))
        for host in hosts
        if host.host_id in told or not host.host_id
    ]
    rings = [
        entry.for_metrics(now)
        for entry, now in shown
        if entry.host_id in told and now.closed_reason is None
    ]
    reasons = {key: n for key, n in closed.by_reason.items() if key[0] in told}
    return Summary(hosts, fleet_ledger(summed, rings), reasons)


def _others(
    entries: Iterable[RingEntry], folded: Folded, known: list[HostEntry]
) -> list[HostLedger]:
    """Return the hosts that are only known by rings, and the one without a name."""
    ids = {host.host_id for host in known}
    strangers = {e.host_id: e for e in entries if e.host_id not in ids}
    others = [HostLedger(id_, e.node, e.namespace) for id_, e in strangers.items()]
    earlier = _earlier(folded, known)
    if earlier.rings:
        others.append(HostLedger("", "", folded=earlier))
    return others


def _with_closed(host: HostLedger, rings: int, closed: Counted | None) -> HostLedger:
    if closed is None:
        return host
    folded = host.folded
    before = Counted(folded.totals, folded.counters, Placed(folded.committed))
    totals, claims, placed = sum_of_counted([before, closed])
    number = folded.rings + rings
    sum_ = RingSum(number, placed.committed, totals, counters_of(claims))
    return replace(host, folded=sum_)


def _host(
    host: HostEntry, counters: HostCounters, gone_events: int, is_connected: bool
) -> HostLedger:
    """Return a host; what was in rings that are gone is lost like what was evicted."""
    if gone_events:
        gone: dict[int, int] = {Outcome.LOST_EVICTED: gone_events}
        evicted = add_counts(counters.evicted, gone)
        counters = replace(counters, evicted=evicted)
    totals, claims, placed = host.folded
    return HostLedger(
        host_id=host.host_id,
        node=host.node,
        namespace=host.namespace,
        connected=is_connected,
        as_of_ns=host.heard_ns,
        counters=counters,
        folded=RingSum(
            host.folded_rings,
            placed.committed,
            totals,
            counters_of(claims),
        ),
    )


def _earlier(folded: Folded, hosts: list[HostEntry]) -> RingSum:
    """Return what was folded by hubs before this one: of which host is not known."""
    mine: dict[int, int] = {}
    for host in hosts:
        mine = add_counts(mine, host.folded.totals)
    totals = {
        outcome: events - mine.get(outcome, 0)
        for outcome, events in folded.totals.items()
        if events > mine.get(outcome, 0)
    }
    rings = folded.rings - sum(host.folded_rings for host in hosts)
    return RingSum(max(rings, 0), sum(totals.values()), totals)
