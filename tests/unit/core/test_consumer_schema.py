"""Consumer.set_shapes: modes and reasons, beside a policy, counts, bounds."""

import gc
from typing import Any

import msgpack
import pytest

from shmtel._ring import (
    MODE_PASS,
    MODE_REJECT,
    MODE_STRIP,
    WORD_KEEP_NONE,
    WORD_UNSET,
    Consumer,
    Drained,
    Shape,
)
from shmtel.wire.frames import Outcome
from support.ring_builder import RingBuilder, encode_head
from support.schema_model import Sketch

OPEN = Sketch(MODE_PASS, is_known=False)
KNOWN = Sketch(MODE_STRIP, ("bytes",), ("tool",))


def _shapes(consumer: Consumer, *sketches: Sketch) -> None:
    consumer.set_shapes([sketch.shape() for sketch in sketches], OPEN.shape())


def _drain(consumer: Consumer) -> Drained:
    drained = consumer.drain(1 << 20)
    assert drained is not None
    return drained


def _events(drained: Drained) -> list[list[Any]]:
    events: list[list[Any]] = msgpack.unpackb(drained.events)
    return events


@pytest.mark.parametrize(
    ("sketch", "outcome"),
    [
        (Sketch(MODE_REJECT, is_known=False), Outcome.REJECTED_UNKNOWN_EVENT),
        (Sketch(MODE_REJECT, ("bytes",), ("x",)), Outcome.REJECTED_UNKNOWN_KEY),
        (
            Sketch(MODE_REJECT, ("bytes",), ("tool",), string_bytes=4),
            Outcome.REJECTED_OVER_LIMIT,
        ),
        (Sketch(MODE_PASS, string_bytes=4), Outcome.REJECTED_OVER_LIMIT),
    ],
)
def test_a_rejected_event_is_counted_by_its_reason(
    ring: RingBuilder, consumer: Consumer, sketch: Sketch, outcome: Outcome
) -> None:
    """The next one follows; nothing counts as stripped."""
    ring.append(0, None, {"bytes": 1}, {"tool": "hammer"})
    _shapes(consumer, sketch)
    drained = _drain(consumer)
    assert (drained.counts, drained.stripped) == ([(0, outcome, 1)], [])
    assert drained.seq_last == 1


def test_a_stripped_event_keeps_all_but_its_keys(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """Its seq, its correlation ID and its span stay; keys count by event and reason."""
    other = ring.add_name("nobody.knows")
    _shapes(consumer, KNOWN, Sketch(MODE_STRIP, is_known=False))
    span = bytes(range(16))
    ring.append(0, "id", {"bytes": 1, "more": 2}, {"tool": "saw", "x": 1}, span)
    ring.append(0, None, {"bytes": 1}, {"tool": "t" * 65})
    ring.append(other, None, {"n": 1}, {"m": {"deep": [1]}})
    drained = _drain(consumer)
    assert [event[4:] for event in _events(drained)] == [
        ["id", {"bytes": 1}, {"tool": "saw"}, span],
        [None, {"bytes": 1}, {}, None],
        [None, {}, {}, None],
    ]
    assert sorted(drained.stripped) == [
        (0, "over_limit", 1, 1),
        (0, "unknown_key", 1, 2),
        (other, "unknown_event", 1, 2),
    ]
    assert (drained.counts, drained.delivered) == ([], 3)


def test_counts_are_those_of_one_drain(ring: RingBuilder, consumer: Consumer) -> None:
    """Drained again they are the same, and of what comes next its own."""
    _shapes(consumer, KNOWN)
    ring.append(0, None, {"n": 1})
    first = _drain(consumer)
    consumer.rewind()
    assert _drain(consumer).stripped == first.stripped == [(0, "unknown_key", 1, 1)]
    ring.append(0, None, {"bytes": 1})
    assert _drain(consumer).stripped == []


def test_what_a_policy_leaves_out_is_not_stripped(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """What breaks a rule of the catalog is rejected before the policy is asked."""
    strict = ring.add_name("strict")
    _shapes(consumer, KNOWN, Sketch(MODE_REJECT))
    words = [WORD_KEEP_NONE, WORD_KEEP_NONE]
    consumer.set_judgement(is_on=True, words=words, kinds=bytes(2))
    ring.append(0, None, {"n": 1})
    ring.append(strict, None, {"n": 1})
    drained = _drain(consumer)
    assert drained.stripped == []
    assert sorted(drained.counts) == [
        (0, Outcome.SAMPLED_OUT_BY_COLLECTOR, 1),
        (strict, Outcome.REJECTED_UNKNOWN_KEY, 1),
    ]


def test_other_ids_meet_the_other_shape(ring: RingBuilder, consumer: Consumer) -> None:
    """So the events of a name that is new are not beyond the limits either."""
    new = ring.add_name("new")
    _shapes(consumer, KNOWN)
    ring.append(new, None, {"n": 1}, {"text": "x" * 64})
    ring.append(new, None, {"n": 1}, {"text": "x" * 65})
    drained = _drain(consumer)
    assert (drained.delivered, drained.stripped) == (1, [])
    assert drained.counts == [(new, Outcome.REJECTED_OVER_LIMIT, 1)]


def test_heads_longer_than_needed_do_not_survive_a_strip(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """A map may say its count in five bytes; what is stripped says it in one."""
    _shapes(consumer, KNOWN)
    pairs = b"\xdf\0\0\0\x02" + b"\xdb\0\0\0\x05bytes\x07" + b"\xa1n\x01"
    ring.append_array(encode_head(0, 1) + b"\xc0" + pairs + b"\xc0\xc0")
    drained = _drain(consumer)
    kept = b"\xc0\x81\xdb\0\0\0\x05bytes\x07\xc0\xc0"
    assert drained.events == b"\xdd\0\0\0\x01" + encode_head(0, 1) + kept


def test_a_consumer_keeps_its_shapes_alive(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """Also the text of keys that nobody else has any more."""
    keys = tuple(f"key_{number}_of_many" for number in range(300))
    _shapes(consumer, Sketch(MODE_STRIP, keys, keys, keys=1000))
    del keys
    gc.collect()
    measurements = {f"key_{number}_of_many": number for number in range(0, 320, 7)}
    ring.append(0, None, measurements)
    drained = _drain(consumer)
    [event] = _events(drained)
    assert len(event[5]) == 43
    assert drained.stripped == [(0, "unknown_key", 1, len(measurements) - 43)]


@pytest.mark.parametrize(
    "wrong",
    [{"mode": 3}, {"depth": 0}, {"keys": 0}, {"key_bytes": 0}, {"string_bytes": 0}],
)
def test_a_shape_that_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    """An unknown mode, and limits that nothing could keep."""
    with pytest.raises(ValueError, match="an unknown mode, or a limit of 0"):
        Sketch(**wrong).shape()


def test_what_are_no_keys_and_no_shapes_is_refused(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """And then nothing has changed."""
    _shapes(consumer, KNOWN)
    limits = {
        "is_known": True,
        "depth": 1,
        "keys": 1,
        "key_bytes": 1,
        "string_bytes": 1,
    }
    for keys in ([1], [b"a"], ["\ud800"], 7):
        with pytest.raises((TypeError, UnicodeEncodeError)):
            Shape(MODE_STRIP, [], keys, **limits)  # type: ignore[arg-type]
    shape = KNOWN.shape()
    for shapes, otherwise in (([shape] * 1025, shape), ([1], shape), ([], None)):
        with pytest.raises(
            TypeError, match="at most 1024, and they and otherwise of type Shape"
        ):
            consumer.set_shapes(shapes, otherwise)  # type: ignore[arg-type]
    consumer.set_judgement(is_on=True, words=[WORD_UNSET], kinds=bytes(1))
    ring.append(0, None, {"n": 1})
    assert _drain(consumer).stripped == [(0, "unknown_key", 1, 1)]


@pytest.mark.parametrize(
    "other", ["{}\0", "\0{}", "{0}{0}", "prefix {} of the same end"]
)
def test_a_key_that_is_nearly_known_is_not(
    ring: RingBuilder, consumer: Consumer, other: str
) -> None:
    """Alike in the bytes that are compared first, in sets where all slots are near."""
    for letter in "abcdefghijklmnopqrstuvwxyz":
        known = letter if len(other) < 10 else f"{letter} of the same end"
        _shapes(consumer, Sketch(MODE_STRIP, (known,)))
        ring.append(0, None, {other.format(letter): 1, known: 2})
        [event] = _events(_drain(consumer))
        assert event[5] == {known: 2}
