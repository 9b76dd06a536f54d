"""A spooled segment is cut wherever the hub may stand in it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmtel.wire.frames import Outcome, Segment, SegmentCount
from shmtel.wire.protocol import segment_flaw
from shmtel_collector.cut import cut
from support.ring_builder import encode_fields, encode_head

_LEFT_OUT = (
    Outcome.SAMPLED_OUT_BY_COLLECTOR,
    Outcome.REJECTED_MALFORMED,
    Outcome.LOST_OVERWRITTEN,
)
_FATES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from((Outcome.DELIVERED, *_LEFT_OUT))),
    min_size=2,
    max_size=40,
)


def _event(seq: int, event_id: int) -> bytes:
    return encode_head(event_id, seq) + encode_fields("id", {"n": seq}, {"k": [1]})


def _segment(before: int, fates: list[tuple[int, int]]) -> Segment:
    """Make the segment of events that came to these ends, in this order."""
    arrays = [
        _event(before + n, event_id)
        for n, (event_id, outcome) in enumerate(fates, 1)
        if outcome == Outcome.DELIVERED
    ]
    counts = Counter(fate for fate in fates if fate[1] != Outcome.DELIVERED)
    return Segment(
        ring=0,
        seq_before=before,
        seq_last=before + len(fates),
        delivered=len(arrays),
        events=b"\xdd" + len(arrays).to_bytes(4, "big") + b"".join(arrays),
        counts=tuple(SegmentCount(*key, n) for key, n in counts.items()),
    )


def _by_outcome(segment: Segment) -> Counter[int]:
    totals: Counter[int] = Counter()
    for count in segment.counts:
        totals[count.outcome] += count.events
    return totals


@given(st.integers(0, 2**40), _FATES, st.data())
def test_what_the_hub_has_is_cut_off(
    before: int, fates: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Exactly the events behind its seq are left, and what is counted of the rest."""
    kept = data.draw(st.integers(1, len(fates) - 1))
    hub = Counter(outcome for _, outcome in fates[:kept])
    behind = cut(_segment(before, fates), before + kept, hub)
    expected = _segment(before + kept, fates[kept:])
    assert (behind.seq_before, behind.seq_last) == (before + kept, before + len(fates))
    assert (behind.delivered, behind.events) == (expected.delivered, expected.events)
    assert _by_outcome(behind) == _by_outcome(expected)
    assert segment_flaw(behind) is None


@given(
    _FATES,
    st.dictionaries(st.integers(0, 31), st.integers(-5, 2**63), max_size=8),
    st.data(),
)
def test_a_hub_that_counts_otherwise_changes_reasons_and_no_sum(
    fates: list[tuple[int, int]], counted: dict[int, int], data: st.DataObject
) -> None:
    """Whatever it says happened before, each seq behind is spoken of once."""
    segment = _segment(7, fates)
    kept = data.draw(st.integers(1, len(fates) - 1))
    behind = cut(segment, 7 + kept, counted)
    assert segment_flaw(behind) is None
    assert behind.events == _segment(7 + kept, fates[kept:]).events
    assert _by_outcome(behind) <= _by_outcome(segment)
    assert all(count.events > 0 for count in behind.counts)


@given(_FATES, st.data())
def test_cutting_twice_is_cutting_once(
    fates: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The order of two resume points does not matter."""
    first = data.draw(st.integers(1, len(fates) - 1))
    second = data.draw(st.integers(first, len(fates) - 1))
    hub = Counter(outcome for _, outcome in fates[:first])
    between = Counter(outcome for _, outcome in fates[first:second])
    once = cut(_segment(0, fates), second, hub + between)
    if second > first:
        twice = cut(cut(_segment(0, fates), first, hub), second, between)
    else:
        twice = cut(_segment(0, fates), first, hub)
    assert (once.events, _by_outcome(once)) == (twice.events, _by_outcome(twice))


@pytest.mark.parametrize(
    "events",
    [
        b"",
        b"\xdd\x00\x00\x00\x05",
        b"\xc0",
        b"\xdd\x00\x00\x00\x01" + b"\xdd\xff\xff\xff\xff",
        b"\xdd\x00\x00\x00\x01\xc1",
        b"\xdd" + (3).to_bytes(4, "big") + _event(9, 0) * 3,
    ],
)
def test_events_that_are_none_are_refused(events: bytes) -> None:
    """It is said, and nothing is made up."""
    segment = Segment(0, 0, 2, 2, events)
    with pytest.raises(ValueError, match=r"array|events"):
        cut(segment, 1, {})
