"""Spans that have started and not ended yet, as far as the bridge has seen.

A span is told when it ends, and its end says all of it. Its start is remembered for
two things: to find the root of spans without a correlation ID, and to tell what a
worker left open that was killed.

Rules:
- bounded: beyond OPEN_MAX the oldest is forgotten and counted. It loses its trace
  only if it has no correlation ID, and itself only if its worker is killed.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from shmtel.hub.handlers import EventBatch
from shmtel.hub.records import Record

OPEN_MAX = 20_000
ID_BYTES = 8
NO_ID = bytes(ID_BYTES)


class OpenSpan(NamedTuple):
    """A span's start, and who has it open."""

    batch: EventBatch  # without its records
    record: Record
    operation: str
    root_id: bytes  # of one without a correlation ID; of another it does not matter


class OpenSpans:
    """The open spans of all workers, by their ids."""

    def __init__(self, most: int = OPEN_MAX) -> None:
        self._most = most
        self._spans: OrderedDict[bytes, OpenSpan] = OrderedDict()
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._spans)

    def start(self, batch: EventBatch, record: Record, operation: str) -> None:
        """Remember a start."""
        assert record.span is not None
        span_id = root_id = record.span[:ID_BYTES]
        if record.correlation_id is None:
            parent_id = record.span[ID_BYTES:]
            root_id = span_id if parent_id == NO_ID else self.root_of(parent_id)
        self._spans[span_id] = OpenSpan(batch, record, operation, root_id)
        if len(self._spans) > self._most:
            self._spans.popitem(last=False)
            self.forgotten += 1

    def end(self, span_id: bytes) -> OpenSpan | None:
        """Return the start of a span that has ended, and forget it."""
        return self._spans.pop(span_id, None)

    def root_of(self, span_id: bytes) -> bytes:
        """Return the root of an open span; of another one itself is the best guess."""
        span = self._spans.get(span_id)
        return span_id if span is None else span.root_id

    def take_left(self, ring_id: str) -> Iterator[OpenSpan]:
        """Return what a worker has left open, and forget it."""
        spans = self._spans.items()
        left = [id_ for id_, span in spans if span.batch.ring_id == ring_id]
        return (self._spans.pop(id_) for id_ in left)
