"""What a hub knows, for those who show it: its HTTP API and its console.

Rules:
- read only, from any thread, and never waiting for a stream or a handler;
- plain data, as it is at one moment: how it is shown is the business of others.
"""

from dataclasses import dataclass
from functools import reduce

from shmtel.accounting.accounts import Account
from shmtel.accounting.fleet import LIVE, counted_of, state_of
from shmtel.accounting.rings import account_of
from shmtel.hub.event_counts import EventsSeen
from shmtel.hub.fleet import Host
from shmtel.hub.handlers import Handler
from shmtel.hub.parts import Parts
from shmtel.hub.ring_entry import RingEntry
from shmtel.wire.control import HostLedger, RingLedger
from shmtel.wire.frames import Worker


@dataclass(frozen=True, slots=True)
class KnownRing:
    """One ring that is kept by itself.

    Attributes:
        last_seen_ns: CLOCK_REALTIME at which it was last open, or advanced.
    """

    host: HostLedger
    ring: RingLedger
    state: str
    account: Account
    last_seen_ns: int


@dataclass(frozen=True, slots=True)
class KnownWorker:
    """One process, with all the rings that it has had."""

    host: HostLedger
    worker: Worker
    state: str
    account: Account
    last_seen_ns: int
    rings: int


@dataclass(frozen=True, slots=True)
class HandlerState:
    """One handler that is attached.

    Attributes:
        waiting: segments in its queue; None: it has none.
        missed: events that it had no room for, or did not handle.
    """

    handler_id: str
    patterns: tuple[str, ...]
    is_required: bool
    waiting: int | None
    missed: int


class Insight:
    """Looks at the parts of a hub."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def events(self) -> EventsSeen:
        """Return what was counted by event name."""
        return self._parts.event_counts.read()

    def hosts(self) -> list[Host]:
        """Return the hosts that are connected, and since when."""
        return self._parts.fleet.hosts()

    def handlers(self) -> list[HandlerState]:
        """Return the handlers that are attached, the oldest first."""
        missed: dict[str, int] = {}
        for (handler_id, _reason), events in self._parts.dispatcher.missed().items():
            missed[handler_id] = missed.get(handler_id, 0) + events
        return [
            _state(handler, missed.get(handler.handler_id, 0))
            for handler in self._parts.dispatcher.handlers()
        ]

    def rings(self) -> list[KnownRing]:
        """Return the rings that are kept one by one."""
        facts = self._parts.control.facts()
        hosts = {host.host_id: host for host in facts.hosts}
        entries = {
            (entry.host_id, entry.ring_id): entry
            for entry in self._parts.table.entries()
        }
        return [
            _known(hosts[ring.host_id], ring, entries.get((ring.host_id, ring.ring_id)))
            for ring in facts.rings
        ]

    def workers(self) -> list[KnownWorker]:
        """Return the processes whose rings are kept one by one."""
        groups: dict[tuple[str, str, int], list[KnownRing]] = {}
        for known in self.rings():
            worker = known.ring.worker
            key = (known.ring.host_id, worker.worker_id, worker.pid)
            groups.setdefault(key, []).append(known)
        return list(map(_worker, groups.values()))


def _state(handler: Handler, missed: int) -> HandlerState:
    return HandlerState(
        *(handler.handler_id, handler.patterns, handler.is_required),
        waiting=None if handler.lane is None else handler.lane.waiting,
        missed=missed,
    )


def _known(host: HostLedger, ring: RingLedger, entry: RingEntry | None) -> KnownRing:
    return KnownRing(
        *(host, ring, state_of(ring)),
        account=account_of(counted_of(ring, host.connected)),
        last_seen_ns=0 if entry is None else _seen_ns(host, entry),
    )


def _seen_ns(host: HostLedger, entry: RingEntry) -> int:
    seen_ns = entry.seen_s * 1_000_000_000
    return max(seen_ns, host.as_of_ns) if entry.streams else seen_ns


def _worker(rings: list[KnownRing]) -> KnownWorker:
    newest = max(rings, key=lambda known: (known.state == LIVE, known.last_seen_ns))
    return KnownWorker(
        *(newest.host, newest.ring.worker, newest.state),
        account=reduce(Account.plus, (known.account for known in rings)),
        last_seen_ns=max(known.last_seen_ns for known in rings),
        rings=len(rings),
    )
