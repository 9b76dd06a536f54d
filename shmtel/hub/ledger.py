"""What the hub's ledger is made of: hosts and rings, as they are at one moment.

Rules:
- plain data; what follows from it is computed by shmtel.accounting.fleet, here and
  by the tools that ask.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass

from shmtel.accounting.counts import add_counts
from shmtel.accounting.fleet import FleetLedger, fleet_ledger
from shmtel.accounting.rings import counters_of
from shmtel.hub.hosts import HostEntry
from shmtel.hub.positions import Folded
from shmtel.hub.table import RingEntry, RingTable
from shmtel.wire.control import HostLedger, RingLedger, RingSum


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
    entries, folded, known = table.at_once()
    hosts = {host.host_id: host for host in known}
    told = [_host(host, host.host_id in connected) for host in known]
    strangers = {e.host_id: e.node for e in entries if e.host_id not in hosts}
    told += [HostLedger(host_id, node) for host_id, node in strangers.items()]
    earlier = _earlier(folded, known)
    if earlier.rings:
        told.append(HostLedger("", "", folded=earlier))
    rings = [
        entry.for_ledger(gone=_is_gone(entry, hosts, connected)) for entry in entries
    ]
    return Facts(tuple(told), tuple(rings))


def _host(host: HostEntry, is_connected: bool) -> HostLedger:
    totals, claims, placed = host.folded
    return HostLedger(
        host_id=host.host_id,
        node=host.node,
        namespace=host.namespace,
        connected=is_connected,
        as_of_ns=host.heard_ns,
        counters=host.counters,
        folded=RingSum(
            host.folded_rings,
            placed.committed,
            totals,
            counters_of(claims),
        ),
    )


def _is_gone(
    entry: RingEntry, hosts: Mapping[str, HostEntry], connected: Container[str]
) -> bool:
    """Say whether the host has announced all its rings, and this one is not there."""
    host = hosts.get(entry.host_id)
    if host is None or entry.host_id not in connected:
        return False
    return host.told == host.stream and not entry.streams


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
