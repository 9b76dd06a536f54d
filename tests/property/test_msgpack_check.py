"""The judge of msgpack against the msgpack package as an oracle."""

from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.msgpack_oracle import DEPTH_MAX, Judge, depth_of, is_event
from support.ring_builder import RingBuilder, encode_fields

_NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats()
_SCALARS = st.none() | st.booleans() | _NUMBERS | st.text() | st.binary(max_size=40)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=20,
)
_GOOD_FIELDS = st.tuples(
    st.none() | st.text(max_size=32),
    st.dictionaries(st.text(), _NUMBERS, max_size=5),
    st.none() | st.dictionaries(st.text(), _VALUES, max_size=5),
    st.none() | st.binary(min_size=16, max_size=16),
)
_ANY_FIELDS = st.tuples(_VALUES, _VALUES, _VALUES, _VALUES)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One ring for all examples: each is drained before the next."""
    with RingBuilder(256 << 10) as ring:
        made = Judge(ring)
        yield made
        made.consumer.close()


@given(_GOOD_FIELDS)
@settings(deadline=None)
def test_every_event_of_the_right_shape_is_accepted(judge: Judge, fields: Any) -> None:
    """Whatever the values are, the fields that the layout allows are delivered."""
    encoded = encode_fields(*fields)
    assert judge.accepts(encoded) == (depth_of(fields[2]) <= DEPTH_MAX)


@given(_ANY_FIELDS)
@settings(deadline=None)
def test_any_msgpack_is_judged_like_the_oracle(judge: Judge, fields: Any) -> None:
    """Sound msgpack of any shape is accepted exactly when the oracle accepts it."""
    encoded = b"".join(map(msgpack.packb, fields))
    assert judge.accepts(encoded) == is_event(encoded)


@given(_GOOD_FIELDS, st.data())
@settings(deadline=None)
def test_a_damaged_event_is_judged_like_the_oracle(
    judge: Judge, fields: Any, data: st.DataObject
) -> None:
    """One byte changed, cut out or put in makes every kind of near miss."""
    encoded = bytearray(encode_fields(*fields))
    at = data.draw(st.integers(0, len(encoded) - 1))
    replacement = data.draw(st.binary(max_size=2))
    encoded[at : at + 1] = replacement
    padded = bytes(encoded).ljust(4, b"\xc0")
    assert judge.accepts(padded) == is_event(padded)


@given(st.binary(min_size=4, max_size=200))
@example(b"\xc0\x80\xc0\xc0")
@example(b"\xc0\xdf\xff\xff\xff\xff\xc0\xc0")
@example(b"\xc0\x80\x81\xa0\xdd\xff\xff\xff\xff")
@example(b"\xc0\x80" + b"\x81\xa1a" * 60 + b"\xc0\xc0")
@settings(deadline=None)
def test_any_bytes_are_judged_like_the_oracle(judge: Judge, fields: bytes) -> None:
    """Noise is rejected, unless it happens to be an event."""
    assert judge.accepts(fields) == is_event(fields)


@given(st.binary(max_size=31))
@settings(deadline=None)
def test_text_is_judged_like_python_does(judge: Judge, text: bytes) -> None:
    """What Python refuses to decode as UTF-8 is no string of an event."""
    fields = b"\xc0\x80\x81" + bytes([0xA0 | len(text)]) + text + b"\xc0\xc0"
    try:
        text.decode()
    except UnicodeDecodeError:
        assert not judge.accepts(fields)
    else:
        assert judge.accepts(fields)


@pytest.mark.parametrize("lead", range(0xC0, 0x100))
def test_every_start_of_a_character_is_judged(judge: Judge, lead: int) -> None:
    """Each lead byte with each second byte, at the lengths that it may have."""
    seconds = (0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF)
    for second in seconds:
        for tail in (b"", b"\x80", b"\xbf\x80", b"\x80\x80\x80", b"\x80\x7f"):
            text = bytes([lead, second]) + tail
            fields = b"\xc0\x80\x81" + bytes([0xA0 | len(text)]) + text + b"\xc0\xc0"
            assert judge.accepts(fields) == is_event(fields), text


@pytest.mark.parametrize("length", range(1, 41))
def test_every_byte_of_a_text_is_looked_at(judge: Judge, length: int) -> None:
    """One bad byte among good ones is seen wherever it is."""
    head = b"\xc0\x80\x81\xd9" + bytes([length])
    for at in range(length):
        text = b"x" * at + b"\xff" + b"x" * (length - at - 1)
        assert not judge.accepts(head + text + b"\xc0\xc0"), at


@pytest.mark.parametrize("text", [b"\xc3", b"x\xe2\x82", b"\xf0\x9f\x98"])
def test_a_character_ends_inside_its_text(judge: Judge, text: bytes) -> None:
    """What follows a text looks like the rest of its last character, and is not."""
    fields = b"\xc0\x80\x81" + bytes([0xA0 | len(text)]) + text + b"\x80\xc0"
    assert not judge.accepts(fields)


@pytest.mark.parametrize("first", range(256))
def test_every_first_byte_is_judged(judge: Judge, first: int) -> None:
    """Each form of msgpack, known or not, as a value of both maps."""
    for behind in (b"", b"\0", b"\0\0", b"\0" * 4, b"\0" * 8, b"\1\xc0", b"\0\1x"):
        value = bytes([first]) + behind
        for fields in (
            b"\xc0\x81\xa1a" + value + b"\xc0\xc0",
            b"\xc0\x80\x81\xa1a" + value + b"\xc0",
        ):
            assert judge.accepts(fields) == is_event(fields), fields


@pytest.mark.parametrize("depth", range(1, 12))
@pytest.mark.parametrize("kind", [b"\x91", b"\x81\xa0"])
def test_depth_is_bounded(judge: Judge, depth: int, kind: bytes) -> None:
    """Eight containers inside one another, the metadata map included, are it."""
    fields = b"\xc0\x80\x81\xa0" + kind * (depth - 1) + b"\xc0\xc0"
    assert judge.accepts(fields) == (depth <= DEPTH_MAX)


@pytest.mark.parametrize("length", [127, 128, 129])
@pytest.mark.parametrize("head", [b"\xd9", b"\xda\0", b"\xdb\0\0\0"])
def test_a_correlation_id_is_bounded(judge: Judge, length: int, head: bytes) -> None:
    """At most 128 bytes, in whatever form its length is written."""
    fields = head + bytes([length]) + b"x" * length + b"\x80\xc0\xc0"
    assert judge.accepts(fields) == (length <= 128)
