"""What the hub knows of every ring: who writes it, and where it stands.

The position of a ring is what makes a duplicate impossible: a segment that does
not start there is not accepted. It outlives streams and, in the database of
`positions`, the hub: a collector that comes back, or a new one, continues where
the hub is. Here is all of it in memory, as it is now; what goes into the database
is what `settle` says, one group of batches after the other.

Rings that were closed are kept, the newest CLOSED_MAX of them, because a
collector killed before it could remove a segment opens that ring once more.
Older ones are folded into one sum, so that a fleet whose workers come and go
does not grow the table for ever. So are rings that no stream has had open for
EXPIRY_S, closed or not: their host does not come back. And so are the oldest, beyond
LEFT_MAX, of those that are neither open nor closed.

What a collector has sent before may have been handed to handlers by a hub that
was killed; of a ring that this process has already advanced it knows better.

Rules:
- entries are keyed by host and ring: no host can touch another host's rings;
- one stream at a time advances an entry (see `fleet`); everybody may read it;
- one thread settles, and it alone folds: what is folded in the database and what
  is still a row of its own never disagree.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from shmtel.hub.hosts import HostEntry, Hosts
from shmtel.hub.positions import (
    Folded,
    FoldedHost,
    RingState,
    Row,
    folded_row,
    ring_key,
)
from shmtel.hub.ring_entry import RingEntry, Shown
from shmtel.wire.frames import (
    Hello,
    RingClosed,
    RingOpened,
)
from shmtel.wire.protocol import Position

CLOSED_MAX = 10_000
LEFT_MAX = 100_000
EXPIRY_S = 7 * 24 * 3_600


@dataclass(frozen=True, slots=True)
class Change:
    """What a batch did to a ring."""

    entry: RingEntry
    position: Position
    closed: RingClosed | None = None


class RingTable:
    """All rings of all hosts.

    Args:
        rings, folded, folded_hosts: what the hub before this one has kept.
    """

    def __init__(
        self,
        rings: Iterable[RingState] = (),
        folded: Folded | None = None,
        folded_hosts: Iterable[FoldedHost] = (),
        *,
        closed_max: int = CLOSED_MAX,
        left_max: int = LEFT_MAX,
    ) -> None:
        self._closed_max, self._left_max = closed_max, left_max
        self._lock = threading.Lock()
        self._entries: dict[str, RingEntry] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._left: OrderedDict[str, None] = OrderedDict()  # not closed, not open
        self._folded = folded or Folded()
        for state in sorted(rings, key=lambda state: state.seen_s):
            entry = _restored(state)
            self._entries[entry.key] = entry
            is_closed = state.closed_reason is not None
            (self._closed if is_closed else self._left)[entry.key] = None
        self.hosts = Hosts(folded_hosts)

    # -- from streams ----------------------------------------------------------

    def knows(self, host_id: str, ring_id: bytes) -> bool:
        """Tell whether there is an entry of a ring."""
        return ring_key(host_id, ring_id) in self._entries

    def get(self, key: str) -> RingEntry | None:
        """Return the entry of a ring, by its key."""
        return self._entries.get(key)

    def open(self, hello: Hello, frame: RingOpened, now_s: int = 0) -> RingEntry:
        """Return the entry of a ring; a new one starts where it was settled.

        Every entry that was opened is closed or left.
        """
        key = ring_key(hello.host_id, frame.ring_id)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = RingEntry(
                    host_id=hello.host_id,
                    node=hello.node,
                    ring_id=frame.ring_id,
                    worker=frame.worker,
                    position=Position(frame.settled_seq, frame.totals),
                    namespace=hello.namespace,
                )
            self._closed.pop(key, None)
            self._left.pop(key, None)
            entry.closed_reason = entry.counters = None
            entry.node, entry.namespace = hello.node, hello.namespace
            entry.worker = frame.worker
            entry.names = []  # announced again on every stream
            entry.streams += 1
            entry.seen_s = now_s
            entry.was_advanced = entry.is_advanced
            entry.told = replace(entry.told, sent_seq=0)  # it is under way no more
            return entry

    def close(self, entry: RingEntry, frame: RingClosed) -> None:
        """Note the end of a ring."""
        with self._lock:
            entry.closed_reason = frame.reason
            entry.counters, entry.names = frame.counters, []
            entry.streams -= 1

    def leave(self, entries: Iterable[RingEntry], now_s: int) -> None:
        """Note that a stream has ended on which these were open."""
        with self._lock:
            for entry in entries:
                entry.streams -= 1
                entry.seen_s = now_s
                if not entry.streams and entry.closed_reason is None:
                    self._left[entry.key], entry.names = None, []
            for key in _oldest(self._left, self._left_max):
                if self._entries[key].kept is None:  # what is on record is folded
                    del self._left[key], self._entries[key]

    # -- from the committer ----------------------------------------------------

    def settle(self, changes: Iterable[Change], now_s: int) -> dict[str, Row | None]:
        """Return the rows that a group of batches changes; None: it goes away.

        Of several changes of a ring the last one counts.
        """
        rows: dict[str, Row | None] = {}
        with self._lock:
            for change in changes:
                entry = change.entry
                if self._entries.get(entry.key) is not entry:
                    continue  # folded already
                entry.seen_s = now_s
                rows[entry.key] = entry.kept = _state(change, now_s)
                if change.closed is not None and entry.closed_reason is not None:
                    self._closed[entry.key] = None
                    self._closed.move_to_end(entry.key)
            excess = _oldest(self._closed, self._closed_max)
            self._fold(excess + _oldest(self._left, self._left_max), rows)
        return rows

    def sweep(self, now_s: int) -> dict[str, Row | None]:
        """Return the rows to change because time has passed.

        What is open is seen now, also where nothing happens; what was not seen for
        too long is folded.
        """
        rows: dict[str, Row | None] = {}
        with self._lock:
            expired: list[str] = []
            for key, entry in self._entries.items():
                if entry.streams:
                    entry.seen_s = now_s
                    if entry.kept is not None:
                        rows[key] = entry.kept = replace(entry.kept, seen_s=now_s)
                elif now_s - entry.seen_s > EXPIRY_S:
                    expired.append(key)
            self._fold(expired, rows)
        return rows

    def _fold(self, keys: list[str], rows: dict[str, Row | None]) -> None:
        if not keys:
            return
        totals = dict(self._folded.totals)
        unclosed = self._folded.unclosed
        for key in keys:
            entry = self._entries.pop(key)
            self._closed.pop(key, None)
            self._left.pop(key, None)
            ring = entry.for_ledger(gone=True)
            self.hosts.fold(ring, entry.node, entry.namespace)
            unclosed += entry.closed_reason is None
            for outcome, events in entry.position.totals.items():
                totals[outcome] = totals.get(outcome, 0) + events
            rows[key] = None
        self._folded = Folded(self._folded.rings + len(keys), totals, unclosed)
        rows.update(folded_row(self._folded))
        rows.update(self.hosts.take_changed())

    def publish(self, rows: Mapping[str, Row | None]) -> None:
        """Show what has been written."""
        with self._lock:
            for key, row in rows.items():
                entry = self._entries.get(key)
                if entry is not None and isinstance(row, RingState):
                    position = Position(row.last_seq, row.totals)
                    entry.shown = Shown(position, row.closed_reason, row.counters)

    # -- from anybody ----------------------------------------------------------

    def entries(self) -> list[RingEntry]:
        """Return the entries that there are now."""
        with self._lock:
            return list(self._entries.values())

    def at_once(self) -> tuple[list[RingEntry], Folded, list[HostEntry]]:
        """Return all of it as it was at one moment, between two foldings."""
        with self._lock:
            return list(self._entries.values()), self._folded, self.hosts.entries()

    def folded(self) -> Folded:
        """Return the sum of the rings that are no longer kept one by one."""
        return self._folded


def _oldest(keys: OrderedDict[str, None], most: int) -> list[str]:
    """Return what is more than there may be."""
    return list(islice(keys, max(0, len(keys) - most)))


def _state(change: Change, now_s: int) -> RingState:
    entry, closed = change.entry, change.closed
    return RingState(
        host_id=entry.host_id,
        node=entry.node,
        ring_id=entry.ring_id,
        worker=entry.worker,
        last_seq=change.position.last_seq,
        totals=change.position.totals,
        closed_reason=None if closed is None else closed.reason,
        counters=None if closed is None else closed.counters,
        seen_s=now_s,
        namespace=entry.namespace,
    )


def _restored(state: RingState) -> RingEntry:
    totals: Mapping[int, int] = state.totals
    return RingEntry(
        host_id=state.host_id,
        node=state.node,
        ring_id=state.ring_id,
        worker=state.worker,
        position=Position(state.last_seq, totals),
        namespace=state.namespace,
        closed_reason=state.closed_reason,
        counters=state.counters,
        seen_s=state.seen_s,
        kept=state,
    )
