"""OTLP in bytes, read by the official messages."""

import math
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import UInt64Value
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from shmtel.hub.bridges.opentelemetry.encoding import (
    KEPT_MAX,
    Attributes,
    any_value,
    tag,
    varint,
)
from support.otlp_backend import plain, value_of

ATTRIBUTES = tag(Span, "attributes")
_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=200)
    | st.binary(max_size=200)
)
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(st.dictionaries(st.text(max_size=200), _values, max_size=6))
def test_what_is_written_is_read(values: dict[str, Any]) -> None:
    """Whatever an event may carry, the official message has it; also a second time."""
    attributes = Attributes(ATTRIBUTES)
    for _ in range(2):  # made, and kept
        pieces: list[bytes] = []
        attributes.add(pieces, values)
        assert plain(Span.FromString(b"".join(pieces)).attributes) == values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**63, "9223372036854775808"),
        (2**64 - 1, "18446744073709551615"),
        (-(2**63), -(2**63)),
        ({1: {None: True}}, {"1": {"None": True}}),
        ([math.inf, -0.0], [math.inf, -0.0]),
        ((1, 2), "(1, 2)"),
    ],
)
def test_what_otlp_has_no_words_for(value: object, expected: object) -> None:
    """Numbers beyond its own and keys that are no text become text."""
    assert value_of(AnyValue.FromString(any_value(value))) == expected


def test_not_a_number() -> None:
    """It is a number to OTLP."""
    assert math.isnan(AnyValue.FromString(any_value(math.nan)).double_value)


@pytest.mark.parametrize("number", [0, 127, 128, 2**32, 2**64 - 1])
def test_numbers_are_written_in_sevens(number: int) -> None:
    """As the official message writes them."""
    official = UInt64Value(value=number).SerializeToString()
    assert varint(number) == (official[1:] or b"\0")


def test_equal_values_of_several_types_are_kept_apart() -> None:
    """True is 1 and 1.0 is 1 to a dictionary."""
    attributes = Attributes(ATTRIBUTES)
    pieces: list[bytes] = []
    for value in (1, True, 1.0, "1"):
        attributes.add(pieces, {f"{value!r}": value, "key": value})
    found = [
        value_of(pair.value)
        for pair in Span.FromString(b"".join(pieces)).attributes
        if pair.key == "key"
    ]
    assert [(type(value), value) for value in found] == [
        (int, 1),
        (bool, True),
        (float, 1.0),
        (str, "1"),
    ]


def test_what_is_kept_is_bounded() -> None:
    """Values that never come again do not stay."""
    attributes = Attributes(ATTRIBUTES)
    for number in range(KEPT_MAX * 2 + 10):
        attributes.add([], {f"key{number}": f"text{number}", "n": number})
    kept = (attributes._texts, attributes._ints, attributes._keys)
    assert all(len(cache) <= KEPT_MAX for cache in kept)
