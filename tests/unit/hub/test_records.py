"""Segments to records, whatever a collector sends."""

from dataclasses import replace

import msgspec
import pytest

from shmtel.hub.records import check_head, decode_segment
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import Segment
from support.uplink import make_event, make_segment, pack


def test_fields_of_a_record() -> None:
    """A record has the fields that its worker encoded, and what follows of them."""
    event = make_event(
        1,
        threshold=1 << 30,
        correlation_id="c",
        measurements={"n": 1, "x": 2.5},
        metadata={"k": [1, {"a": b"b"}]},
        span=bytes(range(16)),
    )
    (record,) = decode_segment(Segment(1, 0, 1, 1, pack([event])), 1)
    assert record.measurements == {"n": 1, "x": 2.5}
    assert record.metadata == {"k": [1, {"a": b"b"}]}
    assert record.correlation_id == "c"
    assert record.sampling_probability == 0.75
    assert (record.span_id, record.parent_id) == (
        "0001020304050607",
        "08090a0b0c0d0e0f",
    )


def test_ids_of_a_plain_event() -> None:
    """A plain event has no span id, and a parent only inside a span."""
    inside = make_event(1, span=bytes(8) + b"p" * 8)
    records = decode_segment(Segment(1, 0, 2, 2, pack([inside, make_event(2)])), 1)
    ids = [(record.span_id, record.parent_id) for record in records]
    assert ids == [(None, "70" * 8), (None, None)]
    assert records[1].sampling_probability == 1.0


def test_a_segment_without_events() -> None:
    """Nothing delivered may be nothing at all, or an array of nothing."""
    for events in (b"", pack([])):
        assert decode_segment(Segment(1, 0, 0, 0, events), 1) == []


BROKEN: dict[str, list[object]] = {
    "seven fields": make_event(1)[:7],
    "nine fields": [*make_event(1), None],
    "text as an event id": make_event(1, event_id="x"),  # type: ignore[arg-type]
    "negative event id": make_event(1, event_id=-1),
    "event id without a name": make_event(1, event_id=2),
    "threshold out of range": make_event(1, threshold=1 << 32),
    "text as a measurement": make_event(1, measurements={"a": "x"}),
    "no measurements": make_event(1, measurements=None),
    "list as metadata": make_event(1, metadata=[1]),
    "number as a metadata key": make_event(1, metadata={1: 1}),
    "extension type": make_event(1, metadata={"a": msgspec.msgpack.Ext(4, b"")}),
    "span of a wrong size": make_event(1, span=b"x" * 15),
    "seq before the segment": make_event(0),
    "seq after the segment": make_event(2),
}


@pytest.mark.parametrize("what", BROKEN)
def test_events_that_are_no_records(what: str) -> None:
    """An event that is not what the layout says is the collector's fault."""
    with pytest.raises(RemoteProtocolError):
        decode_segment(Segment(1, 0, 1, 1, pack([BROKEN[what]])), 2)


@pytest.mark.parametrize("check", [check_head, lambda s: decode_segment(s, 1)])
@pytest.mark.parametrize(
    "events",
    [b"", b"\xdd", b"\x91", pack([make_event(1)] * 2), b"\xdd\xff\xff\xff\xff"],
)
def test_heads_that_contradict_the_count(check: object, events: bytes) -> None:
    """The head of a segment must hold its count, decoded or not."""
    with pytest.raises(RemoteProtocolError, match="contradicts"):
        check(Segment(1, 0, 1, 1, events))  # type: ignore[operator]


@pytest.mark.parametrize("cut", [5, 6, 20, -1])
def test_segments_that_are_cut_off(cut: int) -> None:
    """Bytes that end too early are the collector's fault; so are some too many."""
    segment = make_segment(0, 1)
    for events in (segment.events[:cut], segment.events + b"\x00"):
        with pytest.raises(RemoteProtocolError):
            decode_segment(replace(segment, events=events), 1)


def test_depth_that_would_exhaust_the_stack() -> None:
    """Nesting without end is refused, not followed."""
    deep = b"\x91" * 100_000 + b"\xc0"
    event = pack([make_event(1, metadata={"a": 1})])
    with pytest.raises(RemoteProtocolError):
        decode_segment(
            Segment(1, 0, 1, 1, event.replace(b"\xa1a\x01", b"\xa1a" + deep)), 1
        )
