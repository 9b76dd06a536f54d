"""Both laws for a fleet, from what its hub knows of hosts and rings.

The hub's own positions say what was delivered, rejected and lost. What has not come
to it yet it has from the collectors, who tell once a second how far each ring is
and what its worker claims; so of a host that is not connected the numbers are those
of the last word, and `as_of_ns` says when that was.

What a worker claims of a live ring is believed here; the host's own ledger, which
reads the ring, does not. With the end of the ring the hub is told how far it came.

A ring that is not there any more, by what its host has told, is gone without a word:
it was evicted, which the collector tells for all such rings at once, or the host was
booted, or somebody has removed its file. The hub makes `evicted` be all that was in
them, told or not; with the ring it is not counted twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from shmtel.accounting.accounts import Account, sum_of
from shmtel.accounting.rings import (
    NOTHING_CLAIMED,
    Counted,
    Placed,
    account_of,
    closed,
    sum_of_counted,
    under_way,
)
from shmtel.wire.control import HostLedger, RingLedger
from shmtel.wire.frames import Outcome

LIVE = "live"
GONE = "gone"
FOLDED = "folded"
EVICTED = "evicted"


@dataclass(frozen=True, slots=True)
class RingAccount:
    """One ring of the fleet, or the sum of many of one host."""

    host_id: str
    node: str
    ring_id: str
    worker_id: str
    pool_name: str
    pid: int
    state: str  # live, gone, evicted, folded, or why it was closed
    account: Account

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        names = ("host_id", "node", "ring_id", "worker_id", "pool_name", "pid", "state")
        return {name: getattr(self, name) for name in names} | self.account.to_json()


@dataclass(frozen=True, slots=True)
class HostAccount:
    """One host of the fleet, and what it told of itself."""

    host: HostLedger
    account: Account

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        host, counters = self.host, self.host.counters
        return {
            "host_id": host.host_id,
            "node": host.node,
            "namespace": host.namespace,
            "connected": host.connected,
            "as_of_ns": host.as_of_ns,
            **self.account.to_json(),
            "refusals": {
                "refused": dict(sorted(counters.refused.items())),
                "quarantined": dict(sorted(counters.quarantined.items())),
            },
            "evicted_rings": counters.evicted_rings,
            "spool": {
                "bytes": counters.spool_bytes,
                "max_bytes": counters.spool_max_bytes,
                "refused": dict(sorted(counters.spool_refused.items())),
                "damaged": counters.spool_damaged,
            },
        }


@dataclass(frozen=True, slots=True)
class FleetLedger:
    """All hosts and rings that a hub knows."""

    hosts: tuple[HostAccount, ...] = ()
    rings: tuple[RingAccount, ...] = ()
    total: Account = field(default_factory=Account)

    def of_nodes(self, glob: str) -> "FleetLedger":
        """Return the part of it that speaks of some hosts, with their sum."""
        hosts = [host for host in self.hosts if fnmatchcase(host.host.node, glob)]
        rings = [ring for ring in self.rings if fnmatchcase(ring.node, glob)]
        return _with_sum(hosts, rings)

    def of_workers(self, glob: str) -> "FleetLedger":
        """Return the part of it that speaks of some workers, with their sum."""
        rings = [ring for ring in self.rings if fnmatchcase(ring.worker_id, glob)]
        return _with_sum(self.hosts, rings)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "total": self.total.to_json(),
            "hosts": [host.to_json() for host in self.hosts],
            "rings": [ring.to_json() for ring in self.rings],
        }


def fleet_ledger(
    hosts: Iterable[HostLedger], rings: Iterable[RingLedger]
) -> FleetLedger:
    """Put the ledger of a fleet together."""
    by_id = {host.host_id: host for host in hosts}
    counted: dict[str, list[Counted]] = {host_id: [] for host_id in by_id}
    rows: list[RingAccount] = []
    for host in by_id.values():
        for state, count, sum_ in _sums_of(host):
            counted[host.host_id].append(sum_)
            rows.append(_row(host, f"{count} rings", state, sum_))
    for ring in rings:
        host = by_id[ring.host_id]
        counted[host.host_id].append(one := counted_of(ring, host.connected))
        rows.append(_ring_row(host, ring, one))
    accounts = {
        host_id: account_of(sum_of_counted(of_host))
        for host_id, of_host in counted.items()
    }
    total = account_of(
        sum_of_counted(one for of_host in counted.values() for one in of_host)
    )
    return FleetLedger(
        tuple(HostAccount(host, accounts[host.host_id]) for host in by_id.values()),
        tuple(rows),
        total,
    )


def counted_of(ring: RingLedger, is_connected: bool = True) -> Counted:
    """Return what is known of a ring; without a stream nothing is in flight."""
    if ring.closed_reason:
        return closed(ring.closed_reason, ring.last_seq, ring.totals, ring.counters)
    if ring.gone:
        return Counted(ring.totals, ring.counters, Placed(ring.last_seq))
    return under_way(
        ring.totals,
        ring.counters,
        spooled_seq=ring.spooled_seq,
        sent_seq=ring.sent_seq if is_connected else 0,
    )


def state_of(ring: RingLedger) -> str:
    """Return whether a ring is live or gone, or why it was closed."""
    return ring.closed_reason or (GONE if ring.gone else LIVE)


def _with_sum(
    hosts: Iterable[HostAccount], rings: Sequence[RingAccount]
) -> FleetLedger:
    total = sum_of(ring.account for ring in rings)
    return FleetLedger(tuple(hosts), tuple(rings), total)


def _sums_of(host: HostLedger) -> Iterable[tuple[str, int, Counted]]:
    """Return the rings of a host that are told of as sums: state, rings, and counts."""
    folded, counters = host.folded, host.counters
    if folded.rings:
        placed = Placed(folded.committed)
        yield FOLDED, folded.rings, Counted(folded.totals, folded.counters, placed)
    lost = counters.evicted.get(Outcome.LOST_EVICTED, 0)
    if counters.evicted_rings or lost:
        totals: dict[int, int] = {Outcome.LOST_EVICTED: lost} if lost else {}
        sum_ = Counted(totals, NOTHING_CLAIMED, Placed(lost))
        yield EVICTED, counters.evicted_rings, sum_


def _ring_row(host: HostLedger, ring: RingLedger, counted: Counted) -> RingAccount:
    worker = ring.worker
    return RingAccount(
        host_id=ring.host_id,
        node=host.node,
        ring_id=ring.ring_id.hex(),
        worker_id=worker.worker_id,
        pool_name=worker.pool_name,
        pid=worker.pid,
        state=state_of(ring),
        account=account_of(counted),
    )


def _row(host: HostLedger, worker_id: str, state: str, counted: Counted) -> RingAccount:
    account = account_of(counted)
    return RingAccount(host.host_id, host.node, "", worker_id, "", 0, state, account)
