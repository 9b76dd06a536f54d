"""One event as a span or as a log record, in bytes.

Attributes are the event's metadata and measurements under their own names. A
measurement that is named as a metadata key is `measurement.<key>`. A span's duration
is not told: its two times do. What a span's end does not say is not known: it carries
what its start said, and what was set meanwhile.

Rules:
- what an event says is judged here: what cannot be said in OTLP raises ItemError.
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from shmtel.hub.bridges.opentelemetry.encoding import Attributes, piece, tag
from shmtel.hub.bridges.opentelemetry.identity import (
    draw_of,
    trace_of,
    trace_of_root,
    trace_state,
)
from shmtel.hub.bridges.opentelemetry.open_spans import ID_BYTES, NO_ID
from shmtel.hub.records import Record

CORRELATION_ID = "shmtel.correlation_id"
SEQ = "shmtel.seq"
REDELIVERED = "shmtel.redelivered"
PROBABILITY = "shmtel.sampling_probability"
LEFT_OPEN = "shmtel.span.left_open"
WORKER_END = "shmtel.worker.end"
# A worker's own key of that name is told as `user.<name>`, as with the hub's stamps.
_OURS = frozenset(
    {CORRELATION_ID, SEQ, REDELIVERED, PROBABILITY, LEFT_OPEN, WORKER_END}
)
_SAMPLED = 1  # of the trace flags
_KINDS = {
    "client": Span.SPAN_KIND_CLIENT,
    "server": Span.SPAN_KIND_SERVER,
    "producer": Span.SPAN_KIND_PRODUCER,
    "consumer": Span.SPAN_KIND_CONSUMER,
}
_TRACE_STATE = tag(Span, "trace_state")
_ALL_KEPT = piece(_TRACE_STATE, trace_state(0).encode())
_PARENT = piece(tag(Span, "parent_span_id"), NO_ID)[:-ID_BYTES]
_SPAN_BODY = struct.Struct("<2s16s2s8sBQBQ")  # little-endian as all of protobuf
_LOG_BODY = struct.Struct("<BQBQ")
_TRACE_ID, _SPAN_ID, _START, _END = (
    piece(tag(Span, "trace_id"), bytes(16))[:2],
    piece(tag(Span, "span_id"), NO_ID)[:2],
    *tag(Span, "start_time_unix_nano"),
    *tag(Span, "end_time_unix_nano"),
)
_TIME, _OBSERVED = (
    *tag(LogRecord, "time_unix_nano"),
    *tag(LogRecord, "observed_time_unix_nano"),
)
_LOG_TRACE_ID = piece(tag(LogRecord, "trace_id"), bytes(16))[:2]
_LOG_SPAN_ID = piece(tag(LogRecord, "span_id"), NO_ID)[:2]

_span_attributes = Attributes(tag(Span, "attributes"))
_log_attributes = Attributes(tag(LogRecord, "attributes"))
_NOTHING: Mapping[str, Any] = {}


class ItemError(Exception):
    """An event that OTLP has no words for."""


_UNSAYABLE = (struct.error, RecursionError, ValueError, OverflowError)


def span_of(
    record: Record, operation: str, *, failed: bool, root_id: bytes, redelivered: bool
) -> bytes:
    """Return the span that an event ends.

    Args:
        failed: it ended with an exception.
        root_id: of the root span, for a span without a correlation ID.

    Raises:
        ItemError: there are no words for it.
    """
    try:
        end_ns = record.timestamp_ns
        start_ns = end_ns - _duration_ns(record)
        pieces = _span(record, operation, start_ns, end_ns, root_id)
        if failed:
            pieces.append(_failure(record, end_ns))
        if redelivered:
            pieces.append(_span_attributes.make(REDELIVERED, True))
        return b"".join(pieces)
    except _UNSAYABLE as error:
        raise ItemError(str(error)) from error


def left_open_span(
    record: Record, operation: str, *, root_id: bytes, end_ns: int, reason: str
) -> bytes:
    """Return the span of a start whose worker has ended before it.

    Raises:
        ItemError: there are no words for it.
    """
    try:
        start_ns = record.timestamp_ns
        pieces = _span(record, operation, start_ns, max(start_ns, end_ns), root_id)
        pieces.append(_span_attributes.make(LEFT_OPEN, True))
        pieces.append(_span_attributes.make(WORKER_END, reason))
        if reason != "closed":
            message = f"the worker has ended before the span: {reason}"
            status = Status(code=Status.STATUS_CODE_ERROR, message=message)
            pieces.append(Span(status=status).SerializeToString())
        return b"".join(pieces)
    except _UNSAYABLE as error:
        raise ItemError(str(error)) from error


def log_of(
    record: Record, event: str, *, root_id: bytes, observed_ns: int, redelivered: bool
) -> bytes:
    """Return the log record of an event that ends no span.

    Args:
        root_id: of the root of the span around it, if there is one and no
            correlation ID.

    Raises:
        ItemError: there are no words for it.
    """
    metadata = record.metadata or _NOTHING
    attributes = _log_attributes
    try:
        times = _LOG_BODY.pack(_TIME, record.timestamp_ns, _OBSERVED, observed_ns)
        is_error = "error_type" in metadata or event.endswith(".exception")
        pieces = [times, _log_head(event, is_error)]
        _add_trace(pieces, record, root_id)
        _add_values(pieces, attributes, metadata, record.measurements)
        pieces.append(attributes.make(SEQ, record.seq))
        if record.threshold:
            pieces.append(attributes.make(PROBABILITY, record.sampling_probability))
        if redelivered:
            pieces.append(attributes.make(REDELIVERED, True))
        return b"".join(pieces)
    except _UNSAYABLE as error:
        raise ItemError(str(error)) from error


def _span(
    record: Record, operation: str, start_ns: int, end_ns: int, root_id: bytes
) -> list[bytes]:
    assert record.span is not None
    metadata = record.metadata or _NOTHING
    parent_id = record.span[ID_BYTES:]
    correlation_id = record.correlation_id
    is_all = True
    if correlation_id is None:
        trace_id = trace_of_root(root_id)
    else:
        trace_id, is_all = trace_of(correlation_id)
    pieces = [
        _SPAN_BODY.pack(
            *(_TRACE_ID, trace_id, _SPAN_ID, record.span[:ID_BYTES]),
            *(_START, start_ns, _END, end_ns),
        ),
        _span_head(operation, _kind_of(metadata)),
    ]
    if record.threshold:
        draw = draw_of(correlation_id, root_id)
        state = trace_state(record.threshold, draw)
        pieces.append(piece(_TRACE_STATE, state.encode()))
    else:
        pieces.append(_ALL_KEPT)
    if parent_id != NO_ID:
        pieces.append(_PARENT + parent_id)
    _add_values(pieces, _span_attributes, metadata, record.measurements, _TIMES)
    if not is_all:
        pieces.append(_span_attributes.make(CORRELATION_ID, correlation_id))
    return pieces


_TIMES = frozenset({"duration", "system_time"})


def _duration_ns(record: Record) -> int:
    """Return how long a span took; 0 if it says nothing that can be true."""
    duration = record.measurements.get("duration")
    is_sound = isinstance(duration, int) and 0 <= duration <= record.timestamp_ns
    return int(duration) if duration is not None and is_sound else 0


def _add_values(
    pieces: list[bytes],
    attributes: Attributes,
    metadata: Mapping[str, Any],
    measurements: Mapping[str, float],
    without: frozenset[str] = frozenset(),
) -> None:
    if not _OURS.isdisjoint(metadata):
        metadata = {_own_key(key): value for key, value in metadata.items()}
    attributes.add(pieces, metadata)
    told = {
        f"measurement.{key}" if key in metadata or key in _OURS else key: value
        for key, value in measurements.items()
        if key not in without
    }
    attributes.add(pieces, told)


def _own_key(key: str) -> str:
    return f"user.{key}" if key in _OURS else key


def _add_trace(pieces: list[bytes], record: Record, root_id: bytes) -> None:
    correlation_id = record.correlation_id
    if correlation_id is not None:
        trace_id, is_all = trace_of(correlation_id)
        pieces.append(_LOG_TRACE_ID + trace_id)
        if not is_all:
            pieces.append(_log_attributes.make(CORRELATION_ID, correlation_id))
    elif root_id != NO_ID:
        pieces.append(_LOG_TRACE_ID + trace_of_root(root_id))
    if record.span is not None:
        # Of a start that is told as a log its own id, else that of the span around.
        own, around = record.span[:ID_BYTES], record.span[ID_BYTES:]
        span_id = around if own == NO_ID else own
        if span_id != NO_ID:
            pieces.append(_LOG_SPAN_ID + span_id)


def _kind_of(metadata: Mapping[str, Any]) -> int:
    side = metadata.get("span.kind") or metadata.get("side")
    if not isinstance(side, str):
        return Span.SPAN_KIND_INTERNAL
    return _KINDS.get(side, Span.SPAN_KIND_INTERNAL)


@lru_cache(1_024)
def _span_head(operation: str, kind: int) -> bytes:
    return Span(
        name=operation,
        kind=kind,  # type: ignore[arg-type]
        flags=_SAMPLED,
    ).SerializeToString()


@lru_cache(1_024)
def _log_head(event: str, is_error: bool) -> bytes:
    return LogRecord(
        severity_number=(
            SeverityNumber.SEVERITY_NUMBER_ERROR
            if is_error
            else SeverityNumber.SEVERITY_NUMBER_INFO
        ),
        severity_text="ERROR" if is_error else "INFO",
        event_name=event,
        body={"string_value": event},  # type: ignore[arg-type]
        flags=_SAMPLED,
    ).SerializeToString()


def _failure(record: Record, end_ns: int) -> bytes:
    """Return the exception as an event of the span, and the status.

    A span that was cancelled, or left by an exit, has not failed.
    """
    metadata = record.metadata or _NOTHING
    kind = str(metadata.get("error_type", ""))
    message = str(metadata.get("error_message", ""))
    event = Span.Event(time_unix_nano=end_ns, name="exception")
    event.attributes.add(key="exception.type").value.string_value = kind
    event.attributes.add(key="exception.message").value.string_value = message
    span = Span(events=[event])
    if metadata.get("outcome", "error") == "error":
        span.status.code = Status.STATUS_CODE_ERROR
        span.status.message = f"{kind}: {message}" if message else kind
    return span.SerializeToString()
