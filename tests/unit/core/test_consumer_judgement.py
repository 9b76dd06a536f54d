"""Consumer.set_judgement: the policy once more on what a worker has let through."""

import msgpack
import pytest

from shmtel._ring import (
    THRESHOLD_MAX,
    WORD_DENIED,
    WORD_KEEP_NONE,
    WORD_UNSET,
    Consumer,
)
from support.judgement import (
    DISABLED,
    EXCEPTION,
    FILTERED,
    SAMPLED_OUT,
    START,
    STOP,
    append,
    drain,
    judge,
    kept,
    settle,
    span_of,
)
from support.ring_builder import RingBuilder

SPAN = span_of(1)
OTHER_SPAN = span_of(2)
INSIDE_SPAN = bytes(8) + b"\1" * 8
HALF = 1 << 31


# -- events that stand alone ------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "draw", "threshold", "expected"),
    [
        (WORD_UNSET, 5, 0, 0),
        (WORD_UNSET, 5, 5, 5),
        (0, 5, 0, 0),
        (0, 5, 5, 5),
        (4, 5, 5, 5),
        (5, 5, 5, 5),
        (5, 5, 0, 5),
        (THRESHOLD_MAX, THRESHOLD_MAX, 5, THRESHOLD_MAX),
        (6, 5, 0, "sampled_out"),
        (6, 5, 5, "sampled_out"),
        (THRESHOLD_MAX, THRESHOLD_MAX - 1, 5, "sampled_out"),
        (WORD_KEEP_NONE, THRESHOLD_MAX, 0, "sampled_out"),
        (WORD_DENIED, THRESHOLD_MAX, 0, "filtered"),
    ],
)
@pytest.mark.parametrize("event_id", range(4))
@pytest.mark.parametrize("span", [None, INSIDE_SPAN])
def test_an_event_by_itself_is_judged_by_its_word(
    span_ring: RingBuilder,
    consumer: Consumer,
    event_id: int,
    span: bytes | None,
    word: int,
    draw: int,
    threshold: int,
    expected: int | str,
) -> None:
    """Harder thresholds are applied or written in, softer ones change nothing;
    so it is for whatever has no span id of its own, whatever its name is.
    """
    consumer.allow_thresholds([5])
    append(span_ring, event_id, draw, span, threshold)
    words = [WORD_UNSET] * 4
    words[event_id] = word
    judge(consumer, *words)
    drained = drain(consumer)
    outcome = {"sampled_out": SAMPLED_OUT, "filtered": FILTERED}.get(str(expected))
    assert drained.counts == ([(event_id, outcome, 1)] if outcome else [])
    assert kept(drained) == ([] if outcome else [(event_id, expected)])


def test_a_patch_changes_nothing_but_the_threshold(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """And it is the copy that is patched, not the ring."""
    span_ring.append(0, "id", {"n": 1}, {"k": "v"}, INSIDE_SPAN, draw=HALF)
    before = consumer.drain(1 << 20)
    consumer.rewind()
    judge(consumer, HALF)
    after = drain(consumer)
    assert before is not None
    [was], [now] = msgpack.unpackb(before.events), msgpack.unpackb(after.events)
    assert (was.pop(3), now.pop(3)) == (0, HALF)
    assert was == now
    consumer.rewind()
    judge(consumer)
    assert drain(consumer).events == before.events


def test_nothing_is_judged_before_it_is_set(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """A consumer that has no policy leaves all decisions with the worker."""
    for event_id in range(4):
        append(span_ring, event_id, 0, SPAN)
    assert drain(consumer).delivered == 4


@pytest.mark.parametrize("word", [0, WORD_UNSET, WORD_DENIED, WORD_KEEP_NONE])
def test_a_worker_that_is_off_delivers_nothing(
    span_ring: RingBuilder, consumer: Consumer, word: int
) -> None:
    """Every sound event is disabled, whatever else would become of it."""
    for event_id in range(4):
        append(span_ring, event_id, 0, SPAN)
        append(span_ring, event_id, 0)
    span_ring.append(0, 5)  # malformed
    judge(consumer, *[word] * 4, is_on=False)
    drained = drain(consumer)
    assert drained.counts == [
        *((event_id, DISABLED, 2) for event_id in range(4)),
        (0, 8, 1),
    ]


# -- spans --------------------------------------------------------------------------


@pytest.mark.parametrize("end", [STOP, EXCEPTION])
@pytest.mark.parametrize("word_of_end", [WORD_UNSET, 1, WORD_KEEP_NONE, THRESHOLD_MAX])
def test_an_end_follows_its_start(
    span_ring: RingBuilder, consumer: Consumer, end: int, word_of_end: int
) -> None:
    """Left out with it, patched with it, or untouched with it: whatever the
    sampling of the end's own name is by then.
    """
    unchanged = b"\3" * 8 + bytes(8)
    append(span_ring, START, 5, SPAN)
    append(span_ring, START, HALF, OTHER_SPAN)
    judge(consumer, WORD_UNSET, HALF)
    assert kept(drain(consumer)) == [(START, HALF)]
    judge(consumer)
    append(span_ring, START, 7, unchanged)
    assert kept(drain(consumer)) == [(START, 0)]
    judge(consumer, 0, 0, word_of_end, word_of_end)
    append(span_ring, end, 5, SPAN)
    append(span_ring, end, HALF, OTHER_SPAN)
    append(span_ring, end, 7, unchanged)
    drained = drain(consumer)
    assert kept(drained) == [(end, HALF), (end, 0)]
    assert drained.counts == [(end, SAMPLED_OUT, 1)]


def test_a_start_under_rate_0_takes_its_end_along(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """Also when the rate has been raised in between."""
    append(span_ring, START, THRESHOLD_MAX, SPAN)
    judge(consumer, WORD_UNSET, WORD_KEEP_NONE)
    assert drain(consumer).counts == [(START, SAMPLED_OUT, 1)]
    judge(consumer, 0, 0, 0, 0)
    append(span_ring, STOP, THRESHOLD_MAX, SPAN)
    assert drain(consumer).counts == [(STOP, SAMPLED_OUT, 1)]


@pytest.mark.parametrize("end", [STOP, EXCEPTION])
@pytest.mark.parametrize("word_of_start", [0, HALF, WORD_KEEP_NONE, WORD_DENIED])
def test_filters_act_on_each_event_of_a_span(
    span_ring: RingBuilder, consumer: Consumer, end: int, word_of_start: int
) -> None:
    """A denied end is filtered, whatever was decided at the start."""
    append(span_ring, START, HALF, SPAN)
    append(span_ring, end, HALF, SPAN)
    judge(consumer, 0, word_of_start, WORD_DENIED, WORD_DENIED)
    assert (end, FILTERED, 1) in drain(consumer).counts


@pytest.mark.parametrize(
    ("word", "expected"),
    [(WORD_UNSET, 0), (0, 0), (5, 5), (6, SAMPLED_OUT), (WORD_KEEP_NONE, SAMPLED_OUT)],
)
def test_the_end_of_a_filtered_start_is_judged_by_its_own_word(
    span_ring: RingBuilder, consumer: Consumer, word: int, expected: int
) -> None:
    """As in the worker, where a filtered start has decided nothing."""
    append(span_ring, START, 5, SPAN)
    append(span_ring, STOP, 5, SPAN)
    judge(consumer, 0, WORD_DENIED, word)
    drained = drain(consumer)
    if expected == SAMPLED_OUT:
        assert drained.counts == [(STOP, SAMPLED_OUT, 1), (START, FILTERED, 1)]
    else:
        assert kept(drained) == [(STOP, expected)]


@pytest.mark.parametrize("end", [STOP, EXCEPTION])
def test_a_span_that_began_disabled_ends_disabled(
    span_ring: RingBuilder, consumer: Consumer, end: int
) -> None:
    """As in the worker: an end that has no start says nothing."""
    append(span_ring, START, 5, SPAN)
    judge(consumer, 0, 0, 0, 0, is_on=False)
    assert drain(consumer).counts == [(START, DISABLED, 1)]
    judge(consumer, 0, 0, 0, 0)
    append(span_ring, end, 5, SPAN)
    assert drain(consumer).counts == [(end, DISABLED, 1)]


@pytest.mark.parametrize("word_of_start", [6, WORD_KEEP_NONE])
@pytest.mark.parametrize(
    ("word", "is_kept"), [(0, True), (1, False), (WORD_UNSET, False)]
)
def test_errors_are_kept_by_a_rule_for_them(
    span_ring: RingBuilder,
    consumer: Consumer,
    word_of_start: int,
    word: int,
    is_kept: bool,
) -> None:
    """An exception whose own word is 0 outlives its start; a stop does not."""
    for end in (EXCEPTION, STOP):
        append(span_ring, START, 5, SPAN)
        append(span_ring, end, 5, SPAN)
    judge(consumer, 0, word_of_start, 0, word)
    assert kept(drain(consumer)) == [(EXCEPTION, 0)] * is_kept


def test_a_kept_error_stands_for_those_that_the_worker_left_out(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """Its threshold is the one that it survived in the worker, never a lower one."""
    consumer.allow_thresholds([3])
    append(span_ring, START, 5, SPAN, 3)
    append(span_ring, EXCEPTION, 5, SPAN, 3)
    judge(consumer, 0, WORD_KEEP_NONE, 0, 0)
    assert kept(drain(consumer)) == [(EXCEPTION, 3)]


def test_an_end_whose_draw_is_not_its_starts(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """A hostile end cannot claim a threshold that its draw does not reach."""
    append(span_ring, START, HALF, SPAN)
    append(span_ring, STOP, HALF - 1, SPAN)
    judge(consumer, 0, HALF)
    drained = drain(consumer)
    assert kept(drained) == [(START, HALF)]
    assert drained.counts == [(STOP, SAMPLED_OUT, 1)]


# -- again --------------------------------------------------------------------------


def test_draining_again_decides_the_same(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """An end that was drained is remembered until it is settled."""
    for draw, span in ((5, SPAN), (HALF, OTHER_SPAN)):
        append(span_ring, START, draw, span)
    judge(consumer, 0, HALF)
    starts = drain(consumer)
    settle(consumer, starts)
    for draw, span in ((5, SPAN), (HALF, OTHER_SPAN)):
        append(span_ring, STOP, draw, span)
    judge(consumer)
    for _ in range(3):
        drained = drain(consumer)
        assert kept(drained) == [(STOP, HALF)]
        assert drained.counts == [(STOP, SAMPLED_OUT, 1)]
        consumer.rewind()


def test_a_start_drained_again_is_decided_anew(
    span_ring: RingBuilder, consumer: Consumer
) -> None:
    """By the policy of that moment, and its end with it."""
    append(span_ring, START, 5, SPAN)
    append(span_ring, STOP, 5, SPAN)
    for word, expected in (
        (WORD_KEEP_NONE, []),
        (WORD_UNSET, [(START, 0), (STOP, 0)]),
        (5, [(START, 5), (STOP, 5)]),
        (0, [(START, 0), (STOP, 0)]),
        (6, []),
    ):
        judge(consumer, 0, word)
        assert kept(drain(consumer)) == expected
        consumer.rewind()
