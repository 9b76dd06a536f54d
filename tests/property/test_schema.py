"""The catalog in C against a model of it, and on events that nobody would write."""

from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmtel._ring import MODE_PASS, MODE_REJECT, MODE_STRIP, Consumer, Drained
from shmtel.wire.frames import Outcome
from support.msgpack_oracle import DEPTH_MAX, depth_of, is_event
from support.ring_builder import RingBuilder, encode_fields, encode_head
from support.schema_model import Sketch, judged

# Few, so that events and catalogs meet; some alike but for their beginning or end.
_KEYS = (
    "",
    "\0",
    "a",
    "a\0",
    "b",
    "é",
    "duration",
    "bduration",
    "cduration",
    "durations",
)
_KEY = st.sampled_from(_KEYS) | st.text(max_size=12)
_KNOWN = st.lists(st.sampled_from(_KEYS), max_size=9).map(tuple)
_NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(max_size=40) | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_KEY, inner, max_size=4)
    ),
    max_leaves=12,
)
_FIELDS = st.tuples(
    st.none() | st.text(max_size=32),
    st.dictionaries(_KEY, _NUMBERS, max_size=20),
    st.none() | st.dictionaries(_KEY, _VALUES, max_size=20),
    st.none() | st.binary(min_size=16, max_size=16),
).filter(lambda fields: depth_of(fields[2]) <= DEPTH_MAX)
_SKETCHES = st.builds(
    Sketch,
    mode=st.sampled_from([MODE_PASS, MODE_STRIP, MODE_STRIP, MODE_REJECT]),
    measurements=_KNOWN,
    metadata=_KNOWN,
    is_known=st.sampled_from([True, True, False]),
    depth=st.integers(1, 9),
    keys=st.integers(1, 20),
    key_bytes=st.integers(1, 12),
    string_bytes=st.integers(1, 40),
)


class _Line:
    """One ring for all examples: each is drained, and settled, before the next."""

    def __init__(self, ring: RingBuilder) -> None:
        ring.add_name("a.b")
        self.ring = ring
        self.consumer = Consumer(ring.open())

    def drain(self, sketch: Sketch, fields: bytes) -> Drained:
        shape = sketch.shape()
        self.consumer.set_shapes([shape], shape)
        seq = self.ring.seq + 1
        self.ring.append_array(encode_head(0, seq) + fields)
        drained = self.consumer.drain(0)
        self.consumer.rewind()
        again = self.consumer.drain(0)
        assert drained is not None
        assert again is not None
        assert (drained.seq_last, drained.position) == (seq, self.ring.tail)
        assert (drained.events, drained.counts) == (again.events, again.counts)
        assert drained.stripped == again.stripped
        self.consumer.settle(drained.position, seq, [seq] + [0] * 31)
        return drained


@pytest.fixture(scope="module")
def line() -> Iterator[_Line]:
    """A ring and its consumer."""
    with RingBuilder(256 << 10) as ring:
        made = _Line(ring)
        yield made
        made.consumer.close()


@given(_SKETCHES, _FIELDS)
@settings(deadline=None, max_examples=150)
def test_an_event_is_judged_as_the_model_says(
    line: _Line, sketch: Sketch, fields: Any
) -> None:
    """Accepted, stripped of what has a fault and no more, or rejected; the same once
    more when it is drained again.
    """
    correlation_id, measurements, metadata, span = fields
    encoded = encode_fields(*fields)
    drained = line.drain(sketch, encoded)
    expected = judged(sketch, measurements, metadata)
    assert {reason: keys for _, reason, events, keys in drained.stripped} == (
        expected.faults
    )
    assert all(event[2] == 1 for event in drained.stripped)
    if expected.outcome != Outcome.DELIVERED:
        assert drained.counts == [(0, expected.outcome, 1)]
        return
    assert drained.counts == []
    [event] = msgpack.unpackb(drained.events, strict_map_key=False)
    kept = [correlation_id, expected.measurements, expected.metadata, span]
    assert event[4:] == kept
    assert list(event[5]) == list(expected.measurements)  # in the order they came
    if not expected.faults:
        assert drained.events.endswith(encoded)


@given(_SKETCHES, _FIELDS, st.data())
@settings(deadline=None, max_examples=150)
def test_whatever_is_delivered_is_sound(
    line: _Line, sketch: Sketch, fields: Any, data: st.DataObject
) -> None:
    """Of damaged bytes too: an event of allowed keys only, and never longer."""
    encoded = bytearray(encode_fields(*fields))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at : at + 1] = data.draw(st.binary(max_size=2))
    padded = bytes(encoded).ljust(4, b"\xc0")
    drained = line.drain(sketch, padded)
    if not is_event(padded):
        assert drained.counts == [(0, Outcome.REJECTED_MALFORMED, 1)]
        return
    if not drained.delivered:
        assert drained.stripped == []
        return
    head, kept = encode_head(0, line.ring.seq), drained.events[5:]
    assert kept.startswith(head)
    assert is_event(kept[len(head) :])
    assert len(kept) <= len(head) + len(padded)
    assert bool(drained.stripped) == (kept != head + padded)
    _, measurements, metadata, _ = msgpack.unpackb(kept, strict_map_key=False)[4:]
    if sketch.mode != MODE_PASS:
        known = sketch.is_known
        assert set(measurements) <= set(sketch.measurements if known else ())
        assert set(metadata or {}) <= set(sketch.metadata if known else ())
