"""The decoder of records, beside what tests/property/test_msgpack_check.py asks.

There each record is held against the judge of rings and the msgpack package; here
are many at once, what they are decoded into, and what is remembered of texts.
"""

import gc
import sys
from typing import Any

import msgpack
import pytest

from shmtel._ring import RecordDecoder
from support.msgpack_oracle import FIELDS, Slots
from support.uplink import make_event, pack

EVENT = make_event(1, metadata={"tool": "predict"})


def decode(*events: object, names: int = 1) -> list[list[Any]]:
    """Decode what a segment would hold."""
    records = RecordDecoder(Slots, FIELDS).decode(pack(events), names)
    return [record.fields() for record in records]


def test_many_records() -> None:
    """All of them in their order, each with values of its own."""
    events = [
        make_event(
            n, n % 7, measurements={"n": n, f"m{n % 9}": n / 3}, metadata={"k": n}
        )
        for n in range(5_000)
    ]
    assert decode(*events, names=7) == events


def test_events_that_nobody_wants() -> None:
    """They are passed over, those behind them are not, and broken ones are refused."""
    decoder = RecordDecoder(Slots, FIELDS)
    events = [
        make_event(n, n % 4, metadata={"k": [n, {"x": "y"}]}, span=b"s" * 16)
        for n in range(400)
    ]
    for ids in ((), (2,), (0, 3), (0, 1, 2, 3)):
        wanted = bytes(n in ids for n in range(4))
        found = [r.fields() for r in decoder.decode(pack(events), 4, wanted)]
        assert found == [event for event in events if event[0] in ids]
    whole, nobody = pack(events[:1]), bytes(4)
    assert decoder.decode(whole, 4, nobody) == []
    for size in range(5, len(whole)):
        with pytest.raises(ValueError, match="no record"):
            decoder.decode(whole[:size], 4, nobody)
    for wrong in (make_event(1, metadata=[1]), make_event(1, span=b"x"), [1, 2]):
        with pytest.raises(ValueError, match="no record"):
            decoder.decode(pack([wrong]), 4, nobody)
    with pytest.raises(ValueError, match="each name"):
        decoder.decode(whole, 4, bytes(3))


def test_values_are_not_shared() -> None:
    """Texts apart, which nobody can change, a record has nothing of another."""
    first, second = decode(EVENT, EVENT)
    first[5]["value"], first[6]["tool"] = 2, "changed"
    assert second == EVENT


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 300])
@pytest.mark.parametrize("letter", ["x", "\xe9", "\u20ac"])
def test_texts_that_look_alike(length: int, letter: str) -> None:
    """Texts that differ in one place are told apart, however often they come."""
    texts = [
        letter * at + other + letter * (length - at - 1)
        for at in range(length)
        for other in "abc"
    ]
    events = [make_event(1, metadata={text: text}) for text in texts]
    assert decode(*events, *events) == [*events, *events]


def test_more_texts_than_are_remembered() -> None:
    """The newest take the place of others, and are what they are."""
    events = [make_event(n, metadata={f"k{n}": f"v{n}"}) for n in range(3_000)]
    assert decode(*events, *events) == [*events, *events]


def test_a_text_that_comes_again_is_the_same() -> None:
    """So that a segment of like events costs one of each."""
    first, second = decode(EVENT, make_event(2, metadata={"tool": "predict"}))
    assert first[6]["tool"] is second[6]["tool"]
    assert next(iter(first[6])) is next(iter(second[6]))


@pytest.mark.parametrize("at", [0, 1, 99])
def test_one_bad_record_refuses_all(at: int) -> None:
    """Which one it is, is said; nothing of the others is left."""
    events = [EVENT] * 100
    events[at] = make_event(1, 1)  # a name that there is not
    with pytest.raises(ValueError, match=f"event {at} is no record"):
        decode(*events)


def test_bytes_of_another_form() -> None:
    """No array32, or more than it says, is refused; every cut is."""
    decoder, whole = RecordDecoder(Slots, FIELDS), pack([EVENT, EVENT])
    for size in range(len(whole)):
        with pytest.raises(ValueError, match="event"):
            decoder.decode(whole[:size], 1)
    with pytest.raises(ValueError, match="bytes behind 2 events"):
        decoder.decode(whole + b"\0", 1)
    with pytest.raises(ValueError, match="array32"):
        decoder.decode(msgpack.packb([EVENT]), 1)
    with pytest.raises(ValueError, match="event 2 is"):
        decoder.decode(b"\xdd\xff\xff\xff\xff" + whole[5:], 1)
    assert decoder.decode(b"\xdd\0\0\0\0", 1) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [(0, -1), (0, 1.0), (1, -1), (2, "x"), (3, 1 << 32), (3, None), (2, -(1 << 40))],
)
def test_numbers_of_the_head(field: int, value: object) -> None:
    """They are whole, not negative, and as large as their fields."""
    event = [*EVENT]
    event[field] = value
    with pytest.raises(ValueError, match="event 0"):
        decode(event)


def test_nothing_is_left_behind() -> None:
    """Neither what is decoded nor what is refused half way costs memory for good."""
    decoder = RecordDecoder(Slots, FIELDS)
    nested = make_event(1, metadata={"a": [{"b": ["c" * 40, 1 << 40, b"d", 0.5]}]})
    good = pack([nested] * 50)
    bad = [good[:size] for size in range(5, len(good), 7)]

    def use() -> int:
        for _ in range(20):
            decoder.decode(good, 1)
        for data in bad:
            with pytest.raises(ValueError, match="no record"):
                decoder.decode(data, 1)
        gc.collect()
        return sys.getallocatedblocks()

    use()
    before = use()
    assert abs(use() - before) < 50  # events a round: some 10,000 objects each


class Seven:
    """One slot too few."""

    __slots__ = FIELDS[:7]


class Computed(Seven):
    """A name that is no slot."""

    __slots__ = ()

    @property
    def h(self) -> None:
        """Return nothing."""


@pytest.mark.parametrize(
    ("kind", "fields"),
    [(Seven, FIELDS[:7]), (Computed, FIELDS), (Slots, (*FIELDS[:7], 1)), (int, FIELDS)],
)
def test_classes_without_the_slots(kind: type, fields: tuple[Any, ...]) -> None:
    """What could not be filled is refused when the decoder is made."""
    with pytest.raises((TypeError, AttributeError)):
        RecordDecoder(kind, fields)


def test_a_slot_of_a_base_class() -> None:
    """It is where the base has put it."""

    class Eight(Seven):
        __slots__ = ("h",)

    (record,) = RecordDecoder(Eight, FIELDS).decode(pack([EVENT]), 1)
    assert [getattr(record, name) for name in FIELDS] == EVENT
