"""A batch fills up to its target, and never beyond its ceiling."""

import pytest

from shmtel.wire.frames import RingClosed, Segment
from shmtel_collector.batch import (
    CEILING_BYTES,
    LARGEST_RECORD_BYTES,
    LEAST_BUDGET_BYTES,
    TARGET_BYTES,
    BatchBuilder,
)


def _segment(size: int) -> Segment:
    return Segment(ring=1, seq_before=0, seq_last=1, delivered=1, events=bytes(size))


def test_new_batch_is_empty_and_open() -> None:
    """A batch without content is not sent, and takes the whole target."""
    batch = BatchBuilder()
    assert batch.is_empty()
    assert not batch.is_full()
    assert batch.budget_bytes() == TARGET_BYTES


@pytest.mark.parametrize(
    ("size", "is_full"),
    [
        (TARGET_BYTES - LEAST_BUDGET_BYTES, False),
        (TARGET_BYTES - LEAST_BUDGET_BYTES + 1, True),
        (TARGET_BYTES + LARGEST_RECORD_BYTES, True),
    ],
)
def test_batch_leaves_when_little_room_is_left(size: int, is_full: bool) -> None:
    """A rest too small to be worth a drain is left to the next batch."""
    batch = BatchBuilder()
    batch.add(_segment(size))
    assert batch.is_full() is is_full


def test_ceiling_covers_target_and_one_record() -> None:
    """A drain may exceed its budget by one record, and the room covers that."""
    assert CEILING_BYTES == TARGET_BYTES + LARGEST_RECORD_BYTES


def test_closing_alone_is_worth_a_batch() -> None:
    """The end of a ring is sent even when it brings no events."""
    batch = BatchBuilder()
    batch.close(RingClosed(ring=1, last_seq=0, reason="closed"))
    assert not batch.is_empty()
