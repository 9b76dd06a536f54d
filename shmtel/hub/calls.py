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


@dataclass(frozen=True, slots=True)
class Delivery:
    """The events of a segment for one handler."""

    handler: Handler
    source: Source
    records: Sequence[Record]
    redelivered_through: int = 0
    deed: Deed | None = None  # is held for it

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

    def _call_each(self) -> None:
        names, stamp = self.source.names, self.source.stamp
        function, config = self.handler.function, self.handler.config
        for record in self.records:
            metadata = stamped(record, stamp, self.redelivered_through)
            function(names[record.event_id], record.measurements, metadata, config)


def wanted(
    records: Sequence[Record], event_ids: frozenset[int] | None
) -> Sequence[Record]:
    """Return the records of some events; None: of all."""
    if event_ids is None:
        return records
    return [record for record in records if record.event_id in event_ids]
