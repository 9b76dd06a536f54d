"""Which spans and log records events become."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from shmtel.hub.bridges.opentelemetry.frames import CHUNK_BYTES, Resources
from shmtel.hub.bridges.opentelemetry.identity import trace_state
from shmtel.hub.bridges.opentelemetry.mapping import Mapper
from shmtel.hub.bridges.opentelemetry.open_spans import OpenSpans
from shmtel.hub.handlers import EventBatch
from shmtel.hub.records import Record
from shmtel.traceparent import trace_id_on_the_wire
from shmtel.wire.frames import Worker
from support.frames import WORKER
from support.otlp_backend import KINDS, Backend, plain
from support.policy_model import draw_of_bytes

TRACE = "0af7651916cd43dd8448eb211c80319c"
RING, OTHER = "ab" * 16, "cd" * 16
NONE = bytes(8)
NOW = 1_700_000_000_000_000_000
NAMES = (
    *("op.start", "op.stop", "op.exception", "a.b", "pool.worker.terminated"),
    "grpc.call.stop",
)


def event(
    name: str,
    seq: int = 1,
    *,
    own: bytes = NONE,
    parent: bytes = NONE,
    at: int = NOW,
    **fields: Any,
) -> Record:
    """Return an event; of no span unless it says one."""
    span = own + parent if own + parent != bytes(16) else None
    values: dict[str, Any] = {
        "threshold": 0,
        "correlation_id": TRACE,
        "measurements": {},
        "metadata": None,
    }
    values |= fields
    return Record(NAMES.index(name), seq, timestamp_ns=at, span=span, **values)


def batch(*records: Record, ring_id: str = RING, worker: Worker = WORKER) -> EventBatch:
    """Return a segment of a worker."""
    return EventBatch("node", worker, ring_id, list(NAMES), records)


def mapped(
    *batches: EventBatch,
    mapper: Mapper | None = None,
    common: dict[str, str] | None = None,
) -> Backend:
    """Return what a backend would have of some segments."""
    mapper = mapper or Mapper(Resources(common or {}), OpenSpans())
    backend = Backend()
    for each in batches:
        for signal, chunk in mapper.chunks(each):
            request = KINDS[signal].request.FromString(chunk.data)
            backend.taken.append((signal, request))
    return backend


def span_of(*records: Record, mapper: Mapper | None = None) -> Any:
    """Return the only span of a worker's events."""
    ((_, span),) = mapped(batch(*records), mapper=mapper).spans()
    return span


def test_a_span() -> None:
    """Its end says all of it; the duration is in its times alone."""
    span = span_of(
        event("op.start", own=b"s" * 8, parent=b"p" * 8),
        event(
            *("op.stop", 2),
            own=b"s" * 8,
            parent=b"p" * 8,
            measurements={"duration": 1_500, "bytes": 5_000},
            metadata={"tool": "predict", "bytes": "many"},
        ),
    )
    assert span.trace_id.hex() == TRACE
    assert (span.span_id, span.parent_span_id) == (b"s" * 8, b"p" * 8)
    assert span.name == "op"
    assert span.kind == Span.SPAN_KIND_INTERNAL
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (NOW - 1_500, NOW)
    assert plain(span.attributes) == {
        "tool": "predict",
        "bytes": "many",
        "measurement.bytes": 5_000,
    }
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert span.trace_state == "ot=th:0"
    assert span.flags == 1


def test_a_root_has_no_parent() -> None:
    """Zeros are no parent."""
    assert span_of(event("op.stop", own=b"s" * 8)).parent_span_id == b""


@pytest.mark.parametrize(
    ("metadata", "code", "message"),
    [
        ({"outcome": "error"}, Status.STATUS_CODE_ERROR, "ValueError: no"),
        ({}, Status.STATUS_CODE_ERROR, "ValueError: no"),
        ({"outcome": "cancelled"}, Status.STATUS_CODE_UNSET, ""),
        ({"outcome": "exit"}, Status.STATUS_CODE_UNSET, ""),
    ],
)
def test_an_exception(metadata: dict[str, str], code: int, message: str) -> None:
    """It is an event of the span, and an error unless the span was told to end."""
    about = {**metadata, "error_type": "ValueError", "error_message": "no"}
    span = span_of(event("op.exception", own=b"s" * 8, metadata=about))
    assert (span.status.code, span.status.message) == (code, message)
    (raised,) = span.events
    assert (raised.name, raised.time_unix_nano) == ("exception", NOW)
    assert plain(raised.attributes) == {
        "exception.type": "ValueError",
        "exception.message": "no",
    }


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"side": "client"}, Span.SPAN_KIND_CLIENT),
        ({"side": "server"}, Span.SPAN_KIND_SERVER),
        ({"side": "left", "span.kind": "consumer"}, Span.SPAN_KIND_CONSUMER),
        ({"side": ["client"]}, Span.SPAN_KIND_INTERNAL),
    ],
)
def test_kinds(metadata: dict[str, Any], kind: int) -> None:
    """The side of a call is a span's kind."""
    record = event("grpc.call.stop", own=b"s" * 8, metadata=metadata)
    assert span_of(record).kind == kind


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0, "ot=th:0"),
        (1 << 31, "ot=th:8"),
        (0xE666_6666, "ot=th:e6666666"),
        (1, "ot=th:00000001"),
        (0xFFFF_FFEF, "ot=th:ffffffef"),
    ],
)
def test_sampling_is_told(threshold: int, expected: str) -> None:
    """As OpenTelemetry's consistent sampling says it, so that backends can count."""
    assert trace_state(threshold) == expected
    digits = expected.partition("th:")[2]
    assert int(digits.ljust(14, "0"), 16) / 2**56 == threshold / 2**32


@pytest.mark.parametrize("correlation_id", ["order-4711", None])
def test_the_draw_is_told(correlation_id: str | None) -> None:
    """It is of the correlation ID, or of the root; one that cannot be is not."""
    root, own = b"r" * 8, b"s" * 8
    hashed = root[::-1] if correlation_id is None else correlation_id.encode()
    draw = draw_of_bytes(hashed)
    ids = {"own": own, "parent": root, "correlation_id": correlation_id}
    for threshold, is_told in ((draw, True), (1, True), (draw + 1, False), (0, False)):
        state = span_of(event("op.stop", threshold=threshold, **ids)).trace_state
        assert state.endswith(f";rv:{draw:08x}000000") == is_told
        assert ("rv" in state) == is_told


@pytest.mark.parametrize(
    "correlation_id",
    [TRACE.upper(), "0af76519-16cd-43dd-8448-eb211c80319c", "order-4711"],
)
def test_other_ids_are_told_beside(correlation_id: str) -> None:
    """The trace is that of our `traceparent`, and the ID can be looked for."""
    span = span_of(event("op.stop", own=b"s" * 8, correlation_id=correlation_id))
    assert span.trace_id.hex() == trace_id_on_the_wire(correlation_id)
    assert plain(span.attributes) == {"shmtel.correlation_id": correlation_id}


def test_spans_without_a_correlation_id_are_in_the_trace_of_their_root() -> None:
    """Also grandchildren, and the events inside; the root may have been forgotten."""
    root, child, leaf = b"r" * 8, b"c" * 8, b"l" * 8
    none = {"correlation_id": None}
    backend = mapped(
        batch(
            event("op.start", own=root, **none),
            event("op.start", own=child, parent=root, **none),
            event("op.start", own=leaf, parent=child, **none),
            event("a.b", parent=leaf, **none),
            event("op.stop", own=leaf, parent=child, **none),
            event("op.stop", own=child, parent=root, **none),
            event("op.stop", own=root, **none),
            event("op.stop", own=child, parent=root, **none),
            event("a.b", **none),
        )
    )
    expected = hashlib.sha256(root.hex().encode()).digest()[:16]
    assert {span.trace_id for _, span in backend.spans()} == {expected}
    inside, outside = (log for _, log in backend.logs())
    assert (inside.trace_id, inside.span_id) == (expected, leaf)
    assert (outside.trace_id, outside.span_id) == (b"", b"")


def test_a_log_record() -> None:
    """Every other event, with its name, its values, and where it belongs."""
    record = event(
        *("a.b", 7),
        parent=b"p" * 8,
        threshold=1 << 31,
        measurements={"n": 1.5},
        metadata={"list": ["a", {"b": None}], "big": 2**64 - 1},
    )
    ((_, log),) = mapped(replace(batch(record), redelivered_through=7)).logs()
    assert log.event_name == log.body.string_value == "a.b"
    assert (log.severity_text, log.time_unix_nano) == ("INFO", NOW)
    assert log.observed_time_unix_nano > NOW
    assert (log.trace_id.hex(), log.span_id) == (TRACE, b"p" * 8)
    assert plain(log.attributes) == {
        "n": 1.5,
        "list": ["a", {"b": None}],
        "big": str(2**64 - 1),
        "shmtel.seq": 7,
        "shmtel.sampling_probability": 0.5,
        "shmtel.redelivered": True,
    }


def test_our_keys_cannot_be_forged() -> None:
    """A key that is there twice is none to OTLP."""
    record = event(
        "a.b", 7, metadata={"shmtel.seq": 8}, measurements={"shmtel.redelivered": 1}
    )
    ((_, log),) = mapped(batch(record)).logs()
    assert plain(log.attributes) == {
        "user.shmtel.seq": 8,
        "measurement.shmtel.redelivered": 1,
        "shmtel.seq": 7,
    }


def test_what_ends_like_a_span_and_is_none() -> None:
    """It is a log record; one that tells of an error is an error."""
    records = [event("op.stop"), event("op.exception"), event("a.b")]
    records.append(event("a.b", metadata={"error_type": "KeyError"}))
    backend = mapped(batch(*records))
    assert backend.spans() == []
    levels = [log.severity_text for _, log in backend.logs()]
    assert levels == ["INFO", "ERROR", "INFO", "ERROR"]


def ended(ring_id: object, reason: str = "vanished") -> EventBatch:
    """Return what the collector tells of the end of a worker."""
    about = {"subject_ring": ring_id, "reason": reason}
    record = event("pool.worker.terminated", metadata=about, at=NOW + 9)
    return batch(record, ring_id=OTHER, worker=Worker("collector", "shmtel"))


@pytest.mark.parametrize(
    ("reason", "code"),
    [("vanished", Status.STATUS_CODE_ERROR), ("closed", Status.STATUS_CODE_UNSET)],
)
def test_what_a_worker_left_open(reason: str, code: int) -> None:
    """It is told when the worker's end is, under the worker's name, and once."""
    mapper = Mapper(Resources({}), OpenSpans())
    started = batch(
        event("op.start", own=b"d" * 8),
        event("op.stop", own=b"d" * 8),
        event("op.start", own=b"s" * 8, parent=b"p" * 8, metadata={"tool": "predict"}),
    )
    backend = mapped(started, ended(RING, reason), ended(RING), mapper=mapper)
    (_, _done), (resource, span) = backend.spans()
    assert resource["shmtel.worker.id"] == WORKER.worker_id
    assert (span.span_id, span.parent_span_id) == (b"s" * 8, b"p" * 8)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (NOW, NOW + 9)
    assert plain(span.attributes) == {
        "tool": "predict",
        "shmtel.span.left_open": True,
        "shmtel.worker.end": reason,
    }
    assert span.status.code == code
    assert mapper.counts.left_open == 1
    assert len(backend.logs()) == 2


def test_an_end_that_names_no_ring() -> None:
    """It is foreign as everything else, and a log record like any other."""
    assert len(mapped(ended(["no ring"])).logs()) == 1


def test_what_is_remembered_is_bounded() -> None:
    """The oldest start is forgotten; its end makes the span all the same."""
    mapper = Mapper(Resources({}), open_spans := OpenSpans(2))
    ids = [bytes([n] * 8) for n in (1, 2, 3)]
    starts = [event("op.start", own=own) for own in ids]
    ends = [event("op.stop", own=own) for own in ids]
    backend = mapped(batch(*starts), batch(*ends), mapper=mapper)
    assert [span.span_id for _, span in backend.spans()] == ids
    assert open_spans.forgotten == 1
    assert len(open_spans) == 0


def test_a_resource() -> None:
    """It is the worker; what is known of it wins over what all have."""
    common = {"service.name": "all", "deployment.environment": "prod"}
    unnamed = replace(WORKER, service="", worker_index=None)
    backend = mapped(
        batch(event("a.b")),
        batch(event("a.b"), ring_id=OTHER, worker=unnamed),
        batch(event("a.b"), worker=replace(WORKER, pid=43)),
        common=common,
    )
    first, second, third = (resource for resource, _ in backend.logs())
    assert first["service.name"] == "svc"
    assert first["deployment.environment"] == "prod"
    assert first["host.name"] == "node"
    assert first["process.pid"] == 42
    assert first["shmtel.worker.index"] == 0
    assert second["service.name"] == "all"
    assert "shmtel.worker.index" not in second
    assert first["service.instance.id"] != second["service.instance.id"]
    assert third["process.pid"] == 43


@pytest.mark.parametrize(
    "fields",
    [
        {"at": -1},
        {"at": 2**64},
        {"measurements": {"duration": -5}},
        {"measurements": {"duration": 1e300}},
        {"measurements": {"duration": 2**63}},
    ],
)
@pytest.mark.parametrize("own", [NONE, b"s" * 8])
def test_times_that_cannot_be(fields: dict[str, Any], own: bytes) -> None:
    """They never raise: the event is told without, or counted."""
    mapper = Mapper(Resources({}), OpenSpans())
    backend = mapped(batch(event("op.stop", own=own, **fields)), mapper=mapper)
    found = len(backend.spans()) + len(backend.logs())
    assert found + mapper.counts.unsayable == 1
    assert found == ("at" not in fields)


def nested(depth: int) -> Any:
    """Return a list in a list in a list."""
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return value


def test_what_is_nested_too_deep_is_counted() -> None:
    """Collectors bound the depth; one that lies costs its own event alone."""
    mapper = Mapper(Resources({}), OpenSpans())
    deep = event("a.b", metadata={"deep": nested(5_000)})
    backend = mapped(batch(event("a.b"), deep, event("a.b", 3)), mapper=mapper)
    assert len(backend.logs()) == 2
    assert mapper.counts.unsayable == 1


def requests_of(backend: Backend) -> Sequence[Any]:
    """Return the requests that were taken."""
    return [request for _, request in backend.taken]


def test_a_chunk_is_bounded() -> None:
    """Servers refuse what is longer than they are told; nothing is lost by the cut."""
    text = "x" * 16_000
    records = [event("a.b", n, metadata={"text": text}) for n in range(1, 151)]
    backend = mapped(batch(*records))
    sizes = [request.ByteSize() for request in requests_of(backend)]
    assert len(sizes) == 3
    assert max(sizes) < CHUNK_BYTES + 2_000
    seqs: Iterable[int] = (
        plain(log.attributes)["shmtel.seq"] for _, log in backend.logs()
    )
    assert list(seqs) == list(range(1, 151))
