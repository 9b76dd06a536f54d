"""Where a retired ring ends: nothing that is written behind it is read."""

import pytest

from shmtel._ring import Consumer, RingError
from support.ring_builder import RingBuilder
from support.ring_layout import ControlZone


def test_what_comes_behind_the_end_is_not_read(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """A producer that stood still counts such records itself."""
    ring.append()
    consumer.set_final_tail(consumer.tail())
    ring.append()
    drained = consumer.drain(1 << 20)
    assert drained is not None
    assert drained.seq_last == 1
    assert consumer.drain(1 << 20) is None
    assert consumer.tail() == drained.position


def test_the_end_outlives_the_collector(ring: RingBuilder) -> None:
    """The next consumer ends at the same place."""
    ring.append()
    first = Consumer(ring.open())
    first.set_final_tail(first.tail())
    first.close()
    ring.append()
    second = Consumer(ring.open())
    drained = second.drain(1 << 20)
    assert drained is not None
    assert drained.seq_last == 1
    assert second.drain(1 << 20) is None
    second.close()


def test_an_end_that_cannot_be_is_refused(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """The end lies between the cursor and the tail, at a record's place."""
    ring.append()
    ring.append()
    assert consumer.drain(1 << 20) is not None
    tail = consumer.tail()
    for position in (0, tail - 8, tail + 8, tail + 1):
        with pytest.raises(ValueError, match="does not fit"):
            consumer.set_final_tail(position)


@pytest.mark.parametrize("final_tail", [8, 13])
def test_a_forged_end_is_refused_at_attach(ring: RingBuilder, final_tail: int) -> None:
    """An end before the head, or between two places, contradicts the ring."""
    ring.append()
    first = Consumer(ring.open())
    drained = first.drain(1 << 20)
    assert drained is not None
    first.settle(drained.position, 1, [1, *[0] * 31])
    first.close()
    ring.poke(ControlZone, final_tail=final_tail)
    with pytest.raises(RingError) as caught:
        Consumer(ring.open())
    assert caught.value.reason in ("positions", "settlement")
