"""The arithmetic that both roles hold true."""

from dataclasses import replace

import pytest

from shmtel.wire.frames import Batch, RingClosed, Segment, SegmentCount
from shmtel.wire.protocol import (
    Position,
    advanced,
    batch_flaw,
    payload_bytes,
    totals_flaw,
    without_rings,
)
from support.frames import plain_segment


def _counted(*counts: tuple[int, int]) -> Segment:
    given = tuple(SegmentCount(0, outcome, events) for outcome, events in counts)
    return Segment(1, 0, 5, 3, b"", given)


@pytest.mark.parametrize(
    ("batch", "flaw"),
    [
        (Batch(1, (plain_segment(0, 3),)), None),
        (Batch(1, (plain_segment(3, 3),)), None),
        (Batch(1, (plain_segment(0, 3), plain_segment(0, 3, ring=2))), None),
        (Batch(1, (_counted((8, 1), (17, 1)),)), None),
        (Batch(1, (_counted((8, 1)),)), "4 events cover 5 seqs"),
        (Batch(1, (_counted((0, 2)),)), "a count of outcome 0"),
        (Batch(1, (_counted((32, 2)),)), "a count of outcome 32"),
        (Batch(1, (Segment(1, 4, 3, 0, b""),)), "0 events cover -1 seqs"),
        (Batch(1, (replace(plain_segment(2, 4), resent_through=3),)), None),
        (Batch(1, (replace(plain_segment(2, 4), resent_through=4),)), None),
        (Batch(1, (replace(plain_segment(2, 4), resent_through=5),)), None),
        (Batch(1, (replace(plain_segment(2, 4), resent_through=2),)), "through 2"),
        (Batch(1, (plain_segment(0, 1), plain_segment(1, 2))), "ring 1 twice"),
        (Batch(1, (), (RingClosed(1, 0, "x"), RingClosed(1, 0, "x"))), "ring 1 twice"),
    ],
)
def test_flaws_of_a_batch(batch: Batch, flaw: str | None) -> None:
    """A batch is flawed when its sums or its rings contradict each other."""
    found = batch_flaw(batch)
    assert (found is None) if flaw is None else (found and flaw in found)


def test_flaws_of_totals() -> None:
    """Totals account for every event up to a seq, in outcomes that exist."""
    assert totals_flaw(5, {0: 4, 16: 1}) is None
    assert totals_flaw(0, {}) is None
    assert totals_flaw(5, {0: 4}) == "totals sum to 4, not 5"
    assert totals_flaw(5, {32: 5}) is not None


def test_a_segment_advances_a_position() -> None:
    """The new position adds what was delivered and what was not, without zeros."""
    position = advanced(Position(7, {0: 6, 8: 1}), _counted((8, 2), (9, 0)))
    assert position == Position(5, {0: 9, 8: 3})


def test_size_and_parts() -> None:
    """A batch is measured by its events; rings can be taken out of it."""
    batch = Batch(
        3, (plain_segment(0, 1), plain_segment(0, 1, ring=2)), (RingClosed(2, 1, "x"),)
    )
    assert payload_bytes(batch) == 20
    assert without_rings(batch, {2}) == Batch(3, (plain_segment(0, 1),))
