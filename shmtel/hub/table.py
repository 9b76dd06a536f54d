"""What the hub knows of every ring: who writes it, and where it stands.

The position of a ring is what makes a duplicate impossible: a segment that does
not start there is not accepted. It outlives streams, so a collector that comes
back, or a new one, continues where the hub is. In this version it lives in
memory, and a hub that was restarted starts each ring where its collector says
it has settled.

Rings that were closed are kept, the newest CLOSED_MAX of them, because a
collector killed before it could remove a segment opens that ring once more.
Older ones are folded into one sum, so that a fleet whose workers come and go
does not grow the table for ever.

Rules:
- entries are keyed by host and ring: no host can touch another host's rings;
- one stream at a time advances an entry (see `hosts`); everybody may read it.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from shmtel.hub.hosts import HostEntry, Hosts
from shmtel.wire.control import RingLedger
from shmtel.wire.frames import (
    Hello,
    RingClosed,
    RingCounters,
    RingOpened,
    Worker,
    WorkerCounters,
)
from shmtel.wire.protocol import Position

CLOSED_MAX = 10_000


@dataclass(slots=True)
class RingEntry:
    """One ring. `position` is replaced as a whole, so it can be read at any time."""

    host_id: str
    node: str
    ring_id: bytes
    worker: Worker
    position: Position
    names: list[str] = field(default_factory=list)
    closed_reason: str | None = None
    counters: WorkerCounters | None = None  # final ones, once it is closed
    claims: WorkerCounters = field(default_factory=WorkerCounters)  # until then
    sent_seq: int = 0  # as the collector told last
    spooled_seq: int = 0
    stream: int = 0  # number of the stream of its host that announced it last

    def tell(self, counters: RingCounters) -> None:
        """Note what the collector has told of it."""
        self.claims = counters.counters
        self.spooled_seq = counters.spooled_seq
        self.sent_seq = counters.sent_seq

    def for_ledger(self, *, gone: bool = False) -> RingLedger:
        """Return what the ledger is made of."""
        closed_reason, position = self.closed_reason, self.position
        return RingLedger(
            host_id=self.host_id,
            worker=self.worker,
            ring_id=self.ring_id,
            last_seq=position.last_seq,
            totals=position.totals,
            sent_seq=self.sent_seq,
            spooled_seq=self.spooled_seq,
            counters=self.counters or self.claims,
            closed_reason=closed_reason or "",
            gone=gone and closed_reason is None,
        )


@dataclass(frozen=True, slots=True)
class Folded:
    """The sum of closed rings that are no longer kept one by one."""

    rings: int = 0
    totals: Mapping[int, int] = field(default_factory=dict)


class RingTable:
    """All rings of all hosts."""

    def __init__(self, closed_max: int = CLOSED_MAX) -> None:
        self._closed_max = closed_max
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, bytes], RingEntry] = {}
        self._closed: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._folded = Folded()
        self.hosts = Hosts()

    def open(self, hello: Hello, frame: RingOpened) -> RingEntry:
        """Return the entry of a ring; a new one starts where it was settled."""
        key = (hello.host_id, frame.ring_id)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = RingEntry(
                    host_id=hello.host_id,
                    node=hello.node,
                    ring_id=frame.ring_id,
                    worker=frame.worker,
                    position=Position(frame.settled_seq, frame.totals),
                )
            self._closed.pop(key, None)
            entry.closed_reason = entry.counters = None
            entry.node, entry.worker = hello.node, frame.worker
            entry.names = []  # announced again on every stream
            entry.sent_seq = 0  # what was under way is so no more
            return entry

    def close(self, entry: RingEntry, frame: RingClosed) -> None:
        """Note the end of a ring."""
        key = (entry.host_id, entry.ring_id)
        with self._lock:
            entry.closed_reason = frame.reason
            entry.counters = frame.counters
            if self._entries.get(key) is not entry:
                return  # folded already
            self._closed[key] = None
            self._closed.move_to_end(key)
            while len(self._closed) > self._closed_max:
                self._fold(self._closed.popitem(last=False)[0])

    def _fold(self, key: tuple[str, bytes]) -> None:
        totals = dict(self._folded.totals)
        entry = self._entries.pop(key)
        self.hosts.fold(entry.for_ledger(gone=True), entry.node)
        for outcome, events in entry.position.totals.items():
            totals[outcome] = totals.get(outcome, 0) + events
        self._folded = Folded(self._folded.rings + 1, totals)

    def entries(self) -> list[RingEntry]:
        """Return the entries that there are now."""
        with self._lock:
            return list(self._entries.values())

    def at_once(self) -> tuple[list[RingEntry], Folded, list[HostEntry]]:
        """Return all of it as it was at one moment, between two foldings."""
        with self._lock:
            return list(self._entries.values()), self._folded, self.hosts.entries()

    def folded(self) -> Folded:
        """Return the sum of the closed rings that are no longer kept."""
        return self._folded
