"""Follower: reading the records of a ring without anybody noticing."""

import os
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from shmtel._ring import Consumer, Follower, RingError, Taken, lock_holder
from support.emitter import Emitter
from support.program import fresh_namespace
from support.ring_builder import RingBuilder, encode_fields, encode_head
from support.ring_layout import ControlZone, ProducerZone

PADDING = {"text": "x" * 1000}


@pytest.fixture
def follower(ring: RingBuilder) -> Iterator[Follower]:
    """A follower of that ring from its start, by a descriptor that only reads."""
    fd = ring.open(writable=False)
    yield Follower(fd)
    os.close(fd)


def _take(follower: Follower, budget: int = 1 << 20) -> Taken:
    taken = follower.take(budget)
    assert taken is not None
    assert taken.count + taken.rejected == taken.seq_last - taken.seq_before
    return taken


def _seqs(taken: Taken) -> list[int]:
    events: list[list[Any]] = msgpack.unpackb(taken.events)
    assert len(events) == taken.count
    return [event[1] for event in events]


def _fill(ring: RingBuilder, count: int) -> None:
    for _ in range(count):
        ring.append(0, None, {}, PADDING)


def _release(consumer: Consumer) -> None:
    """Drain and settle all that is there, as a collector does."""
    while (drained := consumer.drain(1 << 20)) is not None:
        totals = [drained.seq_last] + [0] * 31
        consumer.settle(drained.position, drained.seq_last, totals)


def test_what_is_in_the_ring_comes_first(ring: RingBuilder, follower: Follower) -> None:
    """Then what is added, each event once, as the worker wrote it."""
    assert follower.take(1 << 20) is None
    ring.append(0, "id", {"n": 1}, {"k": True}, b"0123456789abcdef")
    taken = _take(follower)
    [event] = msgpack.unpackb(taken.events)
    assert event[4:] == ["id", {"n": 1}, {"k": True}, b"0123456789abcdef"]
    assert (taken.seq_before, taken.seq_last, taken.missed) == (0, 1, 0)
    assert follower.take(1 << 20) is None
    _fill(ring, 2)
    assert _seqs(_take(follower)) == [2, 3]


def test_a_full_ring_is_there_to_its_oldest_byte(
    ring: RingBuilder, follower: Follower
) -> None:
    """With no collector nothing is released, hence nothing is overwritten."""
    while ring.tail <= ring.capacity - 1100:
        _fill(ring, 1)
    seqs: list[int] = []
    while (taken := follower.take(0)) is not None:
        seqs += _seqs(taken)
    assert seqs == list(range(1, ring.seq + 1))


def test_it_starts_behind_what_is_released(ring: RingBuilder) -> None:
    """Where the settlement in force says, also when head lags behind it."""
    _fill(ring, 5)
    consumer = Consumer(ring.open())
    consumer.skip_to(3)
    consumer.settle(consumer.cursor, 3, [3] + [0] * 31)
    consumer.close()
    ring.poke(ControlZone, head=0)
    assert _seqs(_take(Follower(ring.fd))) == [4, 5]


def test_it_may_start_at_the_end(ring: RingBuilder) -> None:
    """Only what is committed afterwards comes, with its true seq."""
    _fill(ring, 5)
    ring.poke(ProducerZone, committed=3)  # it lags, after a kill
    follower = Follower(ring.fd, at_end=True)
    assert follower.take(1 << 20) is None
    _fill(ring, 2)
    taken = _take(follower)
    assert (taken.seq_before, taken.missed) == (5, 0)
    assert _seqs(taken) == [6, 7]


def test_released_records_are_read_while_they_are_there(
    ring: RingBuilder, follower: Follower
) -> None:
    """A collector that settles at once takes nothing away from an observer."""
    consumer = Consumer(ring.open())
    seqs: list[int] = []
    for _ in range(20):
        _fill(ring, 30)
        _release(consumer)
        while (taken := follower.take(1 << 20)) is not None:
            assert taken.missed == 0
            seqs += _seqs(taken)
    assert seqs == list(range(1, 601))
    assert ring.tail > 5 * ring.capacity


def test_who_is_overtaken_counts_what_was_missed(
    ring: RingBuilder, follower: Follower
) -> None:
    """It goes on where nothing has been released, and knows how many went by."""
    consumer = Consumer(ring.open())
    _fill(ring, 2)
    assert _seqs(_take(follower)) == [1, 2]
    for _ in range(3):
        _fill(ring, 40)
        _release(consumer)
    _fill(ring, 3)
    taken = _take(follower)
    assert (taken.missed, taken.seq_before) == (120, 122)
    assert _seqs(taken) == [123, 124, 125]
    assert follower.take(1 << 20) is None


def test_what_was_missed_is_told_also_when_nothing_follows(
    ring: RingBuilder, follower: Follower
) -> None:
    """And it is told once."""
    consumer = Consumer(ring.open())
    for _ in range(3):
        _fill(ring, 40)
        _release(consumer)
    taken = _take(follower)
    assert (taken.missed, taken.seq_last, taken.count) == (120, 120, 0)
    assert taken.events == b"\xdd\0\0\0\0"
    assert follower.take(1 << 20) is None


def test_what_may_be_overwritten_is_not_shown(
    ring: RingBuilder, follower: Follower
) -> None:
    """A record of the largest size may be under way behind the tail."""
    consumer = Consumer(ring.open())
    _fill(ring, 2)
    _take(follower)
    reach = ring.capacity // 4
    while ring.tail + reach < ring.capacity + 2 * 1100:
        _fill(ring, 1)
        _release(consumer)
    taken = _take(follower)
    assert taken.missed == ring.seq - 2
    assert taken.count == 0


def test_rejected_records_are_counted(ring: RingBuilder, follower: Follower) -> None:
    """Their neighbours are shown; nobody's numbers are disturbed."""
    ring.append()
    ring.append_array(encode_head(0, 2) + encode_fields(5))
    ring.append_array(b"\0" * 40)
    ring.append(9)
    ring.append(0, threshold=5, draw=4)
    ring.append(0, threshold=5, draw=5)
    taken = _take(follower)
    assert _seqs(taken) == [1, 6]
    assert taken.rejected == 4


def test_new_names_are_known(ring: RingBuilder, follower: Follower) -> None:
    """Names are read from an id on, and their events are no strangers."""
    assert follower.names(0) == ["a.b"]
    ring.append(ring.add_name("c.d"))
    assert _take(follower).count == 1
    assert follower.names(1) == ["c.d"]
    assert follower.names(2) == []
    assert follower.names(2**64 - 1) == []


def test_nothing_behind_the_final_tail_is_shown(
    ring: RingBuilder, follower: Follower
) -> None:
    """What a worker writes behind it, it counts as dropped."""
    _fill(ring, 1)
    ring.poke(ControlZone, final_tail=ring.tail)
    _fill(ring, 1)
    assert _seqs(_take(follower)) == [1]
    assert follower.take(1 << 20) is None
    assert Follower(ring.fd, at_end=True).take(1 << 20) is None


def test_following_leaves_no_trace(ring: RingBuilder) -> None:
    """No byte changes, no lock is taken, and the descriptor stays open."""
    _fill(ring, 3)
    before = os.pread(ring.fd, ring.file_size, 0)
    fd = ring.open(writable=False)
    follower = Follower(fd)
    assert _take(follower).count == 3
    follower.names(0)
    assert lock_holder(ring.fd) is None
    consumer = Consumer(ring.open())
    del follower
    os.fstat(fd)
    os.close(fd)
    consumer.close()
    assert os.pread(ring.fd, ring.file_size, 0) == before


def test_the_identity_is_shown(ring: RingBuilder, follower: Follower) -> None:
    """As judged at the start."""
    assert follower.identity["ring_id"] == ring.ring_id


def test_a_follower_that_cannot_begin_again_follows_nothing(
    follower: Follower,
) -> None:
    """Not even what it has followed before."""
    with pytest.raises(RingError):
        follower.__init__(-1)  # type: ignore[misc]
    with pytest.raises(ValueError, match="no ring"):
        follower.take(1)


# -- damage ---------------------------------------------------------------------


def _reason(follower: Follower) -> str:
    with pytest.raises(RingError) as caught:
        follower.take(1 << 20)
    return caught.value.reason


@pytest.mark.parametrize("at_end", [False, True])
def test_what_is_no_ring_is_refused(at_end: bool) -> None:
    """With the reason, and the follower has nothing to follow."""
    with RingBuilder(publish=False) as ring:
        with pytest.raises(RingError) as caught:
            Follower(ring.fd, at_end=at_end)
        assert caught.value.reason == "no_magic"
    empty = Follower.__new__(Follower)
    for call in (lambda: empty.take(1), lambda: empty.names(0), lambda: empty.identity):
        with pytest.raises(ValueError, match="no ring"):
            call()


@pytest.mark.parametrize(
    ("array", "length", "reason"),
    [
        (b"\0" * 64, 0, "record"),
        (b"\0" * 64, 2**32 - 1, "record"),
        (encode_head(0, 5) + encode_fields(), None, "sequence"),
    ],
)
def test_what_stands_before_damage_is_shown(
    ring: RingBuilder, follower: Follower, array: bytes, length: int, reason: str
) -> None:
    """The damage is reported by the next call, and by all that follow."""
    ring.append()
    ring.append_array(array, length=length)
    assert _seqs(_take(follower)) == [1]
    assert [_reason(follower), _reason(follower)] == [reason] * 2


@pytest.mark.parametrize("tail", [0, 36, 44])
def test_an_impossible_tail_is_reported(
    ring: RingBuilder, follower: Follower, tail: int
) -> None:
    """A tail goes neither back nor off its grid."""
    ring.append()
    _take(follower)
    ring.poke(ProducerZone, tail=tail)
    assert _reason(follower) == "positions"


@pytest.mark.parametrize("tail", [2**63, 2**64 - 8, 1 << 20])
def test_a_tail_out_of_reach_is_reported(
    ring: RingBuilder, follower: Follower, tail: int
) -> None:
    """Where no settlement explains how it came there, the ring is damaged."""
    ring.append()
    _take(follower)
    ring.poke(ProducerZone, tail=tail)
    assert _reason(follower) == "settlement"


def test_a_ring_that_is_cut_short_is_reported(
    ring: RingBuilder, follower: Follower
) -> None:
    """Nothing is mapped, so nothing dies."""
    ring.append()
    os.ftruncate(ring.fd, ring.data_offset)
    assert _reason(follower) == "truncated"
    os.ftruncate(ring.fd, 0)
    assert _reason(follower) == "truncated"


@pytest.mark.parametrize("budget", [-1, 2**64, "1", None])
def test_a_budget_is_a_natural_number(follower: Follower, budget: Any) -> None:
    """Anything else is the caller's mistake."""
    with pytest.raises((TypeError, OverflowError)):
        follower.take(budget)


# -- a live worker ------------------------------------------------------------------


def test_a_worker_and_its_collector_are_followed() -> None:
    """Beside a collector, over many rings of bytes and past a kill, events and
    what was missed add up to everything; without one, the rest stays there.
    """
    with (
        fresh_namespace() as namespace,
        Emitter(namespace, SHMTEL_RING_SIZE="64KiB") as worker,
    ):
        worker.emit(1)
        consumer = worker.consumer()
        fd = os.dup(consumer.fileno())
        follower = Follower(fd)
        seen = missed = 0
        for number in range(40):
            worker.emit(200)
            _release(consumer)
            if number % 8 == 7 and (taken := follower.take(1 << 20)) is not None:
                assert taken.seq_before == seen + missed + taken.missed
                seen, missed = seen + taken.count, missed + taken.missed
        worker.emit(100)
        worker.kill()
        while (taken := follower.take(1 << 20)) is not None:
            assert taken.rejected == 0
            seen, missed = seen + taken.count, missed + taken.missed
        assert seen + missed == 1 + 40 * 200 + 100
        assert missed > 0
        assert seen >= 100
        consumer.close()
        os.close(fd)
