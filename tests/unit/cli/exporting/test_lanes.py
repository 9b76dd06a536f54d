"""Lanes of spans: how much work it is to find one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmtel.cli.exporting.idle import Idle
from shmtel.cli.exporting.lanes import Lanes, OpenSpan

SPANS = 1 << 11


class Moment(int):
    """A time that counts how often it is compared."""

    compared = 0

    def _counting(of: Callable[[int, int], bool]) -> Callable[[int, int], bool]:  # type: ignore[misc]
        def compare(self: int, other: int) -> bool:
            Moment.compared += 1
            return of(self, other)

        return compare

    __lt__, __le__ = _counting(int.__lt__), _counting(int.__le__)
    __gt__, __ge__ = _counting(int.__gt__), _counting(int.__ge__)


@contextmanager
def comparisons() -> Iterator[Callable[[], int]]:
    """Count the comparisons of times from here on."""
    Moment.compared = 0
    yield lambda: Moment.compared


def _overlapping(lanes: Lanes) -> None:
    """Ends without a start, each of a span that began before all others had ended."""
    for number in range(SPANS):
        lanes.place(Moment(0), Moment(SPANS + number))


def _after_each_other(lanes: Lanes) -> None:
    for number in range(SPANS):
        assert lanes.place(Moment(number), Moment(number + 1)) == 0


def _beside_each_other(lanes: Lanes) -> None:
    """Spans with a start, all open at once, that end in the order of their starts."""
    spans = [OpenSpan("a", Moment(n), str(n), None, {}) for n in range(SPANS)]
    for span in spans:
        lanes.begin(span)
    for number, span in enumerate(spans):
        lanes.end(span, Moment(SPANS + number))
    _overlapping(lanes)


@pytest.mark.parametrize("spans", [_overlapping, _after_each_other, _beside_each_other])
def test_a_lane_is_found_in_few_steps(spans: Callable[[Lanes], None]) -> None:
    """As many as the logarithm of the lanes, not as there are lanes."""
    with comparisons() as count:
        spans(Lanes())
    assert SPANS // 2 < count() < 8 * SPANS * log2(SPANS)


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 20)), max_size=60
    )
)
def test_the_first_that_is_free_is_taken(steps: list[tuple[bool, int, int]]) -> None:
    """As a list of all of them, looked through from the front, would say."""
    idle, known = Idle(), dict[int, int]()
    for is_put, lane, moment in steps:
        if is_put:
            idle.put(lane, moment)
            known[lane] = moment
            continue
        free = [lane for lane, ended in sorted(known.items()) if ended <= moment]
        assert idle.take_first(moment) == (free[0] if free else None)
        known.pop(free[0] if free else -1, None)
