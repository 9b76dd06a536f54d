"""What the hub knows of hosts, beside the positions of their rings.

Their collectors tell once a second what no event says: how far each ring is, what
its worker claims, and what the host has refused or evicted. The counters of it go on
record with the positions, for metrics are made of that. A collector tells all of it
again on its next stream; but hosts are renamed and set up anew, and some never return.

Rings that the table no longer keeps one by one are summed up here by host, so that
what a host has delivered does not shrink when they go. These sums are kept on disk,
in the transaction in which the rings go: nobody tells of them again.

Rules:
- one stream at a time speaks for a host (see `fleet`); everybody may read;
- the lock here is taken after the table's, never before it.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field

from shmtel.accounting.fleet import counted_of
from shmtel.accounting.rings import (
    NOTHING_CLAIMED,
    Claimed,
    Counted,
    Placed,
    counters_of,
    sum_of_counted,
)
from shmtel.hub.positions import FoldedHost, Row, folded_host_key
from shmtel.wire.control import RingLedger
from shmtel.wire.frames import Hello, HostCounters, Outcome
from shmtel.wire.limits import COUNTED_MAX

_log = logging.getLogger(__name__)

HOSTS_MAX = 10_000  # that are remembered; those heard of last
OTHER = "other"  # the reason of what is dropped for more than a host may name
_NOTHING = Counted({}, NOTHING_CLAIMED, Placed(0))


@dataclass(slots=True)
class HostEntry:
    """One host.

    Attributes:
        stream: number of its newest stream.
        told: number of the stream whose first counters have come: by then it has
            announced every ring that there is.
        heard_ns: CLOCK_REALTIME of its last frame.
        gone_events: events of rings that are gone, beyond those it has told to be lost.
        shown, shown_gone_events: what is on record of both; None: nothing is.
        folded_rings, folded: its rings that the table no longer keeps.
    """

    host_id: str
    node: str
    namespace: str = ""
    stream: int = 0
    told: int = 0
    heard_ns: int = 0
    counters: HostCounters = field(default_factory=HostCounters)
    gone_events: int = 0
    shown: HostCounters | None = None
    shown_gone_events: int = 0
    folded_rings: int = 0
    folded: Counted = _NOTHING


class Hosts:
    """All hosts that the hub has heard of.

    Args:
        folded: what the hub before this one has kept.
    """

    def __init__(
        self, folded: Iterable[FoldedHost] = (), hosts_max: int = HOSTS_MAX
    ) -> None:
        self._hosts_max = hosts_max
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, HostEntry] = OrderedDict()
        self._changed: dict[str, Row | None] = {}  # of what is kept
        for host in folded:
            entry = self._entry(host.host_id, host.node, host.namespace)
            entry.folded_rings = host.rings
            placed = Placed(host.committed)
            entry.folded = Counted(host.totals, host.counters, placed)
            entry.counters = host.told or HostCounters()
            entry.shown = host.told
            entry.gone_events = entry.shown_gone_events = host.gone_events

    def enter(self, hello: Hello, now_ns: int) -> HostEntry:
        """Note a new stream of a host."""
        with self._lock:
            if hello.host_id not in self._entries:
                self._warn_of_namesakes(hello)
            entry = self._entry(hello.host_id, hello.node, hello.namespace)
            entry.stream += 1
            entry.heard_ns = now_ns
            return entry

    def tell(self, entry: HostEntry, counters: HostCounters, gone_events: int) -> None:
        """Note what a collector has told of its host.

        Args:
            gone_events: of rings that are gone since the last time. Those that were
                evicted since then are told too, as lost, and are not counted twice.
        """
        with self._lock:
            lost = _evicted(counters) - _evicted(entry.counters)
            gone_events = max(gone_events - max(lost, 0), 0)
            is_new = entry.shown is None or counters != entry.counters
            entry.counters, entry.told = counters, entry.stream
            entry.gone_events += gone_events
            is_kept = self._entries.get(entry.host_id) is entry
            if is_kept and (is_new or gone_events):
                self._changed[folded_host_key(entry.host_id)] = _kept(entry)

    def fold(
        self, ring: RingLedger, node: str, namespace: str, gone_events: int
    ) -> None:
        """Add up a ring that the table no longer keeps, and what is nowhere of it."""
        with self._lock:
            entry = self._entry(ring.host_id, node, namespace)
            entry.gone_events += gone_events
            # At once, as the ring is not shown any more.
            entry.shown_gone_events += gone_events
            entry.folded_rings += 1
            sum_ = sum_of_counted([entry.folded, counted_of(ring)])
            entry.folded = _under_few_reasons(sum_)
            self._changed[folded_host_key(entry.host_id)] = _kept(entry)

    def take_changed(self) -> dict[str, Row | None]:
        """Return the rows of the sums that have changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, {}
            return changed

    def publish(self, row: FoldedHost) -> None:
        """Show what has been written of a host."""
        with self._lock:
            if (entry := self._entries.get(row.host_id)) is not None:
                entry.shown, entry.shown_gone_events = row.told, row.gone_events

    def entries(self) -> list[HostEntry]:
        """Return the hosts as they are now."""
        with self._lock:
            return list(map(copy, self._entries.values()))

    def _warn_of_namesakes(self, hello: Hello) -> None:
        place = hello.node, hello.namespace
        if any((e.node, e.namespace) == place for e in self._entries.values()):
            _log.warning(
                "a second host is called %s in namespace %s: if its collector has lost "
                "its state directory, rings that it had are counted once more",
                *place,
            )

    def _entry(self, host_id: str, node: str, namespace: str) -> HostEntry:
        entry = self._entries.get(host_id)
        if entry is None:
            entry = self._entries[host_id] = HostEntry(host_id, node)
        entry.node, entry.namespace = node, namespace
        self._entries.move_to_end(host_id)
        if len(self._entries) > self._hosts_max:
            key, _ = self._entries.popitem(last=False)
            # What was folded is from now on of nobody's, in the sum of all.
            self._changed[folded_host_key(key)] = None
        return entry


def _kept(entry: HostEntry) -> FoldedHost:
    totals, claims, placed = entry.folded
    return FoldedHost(
        host_id=entry.host_id,
        node=entry.node,
        namespace=entry.namespace,
        rings=entry.folded_rings,
        committed=placed.committed,
        totals=totals,
        counters=counters_of(claims),
        told=entry.counters if entry.told or entry.shown is not None else None,
        gone_events=entry.gone_events,
    )


def _evicted(counters: HostCounters) -> int:
    return counters.evicted.get(Outcome.LOST_EVICTED, 0)


def _under_few_reasons(counted: Counted) -> Counted:
    """Return it with no more reasons than one ring may have.

    Workers share a handful; more of them were made up by a collector.
    """
    claims = counted.claims
    if len(claims.dropped) <= COUNTED_MAX:
        return counted
    named = [reason for reason in claims.dropped if reason != OTHER][: COUNTED_MAX - 1]
    dropped = {reason: claims.dropped[reason] for reason in named}
    dropped[OTHER] = sum(claims.dropped.values()) - sum(dropped.values())
    return counted._replace(
        claims=Claimed(
            *(claims.committed, claims.sampled_out, claims.filtered, claims.disabled),
            dropped,
        )
    )
