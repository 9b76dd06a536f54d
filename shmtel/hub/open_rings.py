"""The rings that are open on one stream, by their numbers there.

Rules:
- only the stream's thread touches them.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from shmtel.hub.dispatch import Dispatcher
from shmtel.hub.event_counts import EventCounts
from shmtel.hub.measures.instrument import Delta
from shmtel.hub.measures.lives import key_of_ring
from shmtel.hub.measures.measures import Measures
from shmtel.hub.measures.plan import Plan
from shmtel.hub.progress import Deed
from shmtel.hub.records import Record, check_head, decode_segment
from shmtel.hub.ring_entry import RingEntry
from shmtel.hub.routes import Routes, Source
from shmtel.hub.table import Change, RingTable
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import Batch, NamesAdded, RingCounters, Segment

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class OpenRing:
    """A ring, and what its events are handed out and measured with."""

    entry: RingEntry
    source: Source
    plan: Plan | None = None
    wanted: bytes | None = None  # by event id, 0: not; None: all are
    wanted_by: tuple[Routes, Plan] | None = None

    def wanted_events(self, routes: Routes, plan: Plan) -> bytes | None:
        """Return which events are for any handler or metric; None: all are."""
        if self.wanted_by is None or self.wanted_by != (routes, plan):
            wanted, count = routes.wanted | plan.wanted, len(self.source.names)
            self.wanted_by = routes, plan
            mask = bytes(event_id in wanted for event_id in range(count))
            self.wanted = mask if len(wanted) < count else None
        return self.wanted


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be handed out of a segment.

    Attributes:
        read: the events of which anything was decoded, handed out or not.
    """

    ring: OpenRing
    records: Sequence[Record]
    read: Sequence[Record]
    redelivered_through: int

    @property
    def redelivered(self) -> int:
        """How many of the events an earlier hub may have handed out."""
        through = self.redelivered_through
        return sum(record.seq <= through for record in self.records) if through else 0


class OpenRings:
    """The rings of one stream."""

    def __init__(
        self, table: RingTable, dispatcher: Dispatcher, measures: Measures
    ) -> None:
        self._table = table
        self._dispatcher = dispatcher
        self._measures = measures
        self._rings: dict[int, OpenRing] = {}
        self._unreadable: set[int] = set()  # by number

    def add(self, number: int, entry: RingEntry) -> None:
        """Add a ring that was opened."""
        source = Source(entry.node, entry.worker, entry.ring_id.hex(), entry.names)
        self._rings[number] = OpenRing(entry, source)

    def add_names(self, frame: NamesAdded) -> None:
        """Add names to a ring."""
        self._rings[frame.ring].source.names.extend(frame.names)

    def parts(self, batch: Batch, delta: Delta) -> tuple[list[Part], dict[int, str]]:
        """Return what is to be handed out of a batch, and measure it.

        And why the segments of some rings, by their numbers, cannot be read: they
        would be no better the next time, so the rings go on without them.
        """
        parts: list[Part] = []
        rejected: dict[int, str] = {}
        for segment in batch.segments:
            try:
                parts.append(self._part(segment, delta))
            except RemoteProtocolError as error:
                rejected[segment.ring] = str(error)
                self._log_rejected(segment.ring, error)
        return parts, rejected

    def _log_rejected(self, number: int, error: RemoteProtocolError) -> None:
        if number not in self._unreadable:  # one line per ring says enough
            self._unreadable.add(number)
            source = self._rings[number].source
            worker_id, node = source.worker.worker_id, source.node
            _log.warning("events of %s on %s rejected: %s", worker_id, node, error)

    def _part(self, segment: Segment, delta: Delta) -> Part:
        ring = self._rings[segment.ring]
        source, plan = ring.source, self._plan(ring)
        records: Sequence[Record] = ()
        read: Sequence[Record] = ()
        routes = self._dispatcher.routes(source)
        if routes.is_wanted:
            wanted = ring.wanted_events(routes, plan)
            read = records = decode_segment(segment, len(source.names), wanted=wanted)
            if plan.is_wanted:
                plan.measure(records, delta)
        elif plan.is_wanted:
            read = plan.measure_segment(segment, delta)
        else:
            check_head(segment)
        return Part(ring, records, read, ring.entry.redelivered_in(segment))

    def _plan(self, ring: OpenRing) -> Plan:
        plan, name_count = ring.plan, len(ring.source.names)
        version = self._measures.version
        if plan is None or (plan.version, plan.name_count) != (version, name_count):
            ring_key = partial(key_of_ring, ring.entry.host_id)
            plan = ring.plan = self._measures.plan(ring.source, ring_key)
        return plan

    def hand_out(self, parts: Iterable[Part], deed: Deed) -> None:
        """Call the handlers.

        Raises:
            RequiredHandlerError: the events must not count as delivered.
        """
        for part in parts:
            if part.records:
                source, through = part.ring.source, part.redelivered_through
                self._dispatcher.deliver(source, part.records, through, deed)

    def count(
        self, batch: Batch, parts: Sequence[Part], event_counts: EventCounts
    ) -> None:
        """Count by name what a batch has brought, before its rings are closed."""
        for part in parts:
            if part.read:
                event_counts.add(part.ring.source.names, part.read)
        for segment in batch.segments:
            if segment.counts:
                names = self._rings[segment.ring].source.names
                event_counts.add_left_out(names, segment.counts)
        read = sum(len(part.read) for part in parts)
        delivered = sum(segment.delivered for segment in batch.segments)
        if delivered > read:
            event_counts.add_unread(delivered - read)

    def told(
        self, counters: Iterable[RingCounters]
    ) -> list[tuple[RingEntry, RingCounters]]:
        """Return of which ring each of these is."""
        return [(self._rings[each.ring].entry, each) for each in counters]

    def take_changes(self, batch: Batch) -> list[Change]:
        """Return what a batch has done, as of this batch; forget what it closed."""
        changes: list[Change] = []
        for segment in batch.segments:
            entry = self._rings[segment.ring].entry
            entry.is_advanced = True
            changes.append(Change(entry, entry.position))
        for closed in batch.closed:
            entry = self._rings.pop(closed.ring).entry
            final = self._table.close(entry, closed)
            changes.append(Change(entry, entry.position, final))
        return changes

    def entries(self) -> list[RingEntry]:
        """Return the table's entries of what is open."""
        return [ring.entry for ring in self._rings.values()]
