"""Any tree of objects at all: emit records or counts it, and never raises."""

import math
import struct
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shmtel
from shmtel.testing import capture
from support.own_ring import OwnRing
from support.value_table import ROWS, Raising

# Without what raises even at a look at its class: hypothesis itself falls for it.
ODD = [
    value for _, examples in ROWS for value in examples if type(value) is not Raising
]
# By number: hypothesis prints what it samples from, and some of these object.
odd = st.integers(0, len(ODD) - 1).map(lambda number: ODD[number])
plain = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
)
surrogates = st.text(st.characters(categories=["Cs", "Lu"]))
leaves = plain | surrogates | odd | st.integers(2**62, 2**65)


def _is_key(value: Any) -> bool:
    try:
        return bool({value: 1})
    except Exception:  # what cannot be hashed is no key
        return False


keys = leaves.filter(_is_key)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.lists(keys).map(lambda found: dict.fromkeys(found).keys())
    ),
    max_leaves=15,
)
maps = st.dictionaries(keys, trees)
numbers = st.dictionaries(st.text(), st.integers() | st.floats() | odd)


@pytest.fixture(scope="module")
def ring(process_ring: OwnRing) -> OwnRing:
    """The ring of this process, empty; one for all examples of a test."""
    shmtel.enable()
    process_ring.events()
    return process_ring


def _left(stats: dict[str, Any]) -> int:
    words = ("sampled_out", "filtered", "disabled")
    return sum(stats["dropped"].values()) + sum(stats[word] for word in words)


@given(st.just("e") | odd, numbers | trees, maps | trees, st.none() | leaves)
@settings(deadline=None, max_examples=200)
def test_any_event_is_recorded_or_counted(
    ring: OwnRing, name: Any, measurements: Any, metadata: Any, correlation_id: Any
) -> None:
    """emitted is what was committed, dropped and left out; records are msgpack."""
    before, judged = shmtel.stats(), ring.reader.totals[1:]
    shmtel.emit(name, measurements, metadata, correlation_id)
    after = shmtel.stats()
    events = ring.events()
    assert after["emitted"] == before["emitted"] + 1
    assert after["emitted"] == after["committed"] + _left(dict(after))
    assert len(events) == after["committed"] - before["committed"]
    for event in events:
        assert all(type(n) in (int, float) for n in event.measurements.values())
    assert ring.reader.totals[1:] == judged  # the judge rejects none of them


@given(maps)
@settings(deadline=None, max_examples=100)
def test_another_backend_gets_the_same(ring: OwnRing, metadata: Any) -> None:
    """What a capture sees is what a ring would hold."""
    shmtel.emit("e", {}, metadata)
    in_ring = [event.metadata for event in ring.events()]
    with capture() as captured:
        shmtel.emit("e", {}, metadata)
    assert repr([event.metadata for event in captured.events]) == repr(in_ring)


@given(st.lists(st.integers(-(2**63), 2**64 - 1) | st.floats()))
@settings(deadline=None)
def test_numbers_arrive_bit_by_bit(ring: OwnRing, values: list[Any]) -> None:
    """Integers of 64 bits and floats round trip exactly, NaN's bits included."""
    shmtel.emit("e", {str(n): value for n, value in enumerate(values)}, {"k": values})
    (event,) = ring.events()
    for found in ([*event.measurements.values()], (event.metadata or {})["k"]):
        assert [*map(_bits, found)] == [*map(_bits, values)]


def _bits(number: int | float) -> Any:
    return struct.pack("d", number) if isinstance(number, float) else number


def test_bits_of_nan_are_told_apart() -> None:
    """The comparison above can fail: two NaN of other bits are not the same."""
    (other,) = struct.unpack("d", struct.pack("Q", 0x7FF8_0000_0000_0001))
    assert math.isnan(other)
    assert _bits(other) != _bits(math.nan)
    assert msgpack.packb(other) != msgpack.packb(math.nan)
