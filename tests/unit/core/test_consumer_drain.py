"""Consumer.drain: what is taken, what is rejected, and what ends a ring."""

from collections.abc import Callable

import msgpack
import pytest

from shmtel._ring import Consumer, Drained, RingError
from support.ring_builder import RingBuilder, encode_fields, encode_head
from support.ring_layout import NamesZone, ProducerZone

MALFORMED, UNKNOWN_NAME, BAD_THRESHOLD = 8, 9, 10
NOT_KNOWN = 2**32 - 1
TIME = 1_700_000_000
SPAN = b"0123456789abcdef"
GOOD = encode_head(0, 2) + encode_fields()
BROKEN_HEADS = [GOOD[:at] + b"\0" + GOOD[at + 1 :] for at in (0, 1, 4, 13, 22)]


def _drain(consumer: Consumer, budget: int = 1 << 20) -> Drained:
    drained = consumer.drain(budget)
    assert drained is not None
    return drained


def _reason(call: Callable[[], object]) -> str:
    with pytest.raises(RingError) as caught:
        call()
    return caught.value.reason


def test_nothing_is_there(consumer: Consumer) -> None:
    """An empty ring drains to None, at its start and after its last record."""
    assert consumer.drain(1 << 20) is None


def test_events_come_as_one_array(ring: RingBuilder, consumer: Consumer) -> None:
    """The arrays are the worker's own bytes behind one array32 head."""
    ring.append(0, "id", {"n": 1, "x": 0.5}, {"k": [True, None, b"b"]}, SPAN)
    ring.append()
    drained = _drain(consumer)
    assert drained.events[:5] == b"\xdd\0\0\0\x02"
    assert msgpack.unpackb(drained.events) == [
        [0, 1, TIME, 0, "id", {"n": 1, "x": 0.5}, {"k": [True, None, b"b"]}, SPAN],
        [0, 2, TIME, 0, None, {}, None, None],
    ]
    assert (drained.delivered, drained.counts) == (2, [])
    assert (drained.seq_before, drained.seq_last) == (0, 2)
    assert drained.position == ring.tail == consumer.cursor == consumer.tail()
    assert consumer.cursor_seq == 2
    assert consumer.drain(1 << 20) is None


def test_a_drain_is_read_only(ring: RingBuilder, consumer: Consumer) -> None:
    """Its attributes can not be set, and none can be made by hand."""
    ring.append()
    drained = _drain(consumer)
    with pytest.raises((AttributeError, TypeError)):
        drained.delivered = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        Drained()


def test_the_end_of_the_zone_is_read_over(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """Every split of a record at the end of the data zone comes out whole."""
    payload = {"text": "x" * 1000}
    for seq in range(1, 201):
        ring.append(0, "c", {}, payload)
        drained = _drain(consumer)
        [event] = msgpack.unpackb(drained.events)
        assert event[1] == drained.seq_last == seq
        assert event[6] == payload
        consumer.settle(drained.position, seq, [seq] + [0] * 31)
    assert ring.tail > 3 * ring.capacity


def test_a_pass_keeps_to_its_budget(ring: RingBuilder, consumer: Consumer) -> None:
    """It ends before the record that does not fit; the next pass begins there."""
    for _ in range(100):
        ring.append(0, None, {}, {"text": "x" * 500})
    taken: list[int] = []
    while (drained := consumer.drain(20_000)) is not None:
        assert len(drained.events) <= 20_000
        taken += [event[1] for event in msgpack.unpackb(drained.events)]
    assert taken == list(range(1, 101))


def test_the_budget_covers_one_record(ring: RingBuilder, consumer: Consumer) -> None:
    """The largest record is taken whatever the budget is."""
    most = ring.capacity // 4
    head = encode_head(0, 1) + encode_fields(None, {}, {"t": ""})[:-2]
    text = b"x" * (most - 8 - len(head) - 3 - 1)
    ring.append_array(head + b"\xda" + len(text).to_bytes(2, "big") + text + b"\xc0")
    assert ring.tail == most
    assert _drain(consumer, 0).delivered == 1


def test_a_pass_takes_at_most_120_kib() -> None:
    """However large the budget is, a pass is soon over."""
    with RingBuilder(1 << 20) as ring:
        ring.add_name("a.b")
        consumer = Consumer(ring.open())
        for _ in range(100):
            ring.append(0, None, {}, {"text": "x" * 4000})
        sizes = []
        while (drained := consumer.drain(1 << 40)) is not None:
            sizes.append(len(drained.events))
        assert max(sizes) <= 120 << 10
        assert consumer.cursor_seq == 100


@pytest.mark.parametrize("budget", [-1, 2**64, "1", 1.5, None])
def test_a_budget_is_a_natural_number(consumer: Consumer, budget: object) -> None:
    """Anything else is the caller's mistake."""
    with pytest.raises((TypeError, OverflowError)):
        consumer.drain(budget)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("array", "counts"),
    [
        (encode_head(1, 2) + encode_fields(), (NOT_KNOWN, UNKNOWN_NAME, 1)),
        (encode_head(65535, 2) + encode_fields(), (NOT_KNOWN, UNKNOWN_NAME, 1)),
        (encode_head(0, 2, 8) + encode_fields(), (0, BAD_THRESHOLD, 1)),
        (encode_head(0, 2, 2**32 - 1) + encode_fields(), (0, BAD_THRESHOLD, 1)),
        (encode_head(0, 2) + encode_fields(5), (0, MALFORMED, 1)),
        (encode_head(0, 2) + encode_fields("x" * 129), (0, MALFORMED, 1)),
        (encode_head(0, 2) + encode_fields(None, {"n": True}), (0, MALFORMED, 1)),
        (encode_head(0, 2) + encode_fields() + b"\xc0", (0, MALFORMED, 1)),
        *[(broken, (NOT_KNOWN, MALFORMED, 1)) for broken in BROKEN_HEADS],
        (b"\0" * 31, (NOT_KNOWN, MALFORMED, 1)),
        (b"\xff" * 500, (NOT_KNOWN, MALFORMED, 1)),
    ],
)
def test_a_bad_record_is_rejected_and_the_next_taken(
    ring: RingBuilder, consumer: Consumer, array: bytes, counts: tuple[int, int, int]
) -> None:
    """It is counted by event and reason, and disturbs none of its neighbours."""
    ring.append()
    ring.append_array(array, draw=7)
    ring.append()
    drained = _drain(consumer)
    assert [event[1] for event in msgpack.unpackb(drained.events)] == [1, 3]
    assert drained.counts == [counts]
    assert drained.seq_last - drained.seq_before == 3


def test_rejections_are_counted_per_event_and_reason(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """The counts of a pass are its own: nothing is carried over."""
    ring.add_name("c.d")
    for event_id, threshold in ((0, 1), (1, 1), (1, 1), (9, 1)):
        ring.append(event_id, threshold=threshold)
    ring.append(1, 5)
    drained = _drain(consumer)
    assert drained.events == b"\xdd\0\0\0\0"
    assert drained.delivered == 0
    assert drained.counts == [
        (1, MALFORMED, 1),
        (NOT_KNOWN, UNKNOWN_NAME, 1),
        (0, BAD_THRESHOLD, 1),
        (1, BAD_THRESHOLD, 2),
    ]
    ring.append(1, threshold=1)
    assert _drain(consumer).counts == [(1, BAD_THRESHOLD, 1)]
    ring.append(1)
    assert _drain(consumer).counts == []


def test_a_draw_at_its_threshold_is_kept(ring: RingBuilder, consumer: Consumer) -> None:
    """Kept is when the draw is not below the threshold; draws have a greatest."""
    consumer.allow_thresholds([8, 0xFFFFFFEF])
    ring.append(threshold=8, draw=8)
    ring.append(threshold=0xFFFFFFEF, draw=0xFFFFFFEF)
    ring.append(draw=0xFFFFFFF0)
    drained = _drain(consumer)
    assert drained.delivered == 2
    assert drained.counts == [(0, BAD_THRESHOLD, 1)]


def test_a_name_that_came_since_is_known(ring: RingBuilder, consumer: Consumer) -> None:
    """The count of names is read again when an id is past it."""
    ring.append()
    _drain(consumer)
    ring.append(ring.add_name("c.d"))
    assert _drain(consumer).counts == []
    assert consumer.names(0) == ["a.b", "c.d"]


@pytest.mark.parametrize("length", [0, 1, 30, 16 * 1024 - 7, 2**16, 2**31, 2**32 - 1])
def test_a_length_out_of_bounds_ends_the_ring(
    ring: RingBuilder, consumer: Consumer, length: int
) -> None:
    """Without a frame there is no next record; what stands before is delivered."""
    ring.append()
    ring.append_array(b"\0" * 20_000, length=length)
    assert _drain(consumer).delivered == 1
    for _ in range(2):
        assert _reason(lambda: consumer.drain(1 << 20)) == "record"
    assert _reason(consumer.tail) == "record"
    assert consumer.cursor_seq == 1


def test_a_length_past_the_tail_ends_the_ring(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """A record that its producer has not committed whole is not a record."""
    ring.append_array(encode_head(0, 1) + encode_fields(), length=33)
    assert _reason(lambda: consumer.drain(1)) == "record"


def test_a_tail_inside_a_header_ends_the_ring(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """Eight bytes are too few for any record."""
    ring.poke(ProducerZone, tail=8)
    assert _reason(lambda: consumer.drain(1)) == "record"


@pytest.mark.parametrize("seq", [0, 1, 3, 2**64 - 1])
def test_a_seq_out_of_order_ends_the_ring(
    ring: RingBuilder, consumer: Consumer, seq: int
) -> None:
    """A gap or a repetition means that the bytes are not what was committed."""
    ring.append()
    ring.append(seq=seq)
    assert _drain(consumer).seq_last == 1
    assert _reason(lambda: consumer.drain(1 << 20)) == "sequence"


@pytest.mark.parametrize("tail", [0, 36, 44, 2**63, 40 + (64 << 10)])
def test_an_impossible_tail_ends_the_ring(
    ring: RingBuilder, consumer: Consumer, tail: int
) -> None:
    """A tail goes neither back nor off its grid nor past a ring of bytes."""
    ring.append()
    _drain(consumer)
    ring.poke(ProducerZone, tail=tail)
    assert _reason(lambda: consumer.drain(1 << 20)) == "positions"
    ring.poke(ProducerZone, tail=ring.tail)
    assert _reason(lambda: consumer.drain(1 << 20)) == "positions"


def test_a_shrinking_table_of_names_ends_the_ring(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """Names are only ever appended."""
    assert consumer.names(0) == ["a.b"]
    ring.poke(NamesZone, name_count=0)
    ring.append(1)
    assert _reason(lambda: consumer.drain(1)) == "names"


def test_one_bad_ring_leaves_the_others_alone(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """Consumers share nothing."""
    with RingBuilder() as other:
        other.add_name("o")
        beside = Consumer(other.open())
        ring.append_array(b"\0" * 64, length=0)
        other.append()
        assert _reason(lambda: consumer.drain(1)) == "record"
        assert _drain(beside).delivered == 1
