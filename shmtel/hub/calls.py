"""Calling one handler with what it wants of a segment.

Rules:
- what a handler raises goes through to the caller.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shmtel.hub.handlers import EventBatch, Handler
from shmtel.hub.progress import Deed
from shmtel.hub.records import Record
from shmtel.hub.routes import Source
from shmtel.hub.stamp import stamped


@dataclass(slots=True)
class Delivery:
    """The events of a segment for one handler.

    Attributes:
        handled: of these events, as far as a call of one of them does not stand for
            all: a batch that raises has handled none.
    """

    handler: Handler
    source: Source
    records: Sequence[Record]
    redelivered_through: int = 0
    deed: Deed | None = None  # is held for it
    handled: int = 0

    def call(self) -> None:
        """Call the handler."""
        if self.handler.is_batch:
            self._call_batch()
        else:
            self._call_each()

    def _call_batch(self) -> None:
        source, through = self.source, self.redelivered_through
        is_marked = through and any(record.seq <= through for record in self.records)
        batch = EventBatch(
            *(source.node, source.worker, source.ring_id, source.names),
            self.records,
            through if is_marked else 0,
        )
        self.handler.function(batch, self.handler.config)
        self.handled = len(self.records)

    def _call_each(self) -> None:
        names, stamp = self.source.names, self.source.stamp
        function, config = self.handler.function, self.handler.config
        try:
            for record in self.records:
                metadata = stamped(record, stamp, self.redelivered_through)
                function(names[record.event_id], record.measurements, metadata, config)
        except BaseException:
            self.handled = len(self.records) - len(rest_of(self.records, record))
            raise
        self.handled = len(self.records)


def rest_of(records: Sequence[Record], first: Record) -> Sequence[Record]:
    """Return the records from one of them on."""
    return records[next(i for i, one in enumerate(records) if one is first) :]


def wanted(
    records: Sequence[Record], event_ids: frozenset[int] | None
) -> Sequence[Record]:
    """Return the records of some events; None: of all."""
    if event_ids is None:
        return records
    return [record for record in records if record.event_id in event_ids]
