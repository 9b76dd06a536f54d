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

from shmtel.accounting.rings import at_least
from shmtel.hub.hosts import HostEntry, Hosts
from shmtel.hub.positions import (
    Folded,
    FoldedHost,
    RingState,
    Row,
    folded_row,
    ring_key,
    rings_of_host,
)
from shmtel.hub.ring_entry import (
    RingEntry,
    Shown,
    events_in,
    not_less,
    restored,
    shown_of,
    state_of,
)
from shmtel.wire.frames import (
    Hello,
    HostCounters,
    RingClosed,
    RingCounters,
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
        self._told: dict[str, RingEntry] = {}  # of what is not on record yet
        self._folded = folded or Folded()
        for state in sorted(rings, key=lambda state: state.seen_s):
            entry = restored(state)
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
            entry.is_gone = False
            entry.node, entry.namespace = hello.node, hello.namespace
            entry.worker = frame.worker
            entry.names = []  # announced again on every stream
            entry.streams += 1
            entry.seen_s = now_s
            entry.was_advanced = entry.is_advanced
            entry.told = replace(entry.told, sent_seq=0)  # it is under way no more
            return entry

    def tell(
        self,
        host: HostEntry,
        stream: int,
        rings: Iterable[tuple[RingEntry, RingCounters]],
        counters: HostCounters,
    ) -> None:
        """Note what a collector has told ahead of events, on a stream of its host.

        With the first of it on a stream, all rings of the host are open that there
        are: what is not is gone.
        """
        with self._lock:
            if stream != host.stream:
                return  # of one that was followed by another
            for entry, told in rings:
                entry.told = not_less(told, entry.told)
                self._told[entry.key] = entry
            is_first = host.told != stream
            gone_events = self._miss(host.host_id) if is_first else 0
            self.hosts.tell(host, counters, gone_events)

    def _miss(self, host_id: str) -> int:
        """Note which rings of a host are gone; return what was in them."""
        gone_events, prefix = 0, rings_of_host(host_id)
        for key in self._left:
            entry = self._entries[key]
            if key.startswith(prefix) and not entry.is_gone:
                gone_events += events_in(entry)
                entry.is_gone = True
                self._told[key] = entry
        return gone_events

    def close(self, entry: RingEntry, frame: RingClosed) -> RingClosed:
        """Note the end of a ring; return it with what its worker claimed at least."""
        with self._lock:
            counters = at_least(entry.told.counters, frame.counters)
            entry.closed_reason = frame.reason
            entry.counters, entry.names = counters, []
            entry.streams -= 1
            return replace(frame, counters=counters)

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
                rows[entry.key] = entry.kept = _changed(change, now_s)
                if change.closed is not None and entry.closed_reason is not None:
                    self._closed[entry.key] = None
                    self._closed.move_to_end(entry.key)
            self._note_told(rows, now_s)
            excess = _oldest(self._closed, self._closed_max)
            self._fold(excess + _oldest(self._left, self._left_max), rows)
            rows.update(self.hosts.take_changed())
        return rows

    def _note_told(self, rows: dict[str, Row | None], now_s: int) -> None:
        """Add what was told of open rings and is not in these rows."""
        for key, entry in self._told.items():
            is_open = entry.closed_reason is None  # else its end says it
            if is_open and key not in rows and self._entries.get(key) is entry:
                position = entry.shown.position
                rows[key] = entry.kept = state_of(entry, position, now_s)
        self._told = {}

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
            rows.update(self.hosts.take_changed())
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
            gone_events, entry.is_gone = events_in(entry), True
            ring = entry.for_ledger()
            self.hosts.fold(ring, entry.node, entry.namespace, gone_events)
            unclosed += entry.closed_reason is None
            for outcome, events in entry.position.totals.items():
                totals[outcome] = totals.get(outcome, 0) + events
            rows[key] = None
        self._folded = Folded(self._folded.rings + len(keys), totals, unclosed)
        rows.update(folded_row(self._folded))

    def publish(self, rows: Mapping[str, Row | None]) -> None:
        """Show what has been written."""
        with self._lock:
            for key, row in rows.items():
                if isinstance(row, FoldedHost):
                    self.hosts.publish(row)
                elif isinstance(row, RingState) and (entry := self._entries.get(key)):
                    entry.shown = shown_of(row)

    # -- from anybody ----------------------------------------------------------

    def entries(self) -> list[RingEntry]:
        """Return the entries that there are now."""
        with self._lock:
            return list(self._entries.values())

    def at_once(
        self,
    ) -> tuple[list[tuple[RingEntry, Shown]], Folded, list[HostEntry]]:
        """Return all of it as it was at one moment, with what was shown of rings."""
        with self._lock:
            rings = [(entry, entry.shown) for entry in self._entries.values()]
            return rings, self._folded, self.hosts.entries()

    def folded(self) -> Folded:
        """Return the sum of the rings that are no longer kept one by one."""
        return self._folded


def _oldest(keys: OrderedDict[str, None], most: int) -> list[str]:
    """Return what is more than there may be."""
    return list(islice(keys, max(0, len(keys) - most)))


def _changed(change: Change, now_s: int) -> RingState:
    state, closed = state_of(change.entry, change.position, now_s), change.closed
    if closed is None:
        return state
    return replace(state, closed_reason=closed.reason, counters=closed.counters)
