"""Consumer: settlement, going back, and going on where the hub stands."""

import pytest

from shmtel._ring import Consumer, Drained, RingError
from support.ring_builder import RingBuilder
from support.ring_layout import ControlZone, ProducerZone


def _totals(**events: int) -> list[int]:
    totals = [0] * 32
    for outcome, count in events.items():
        totals[int(outcome.removeprefix("o"))] = count
    return totals


def _drain(consumer: Consumer) -> Drained:
    drained = consumer.drain(1 << 20)
    assert drained is not None
    return drained


def _append(ring: RingBuilder, count: int) -> list[int]:
    """Commit events; return the position after each."""
    return [ring.append() for _ in range(count)]


def test_head_moves_when_settled(ring: RingBuilder, consumer: Consumer) -> None:
    """Draining alone gives no room back; settling does, up to its position."""
    first, second, _ = _append(ring, 3)
    _drain(consumer)
    assert ring.peek(ControlZone).head == consumer.head == 0
    consumer.settle(second, 2, _totals(o0=2))
    assert ring.peek(ControlZone).head == consumer.head == second
    assert consumer.settled_seq == 2
    assert consumer.totals == _totals(o0=2)
    assert first < second


def test_settlements_alternate_between_the_slots(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """The slot in force is never written, so that a kill finds it whole."""
    positions = _append(ring, 4)
    _drain(consumer)
    for seq, position in enumerate(positions, 1):
        before = ring.peek(ControlZone)
        consumer.settle(position, seq, _totals(o0=1, o8=seq - 1))
        after = ring.peek(ControlZone)
        assert after.active_slot == 1 - before.active_slot
        kept = before.active_slot
        assert bytes(after.slot[kept]) == bytes(before.slot[kept])
        settled = after.slot[after.active_slot]
        assert (settled.head, settled.head_seq, settled.settled_seq) == (
            position,
            seq,
            seq,
        )
        assert list(settled.totals) == _totals(o0=1, o8=seq - 1)


def test_the_next_consumer_takes_over(ring: RingBuilder, consumer: Consumer) -> None:
    """A consumer that vanished is followed by one that knows what was settled."""
    _, second, _ = _append(ring, 3)
    _drain(consumer)
    consumer.settle(second, 2, _totals(o0=1, o10=1))
    consumer.close()
    heir = Consumer(ring.open())
    assert (heir.head, heir.settled_seq) == (second, 2)
    assert heir.totals == _totals(o0=1, o10=1)
    assert _drain(heir).seq_last == 3


@pytest.mark.parametrize(
    ("position", "seq", "totals"),
    [
        (0, 0, _totals(o0=1)),  # do not sum
        (40, 1, _totals(o0=1)),  # behind head
        (84, 2, _totals(o0=2)),  # not where a record can end
        (120, 2, _totals(o0=2)),  # the cursor is at seq 3
        (80, 3, _totals(o0=3)),  # before the cursor, and its seq
        (80, 1, _totals(o0=1)),  # less than is settled
        (160, 4, _totals(o0=4)),  # not drained
        (120, 3, _totals(o0=2)),
        (120, 3, [2**63, 2**63, 3, *[0] * 29]),  # sums to 3 in 64 bits
        (120, 3, [3]),
        (120, 3, [3] + [0] * 32),
    ],
)
def test_a_settlement_that_does_not_fit_is_refused(
    ring: RingBuilder,
    consumer: Consumer,
    position: int,
    seq: int,
    totals: list[int],
) -> None:
    """Nothing is written, neither in the ring nor in the consumer."""
    _append(ring, 4)
    for _ in range(3):
        consumer.skip_to(consumer.cursor_seq + 1)
    consumer.settle(80, 2, _totals(o0=2))
    before = bytes(ring.peek(ControlZone))
    with pytest.raises(ValueError, match=r"fit|totals"):
        consumer.settle(position, seq, totals)
    assert bytes(ring.peek(ControlZone)) == before
    assert (consumer.head, consumer.settled_seq) == (80, 2)


def test_totals_must_be_natural_numbers(consumer: Consumer) -> None:
    """Neither signs nor fractions nor anything else."""
    for total in (-1, 2**64, 0.0, "0"):
        with pytest.raises((TypeError, OverflowError)):
            consumer.settle(0, 0, [total] + [0] * 31)  # type: ignore[list-item]
    with pytest.raises(TypeError):
        consumer.settle(0, 0, 5)  # type: ignore[arg-type]


def test_totals_that_close_the_consumer_are_survived(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """Making a list of a sequence may run any code."""

    class Closing:
        """Iterates like a list of totals, and closes the consumer."""

        def __iter__(self):  # type: ignore[no-untyped-def]
            consumer.close()
            return iter([0] * 32)

    with pytest.raises(ValueError, match="closed"):
        consumer.settle(0, 0, Closing())  # type: ignore[arg-type]


def test_what_is_in_a_spool_is_released_and_not_settled(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """Head may lead the totals; the next consumer starts at head and knows both."""
    first, second, third = _append(ring, 3)
    _drain(consumer)
    consumer.settle(first, 1, _totals(o0=1))
    consumer.settle(second, 2, _totals(o0=1), 1)
    assert (consumer.head, consumer.head_seq, consumer.settled_seq) == (second, 2, 1)
    consumer.settle(third, 3, _totals(o0=1), settled_seq=1)
    consumer.settle(third, 3, _totals(o0=1, o8=1), 2)
    consumer.close()
    heir = Consumer(ring.open())
    assert (heir.head, heir.head_seq, heir.settled_seq) == (third, 3, 2)
    assert (heir.cursor, heir.cursor_seq) == (third, 3)
    assert heir.totals == _totals(o0=1, o8=1)


@pytest.mark.parametrize(
    ("position", "seq", "totals", "settled_seq"),
    [
        (120, 3, _totals(o0=4), 4),  # settled past what is released
        (120, 3, _totals(o0=2), 1),  # the totals reach further
        (120, 3, _totals(), 0),  # less than is settled
        (80, 2, _totals(o0=1), 1),  # behind head
        (120, 2, _totals(o0=1), 1),  # the cursor is at seq 3
        (160, 4, _totals(o0=1), 1),  # not drained
    ],
)
def test_a_spooled_settlement_that_does_not_fit_is_refused(
    ring: RingBuilder,
    consumer: Consumer,
    position: int,
    seq: int,
    totals: list[int],
    settled_seq: int,
) -> None:
    """The two seqs are judged each by its own, and against each other."""
    _append(ring, 4)
    consumer.skip_to(3)
    consumer.settle(120, 3, _totals(o0=1), 1)
    before = bytes(ring.peek(ControlZone))
    with pytest.raises(ValueError, match="fit"):
        consumer.settle(position, seq, totals, settled_seq)
    assert bytes(ring.peek(ControlZone)) == before
    assert (consumer.head_seq, consumer.settled_seq) == (3, 1)


def test_rewind_goes_back_to_head(ring: RingBuilder, consumer: Consumer) -> None:
    """What was not settled is drained again, the same bytes."""
    first, *_ = _append(ring, 3)
    _drain(consumer)
    consumer.settle(first, 1, _totals(o0=1))
    consumer.rewind()
    assert (consumer.cursor, consumer.cursor_seq) == (first, 1)
    again = _drain(consumer)
    assert (again.seq_before, again.seq_last) == (1, 3)


def test_skip_to_stops_behind_a_seq(ring: RingBuilder, consumer: Consumer) -> None:
    """The cursor moves, head does not; rejected records count as well."""
    _append(ring, 2)
    ring.append_array(b"\0" * 40)
    _append(ring, 2)
    assert consumer.skip_to(0)
    assert consumer.skip_to(3)
    assert (consumer.cursor_seq, consumer.head) == (3, 0)
    assert consumer.skip_to(3)
    consumer.settle(consumer.cursor, 3, _totals(o0=2, o8=1))
    assert _drain(consumer).seq_before == 3


def test_skip_to_crosses_copies_and_the_end_of_the_zone(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """It steps through as many copies as it takes."""
    for _ in range(50):
        ring.append(0, None, {}, {"t": "x" * 1000})
    assert consumer.skip_to(50)
    consumer.settle(consumer.cursor, 50, _totals(o0=50))
    for _ in range(60):
        ring.append(0, None, {}, {"t": "x" * 1000})
    assert consumer.skip_to(109)
    assert _drain(consumer).seq_last == 110


def test_skip_to_past_the_end_moves_nothing(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """A seq that the ring does not hold yet is answered with False."""
    _append(ring, 3)
    consumer.skip_to(1)
    before = consumer.cursor
    assert not consumer.skip_to(4)
    assert not consumer.skip_to(2**64 - 1)
    assert (consumer.cursor, consumer.cursor_seq) == (before, 1)


def test_skip_to_does_not_go_back(ring: RingBuilder, consumer: Consumer) -> None:
    """That is what rewind is for."""
    _append(ring, 3)
    consumer.skip_to(2)
    with pytest.raises(ValueError, match="fit"):
        consumer.skip_to(1)


def test_skip_to_meets_damage(ring: RingBuilder, consumer: Consumer) -> None:
    """A record out of order ends the ring here as it does in a drain."""
    _append(ring, 2)
    ring.append(seq=9)
    with pytest.raises(RingError) as caught:
        consumer.skip_to(3)
    assert caught.value.reason == "sequence"


def test_the_end_of_a_damaged_ring_is_settled(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """What nobody can read is settled at the cursor, as lost, and stays so."""
    good, *_ = _append(ring, 1)
    ring.append_array(b"\0" * 64, length=0)
    _drain(consumer)
    with pytest.raises(RingError):
        consumer.drain(1)
    consumer.set_enabled(2)
    with pytest.raises(ValueError, match="fit"):  # more than the bytes can hold
        consumer.settle(good, 3, _totals(o0=1, o16=2))
    consumer.settle(good, 2, _totals(o0=1, o16=1))
    consumer.close()
    heir = Consumer(ring.open())
    assert (heir.settled_seq, heir.totals) == (2, _totals(o0=1, o16=1))
    with pytest.raises(RingError):
        heir.drain(1)


def test_a_ring_that_ran_full_goes_on(ring: RingBuilder, consumer: Consumer) -> None:
    """Head and tail a whole ring apart are a full ring, not a broken one."""
    for _ in range(ring.capacity // 64):
        ring.append(0, None, {}, {"t": "x" * 20})
    assert ring.tail == ring.capacity
    assert consumer.tail() == ring.capacity
    drained = _drain(consumer)
    assert drained.seq_last == ring.seq
    ring.poke(ProducerZone, tail=ring.tail + 8)
    with pytest.raises(RingError) as caught:
        consumer.tail()
    assert caught.value.reason == "positions"
