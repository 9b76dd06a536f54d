"""The events of a segment as chunks of OTLP.

An end becomes a span, a start is remembered, and every other event is a log record.
When the collector tells that a worker has ended, what it left open becomes spans,
too. An event that ends like a span's but belongs to none is a log record.

Rules:
- every event is counted as one of these, or as one that there are no words for.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from shmtel.hub.bridges.opentelemetry.encoding import piece
from shmtel.hub.bridges.opentelemetry.frames import (
    LOGS,
    SPANS,
    Chunk,
    Resources,
    Signal,
)
from shmtel.hub.bridges.opentelemetry.items import (
    ItemError,
    left_open_span,
    log_of,
    span_of,
)
from shmtel.hub.bridges.opentelemetry.open_spans import ID_BYTES, NO_ID, OpenSpans
from shmtel.hub.handlers import EventBatch
from shmtel.hub.records import Record

_WORKER_ENDED = "pool.worker.terminated"
_START, _STOP, _EXCEPTION = "start", "stop", "exception"
_MOMENTS = frozenset({_START, _STOP, _EXCEPTION})


@dataclass(slots=True)
class MappingCounts:
    """What became of events before they were sent."""

    starts: int = 0
    spans: int = 0  # of ends
    logs: int = 0
    left_open: int = 0  # spans of starts without an end
    unsayable: int = 0


@lru_cache(4_096)
def _taken_apart(event: str) -> tuple[str, str]:
    """Return operation and moment of a name; the moment of most is nothing."""
    operation, _, moment = event.rpartition(".")
    return (operation, moment) if moment in _MOMENTS else (event, "")


class Mapper:
    """Maps segments, one after the other.

    Args:
        resources: of the workers.
        open_spans: what is remembered of starts.
    """

    def __init__(self, resources: Resources, open_spans: OpenSpans) -> None:
        self._resources = resources
        self._open = open_spans
        self.counts = MappingCounts()

    def chunks(self, batch: EventBatch) -> Iterator[tuple[Signal, Chunk]]:
        """Return what is to be sent of a segment."""
        spans: list[bytes] = []
        logs: list[bytes] = []
        left: list[tuple[Signal, Chunk]] = []
        origin = replace(batch, records=())  # what is remembered holds no events
        observed_ns = time.time_ns()
        for record in batch.records:
            event = batch.names[record.event_id]
            is_again = record.seq <= batch.redelivered_through
            try:
                if not self._is_span(origin, record, event, is_again, spans):
                    around = self._root_around(record)
                    log = log_of(
                        *(record, event),
                        root_id=around,
                        observed_ns=observed_ns,
                        redelivered=is_again,
                    )
                    logs.append(piece(LOGS.item, log))
                    self.counts.logs += 1
            except ItemError:
                self.counts.unsayable += 1
            if event == _WORKER_ENDED:
                left += self._left_open(record)
        yield from left
        resource = self._resources.of(batch)
        yield from ((Signal.TRACES, c) for c in SPANS.chunks(resource, spans))
        yield from ((Signal.LOGS, c) for c in LOGS.chunks(resource, logs))

    def _is_span(
        self,
        origin: EventBatch,
        record: Record,
        event: str,
        is_again: bool,
        spans: list[bytes],
    ) -> bool:
        """Take an event that is a span's own, and tell whether it is one."""
        operation, moment = _taken_apart(event)
        own = record.span
        if not moment or own is None:
            return False
        span_id = own[:ID_BYTES]
        if span_id == NO_ID:
            return False
        if moment == _START:
            self._open.start(origin, record, operation)
            self.counts.starts += 1
            return True
        started = self._open.end(span_id)
        root_id = self._root_around(record) if started is None else started.root_id
        span = span_of(
            *(record, operation),
            failed=moment == _EXCEPTION,
            root_id=root_id,
            redelivered=is_again,
        )
        spans.append(piece(SPANS.item, span))
        self.counts.spans += 1
        return True

    def _root_around(self, record: Record) -> bytes:
        """Return the root of the span around an event, else that of its own span."""
        if record.correlation_id is not None or record.span is None:
            return NO_ID  # nobody asks
        own, around = record.span[:ID_BYTES], record.span[ID_BYTES:]
        return own if around == NO_ID else self._open.root_of(around)

    def _left_open(self, ended: Record) -> Iterator[tuple[Signal, Chunk]]:
        metadata = ended.metadata or {}
        ring_id = metadata.get("subject_ring")
        reason = str(metadata.get("reason", ""))
        if not isinstance(ring_id, str):
            return
        for span in self._open.take_left(ring_id):
            try:
                made = left_open_span(
                    *(span.record, span.operation),
                    root_id=span.root_id,
                    end_ns=ended.timestamp_ns,
                    reason=reason,
                )
            except ItemError:
                self._open.forgotten += 1  # it was counted as a start
                continue
            self.counts.left_open += 1
            resource = self._resources.of(span.batch)
            for chunk in SPANS.chunks(resource, [piece(SPANS.item, made)]):
                yield Signal.TRACES, chunk
