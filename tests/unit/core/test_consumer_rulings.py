"""Consumer.set_judgement and allow_thresholds: names, thresholds in force, bounds."""

from collections.abc import Iterable
from typing import Any

import pytest

from shmtel._ring import (
    THRESHOLD_MAX,
    WORD_DENIED,
    WORD_KEEP_NONE,
    WORD_UNSET,
    Consumer,
)
from support.judgement import (
    BAD_THRESHOLD,
    FILTERED,
    KINDS,
    NOT_KNOWN,
    SAMPLED_OUT,
    START,
    STOP,
    UNKNOWN_NAME,
    append,
    drain,
    judge,
    kept,
    settle,
    span_of,
)
from support.ring_builder import RingBuilder

# -- names -------------------------------------------------------------------------


def test_it_stops_in_front_of_a_name_without_a_ruling(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """Says so, and goes on once there is one."""
    for event_id in (0, 1, 0, 2):
        append(span_ring, event_id, 5)
    consumer.set_judgement(is_on=True, words=[0], kinds=KINDS[:1])
    first = drain(consumer)
    assert (first.wants_names, first.seq_last, first.delivered) == (True, 1, 1)
    for _ in range(3):
        empty = drain(consumer)
        assert (empty.wants_names, empty.seq_before, empty.seq_last) == (True, 1, 1)
        assert (empty.events, empty.counts) == (b"\xdd\0\0\0\0", [])
        assert empty.position == first.position
    consumer.set_judgement(is_on=True, words=[0, WORD_DENIED], kinds=KINDS[:2])
    second = drain(consumer)
    assert (second.wants_names, second.seq_last) == (True, 3)
    assert second.counts == [(1, FILTERED, 1)]
    judge(consumer)
    last = drain(consumer)
    assert (last.wants_names, last.seq_last) == (False, 4)
    assert consumer.drain(1 << 20) is None


def test_an_id_that_has_no_name_stops_nothing(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """It is rejected as before, whether or not there is a ruling on it."""
    for event_id in (4, 1023, 1024, 65535):
        append(span_ring, event_id, 5)
    for words in ([], [0] * 4, [0] * 1024):
        consumer.set_judgement(is_on=True, words=words, kinds=bytes(len(words)))
        drained = drain(consumer)
        assert drained.counts == [(NOT_KNOWN, UNKNOWN_NAME, 4)]
        assert not drained.wants_names
        consumer.rewind()


# -- thresholds ----------------------------------------------------------------------


def test_only_a_threshold_that_was_in_force_is_believed(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """0, the initial one, words that were set here, and those allowed."""
    consumer.set_word(0, 10)
    consumer.set_word(0, WORD_UNSET)
    consumer.set_default_word(20)
    consumer.allow_thresholds(iter([30, 40]))
    for threshold in (0, 9, 10, 11, 20, 21, 30, 31, 40, 41):
        append(span_ring, 0, 50, None, threshold)
    drained = drain(consumer)
    assert kept(drained) == [(0, threshold) for threshold in (0, 10, 20, 30, 40)]
    assert drained.counts == [(0, BAD_THRESHOLD, 5)]


def test_what_is_judged_by_is_not_yet_in_force(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """A worker can only have obeyed what was stored."""
    judge(consumer, 10)
    append(span_ring, 0, 50, None, 10)
    assert drain(consumer).counts == [(0, BAD_THRESHOLD, 1)]


def test_thresholds_are_bounded(span_ring: RingBuilder, consumer: Consumer) -> None:
    """The last 12,288 at least are known; the oldest are forgotten."""
    consumer.allow_thresholds(range(1, 20_001))
    append(span_ring, 0, 50_000, None, 1)
    for threshold in (20_000 - 12_287, 20_000):
        append(span_ring, 0, 50_000, None, threshold)
    drained = drain(consumer)
    assert kept(drained) == [(0, 20_000 - 12_287), (0, 20_000)]
    assert drained.counts == [(0, BAD_THRESHOLD, 1)]


def test_thresholds_of_the_rulings_are_not_forgotten(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """However long ago they were set."""
    consumer.set_word(0, 1)
    judge(consumer, 1)
    consumer.allow_thresholds(range(2, 50_000))
    append(span_ring, 0, 50_000, None, 1)
    assert kept(drain(consumer)) == [(0, 1)]


def test_a_threshold_that_is_forgotten_is_not_believed_again(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """Also where it was the last one that was seen."""
    consumer.allow_thresholds([5])
    append(span_ring, 0, 7, None, 5)
    assert drain(consumer).delivered == 1
    consumer.allow_thresholds(range(10, 30_000))
    append(span_ring, 0, 7, None, 5)
    assert drain(consumer).counts == [(0, BAD_THRESHOLD, 1)]


# -- bounds -------------------------------------------------------------------------


def _drain_all(consumer: Consumer) -> dict[tuple[int, int], int]:
    """Drain to the end, and settle; return how many events were counted as what."""
    counts: dict[tuple[int, int], int] = {}
    while consumer.tail() > consumer.cursor:
        drained = drain(consumer)
        for event_id, outcome, events in drained.counts:
            counts[event_id, outcome] = counts.get((event_id, outcome), 0) + events
        settle(consumer, drained)
    return counts


def _start(span_ring: RingBuilder, consumer: Consumer, numbers: Iterable[int]) -> None:
    for number in numbers:
        append(span_ring, START, 5, span_of(number))
        if number % 500 == 0:
            _drain_all(consumer)
    _drain_all(consumer)


def test_the_oldest_of_too_many_open_spans_are_given_up(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """Counted, and their ends stay as the worker decided."""
    judge(consumer, 0, WORD_KEEP_NONE)
    _start(span_ring, consumer, range(1, 8192 + 1))
    assert consumer.forgotten_spans == 0
    _start(span_ring, consumer, range(8193, 8193 + 100))
    assert consumer.forgotten_spans == 100
    for number in (1, 100, 101, 8292):
        append(span_ring, STOP, 5, span_of(number))
    drained = drain(consumer)
    assert kept(drained) == [(STOP, 0)] * 2
    assert drained.counts == [(STOP, SAMPLED_OUT, 2)]


def test_spans_that_have_ended_make_room(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """Any number of spans may follow one another, beside one that stays open."""
    judge(consumer, 0, WORD_KEEP_NONE)
    _start(span_ring, consumer, [1])
    for number in range(2, 20_001):
        append(span_ring, START, 5, span_of(number))
        append(span_ring, STOP, 5, span_of(number))
        if number % 200 == 0:
            _drain_all(consumer)
    append(span_ring, STOP, 5, span_of(1))
    assert _drain_all(consumer) == {(STOP, SAMPLED_OUT): 1}
    assert consumer.forgotten_spans == 0


def test_a_span_that_has_ended_goes_before_an_older_one(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """With the table full, one ended and settled span is room for one start."""
    judge(consumer, 0, WORD_KEEP_NONE)
    _start(span_ring, consumer, range(1, 8193))
    append(span_ring, STOP, 5, span_of(5000))
    _drain_all(consumer)
    _start(span_ring, consumer, [8193])
    assert consumer.forgotten_spans == 0
    append(span_ring, STOP, 5, span_of(1))
    append(span_ring, STOP, 5, span_of(8193))
    assert _drain_all(consumer) == {(STOP, SAMPLED_OUT): 2}


def test_a_span_id_may_be_used_again(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """The end of the span before does not end the one that has its id now."""
    judge(consumer, 0, WORD_KEEP_NONE)
    _start(span_ring, consumer, [1])
    append(span_ring, STOP, 5, span_of(1))
    _drain_all(consumer)
    _start(span_ring, consumer, [1, 2])
    _start(span_ring, consumer, range(3, 600))
    append(span_ring, STOP, 5, span_of(1))
    assert _drain_all(consumer) == {(STOP, SAMPLED_OUT): 1}


# -- calls --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ([0], b""),
        ([], b"\0"),
        ([0] * 1025, bytes(1025)),
        ([0], b"\4"),
        ([0], b"\xff"),
        ([THRESHOLD_MAX + 1], b"\0"),
        ([WORD_UNSET - 1], b"\0"),
        ([2**32], b"\0"),
        ([-1], b"\0"),
        ([None], b"\0"),
        (5, b"\0"),
        ([0], "x"),
    ],
)
def test_a_judgement_is_set_as_a_whole_or_not_at_all(
    span_ring: RingBuilder, consumer: Consumer, words: Any, kinds: Any
) -> None:
    """What does not fit leaves the one before in force."""
    judge(consumer, WORD_DENIED)
    with pytest.raises((ValueError, TypeError, OverflowError)):
        consumer.set_judgement(is_on=True, words=words, kinds=kinds)
    append(span_ring, 0, 5)
    assert drain(consumer).counts == [(0, FILTERED, 1)]


@pytest.mark.parametrize(
    "thresholds", [[THRESHOLD_MAX + 1], [-1], ["1"], 5, [WORD_UNSET], [2**64]]
)
def test_only_thresholds_are_allowed(consumer: Consumer, thresholds: Any) -> None:
    """Special words have no draws above them."""
    with pytest.raises((ValueError, TypeError, OverflowError)):
        consumer.allow_thresholds(thresholds)


def test_a_closed_consumer_judges_nothing(consumer: Consumer) -> None:
    """Not even when it is closed in the middle of a call."""

    def closing() -> Any:
        yield 1
        consumer.close()
        yield 2

    with pytest.raises(ValueError, match="closed"):
        consumer.allow_thresholds(closing())
    with pytest.raises(ValueError, match="closed"):
        consumer.set_judgement(is_on=True, words=[], kinds=b"")
    with pytest.raises(ValueError, match="closed"):
        _ = consumer.forgotten_spans
