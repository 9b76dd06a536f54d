"""A ring that overwrites: what readers take, what they miss, and that they count it."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgpack
import pytest

from shmtel import _ring
from shmtel._ring import Consumer, Follower, RingError
from support.ring_builder import CAPACITY, RingBuilder
from support.ring_layout import ControlZone, Identity, ProducerZone

OVERWRITTEN = 18
UNKNOWN = 2**32 - 1
MOST = CAPACITY - CAPACITY // 4  # in use after a producer has made room


class FlightRecorder(RingBuilder):
    """A ring whose producer evicts as ours does: before it writes, until all fits."""

    def __init__(self) -> None:
        super().__init__()
        self.poke(Identity, overflow=_ring.RING_OVERWRITE)
        self.starts = [0]  # of each record, and where the next one comes
        self.oldest = 0

    def append_array(
        self, array: bytes, *, draw: int = 0, length: int | None = None
    ) -> int:
        """Evict the oldest records, then commit one."""
        self.oldest = next(s for s in self.starts if self.tail - s <= MOST)
        self.poke(ProducerZone, oldest=self.oldest)
        self.starts.append(super().append_array(array, draw=draw, length=length))
        return self.tail

    @property
    def seq_of_oldest(self) -> int:
        """The seq of the record there."""
        return self.starts.index(self.oldest) + 1

    def emit(self, count: int) -> None:
        """Commit events of very different sizes, each with its number."""
        for number in range(self.seq + 1, self.seq + 1 + count):
            self.append(0, None, {"n": number}, {"text": "x" * (number * 37 % 2000)})


@pytest.fixture
def ring() -> Iterator[FlightRecorder]:
    """A ring that overwrites and knows the event `a.b`."""
    with FlightRecorder() as recorder:
        recorder.add_name("a.b")
        yield recorder


@pytest.fixture
def consumer(ring: FlightRecorder) -> Iterator[Consumer]:
    """Its consumer, attached before the first event."""
    made = Consumer(ring.open())
    yield made
    made.close()


class Taken:
    """What readers took: the numbers, and how many were overwritten unread."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.overwritten = 0

    def add(self, drained: "_ring.Drained") -> None:
        """Add a pass, whose counts and events fill the seqs between its two."""
        arrays = msgpack.unpackb(drained.events)
        counts = [tuple(count) for count in drained.counts]
        assert all(count[:2] == (UNKNOWN, OVERWRITTEN) for count in counts)
        lost = sum(count[2] for count in counts)
        assert lost + len(arrays) == drained.seq_last - drained.seq_before
        assert [array[1] for array in arrays] == [array[5]["n"] for array in arrays]
        self.numbers += [array[1] for array in arrays]
        self.overwritten += lost

    def totals(self) -> list[int]:
        """Return them as a settlement has them."""
        totals = [0] * 32
        totals[0], totals[OVERWRITTEN] = len(self.numbers), self.overwritten
        return totals


def drain(consumer: Consumer, taken: Taken, budget: int = 1 << 20) -> Taken:
    """Take and settle all that is there."""
    while (drained := consumer.drain(budget)) is not None:
        taken.add(drained)
        consumer.settle(drained.position, drained.seq_last, taken.totals())
    return taken


def test_the_newest_are_there_and_the_others_counted(
    ring: FlightRecorder, consumer: Consumer
) -> None:
    """A consumer that comes late takes what was left, and counts what was not."""
    ring.emit(500)
    taken = drain(consumer, Taken())
    assert taken.numbers == list(range(ring.seq_of_oldest, 501))
    assert taken.overwritten == ring.seq_of_oldest - 1 > 400


def test_a_consumer_that_is_overtaken_goes_on(
    ring: FlightRecorder, consumer: Consumer
) -> None:
    """Between what it took and the oldest that is there, each event is counted."""
    taken = Taken()
    for _ in range(20):
        ring.emit(10)
        drained = consumer.drain(0)
        assert drained is not None
        taken.add(drained)
        consumer.settle(drained.position, drained.seq_last, taken.totals())
        ring.emit(90)
    drain(consumer, taken)
    assert len(taken.numbers) + taken.overwritten == ring.seq == 2000
    assert all(before < after for before, after in pairwise(taken.numbers))
    assert taken.numbers[-1] == 2000


def test_a_consumer_that_keeps_up_loses_nothing(
    ring: FlightRecorder, consumer: Consumer
) -> None:
    """What is drained in time is delivered, also where nobody has released it."""
    taken = Taken()
    for _ in range(100):
        ring.emit(10)
        while (drained := consumer.drain(1 << 20)) is not None:
            taken.add(drained)
    assert taken.numbers == list(range(1, 1001))
    assert taken.overwritten == 0


def test_the_next_consumer_starts_at_the_oldest(ring: FlightRecorder) -> None:
    """Head and settlement far behind the ring are where its accounts go on."""
    first = Consumer(ring.open())
    ring.emit(5)
    taken = drain(first, Taken())
    first.close()
    ring.emit(1000)
    second = Consumer(ring.open())
    assert (second.cursor_seq, second.settled_seq, second.head) == (5, 5, first.head)
    drain(second, taken)
    second.close()
    assert taken.overwritten == ring.seq_of_oldest - 6
    assert len(taken.numbers) + taken.overwritten == 1005


def test_what_was_drained_and_is_gone_counts_when_it_is_drained_again(
    ring: FlightRecorder, consumer: Consumer
) -> None:
    """A rewind behind the oldest finds what it took before overwritten."""
    ring.emit(20)
    assert consumer.drain(1 << 20) is not None
    ring.emit(1000)
    consumer.rewind()
    taken = drain(consumer, Taken())
    assert taken.numbers[0] == ring.seq_of_oldest
    assert len(taken.numbers) + taken.overwritten == 1020


@pytest.mark.parametrize("seq", [7, 900])
def test_skipping_to_a_seq_that_is_gone(
    ring: FlightRecorder, consumer: Consumer, seq: int
) -> None:
    """Whoever has it does not miss it; what came between it and the oldest is lost."""
    ring.emit(1000)
    assert seq < ring.seq_of_oldest
    assert consumer.skip_to(seq) is True
    assert consumer.cursor_seq == seq
    totals = [seq] + [0] * 31
    consumer.settle(consumer.cursor, seq, totals)
    drained = consumer.drain(1 << 20)
    assert drained is not None
    assert drained.seq_before == seq
    lost = ring.seq_of_oldest - 1 - seq
    assert list(drained.counts) == [(UNKNOWN, OVERWRITTEN, lost)]


def test_skipping_to_a_seq_that_is_there(
    ring: FlightRecorder, consumer: Consumer
) -> None:
    """Within what is left a seq is found, and none behind the end."""
    ring.emit(1000)
    assert consumer.skip_to(1001) is False
    assert consumer.skip_to(ring.seq_of_oldest - 1) is True
    assert consumer.skip_to(999) is True
    drained = consumer.drain(1 << 20)
    assert drained is not None
    assert (drained.seq_before, drained.delivered) == (999, 1)


def test_observers_see_what_is_left(ring: FlightRecorder) -> None:
    """An observation tells how much is gone; a follower begins with what is not."""
    ring.emit(1000)
    seen = _ring.observe(ring.fd)
    assert seen["oldest"] == ring.oldest
    assert seen["overwritten"] == ring.seq_of_oldest - 1
    follower = Follower(ring.fd, at_end=False)
    missed, numbers = follow(follower)
    assert (missed, numbers) == (
        ring.seq_of_oldest - 1,
        list(range(ring.seq_of_oldest, 1001)),
    )
    ring.emit(1000)
    missed, numbers = follow(follower)
    assert missed == ring.seq_of_oldest - 1001
    assert numbers == list(range(ring.seq_of_oldest, 2001))


def follow(follower: Follower) -> tuple[int, list[int]]:
    """Follow to the end; return how many were missed, and the numbers taken."""
    missed, numbers = 0, []
    while (taken := follower.take(1 << 20)) is not None:
        missed += taken.missed
        numbers += [array[1] for array in msgpack.unpackb(taken.events)]
    return missed, numbers


def test_a_record_that_passes_the_end_of_the_zone(
    ring: FlightRecorder, consumer: Consumer
) -> None:
    """The oldest may stand across the end of the data zone."""
    while not (ring.oldest % CAPACITY > CAPACITY - 40 and ring.oldest > CAPACITY):
        ring.append(0, None, {"n": ring.seq + 1}, {"text": "x" * (ring.seq % 7)})
    taken = drain(consumer, Taken())
    assert taken.numbers[0] == ring.seq_of_oldest
    assert _ring.observe(ring.fd)["overwritten"] == ring.seq_of_oldest - 1


def lie(ring: FlightRecorder, **fields: Any) -> None:
    """Let the ring say what no producer says."""
    ring.poke(ProducerZone, **fields)


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (lambda ring: ring.tail + 8, "positions"),
        (lambda ring: ring.tail, "positions"),
        (lambda ring: ring.tail - 16, "positions"),
        (lambda ring: ring.oldest + 4, "positions"),
        (lambda ring: ring.tail - CAPACITY - 8, "positions"),
        (lambda ring: ring.oldest + 8, "sequence"),
    ],
    ids=["ahead", "all", "nearly all", "unaligned", "too far back", "in a record"],
)
def test_an_oldest_that_cannot_be(
    ring: FlightRecorder, consumer: Consumer, offset: Any, reason: str
) -> None:
    """A place that no producer would name ends the reading, with its reason."""
    ring.emit(1000)
    lie(ring, oldest=offset(ring))
    with pytest.raises(RingError) as caught:
        consumer.drain(1 << 20)
    assert caught.value.reason == reason
    with pytest.raises(RingError) as caught:
        follow(Follower(ring.fd, at_end=False))
    assert caught.value.reason == reason


def test_an_oldest_that_goes_back(ring: FlightRecorder, consumer: Consumer) -> None:
    """What was given up does not come back."""
    ring.emit(1000)
    assert consumer.drain(0) is not None
    lie(ring, oldest=ring.starts[ring.seq_of_oldest - 3])
    with pytest.raises(RingError, match="contradict"):
        consumer.tail()


def test_a_seq_that_leaps(ring: FlightRecorder, consumer: Consumer) -> None:
    """More events than could have stood in the bytes that are gone were none."""
    ring.emit(5)
    taken = drain(consumer, Taken())
    ring.seq = 10**9
    ring.emit(200)
    with pytest.raises(RingError, match="seq"):
        drain(consumer, taken)


def test_head_may_be_far_behind_only_where_nobody_waits_for_it(
    ring: FlightRecorder,
) -> None:
    """A ring that drops has its head within a ring of the tail; this one need not."""
    ring.emit(1000)
    _ring.observe(ring.fd)
    ring.poke(Identity, overflow=_ring.RING_DROP)
    with pytest.raises(RingError) as caught:
        _ring.observe(ring.fd)
    assert caught.value.reason == "positions"


def test_a_head_that_is_ahead_of_the_tail(ring: FlightRecorder) -> None:
    """No mode lets what was never written be released."""
    ring.emit(10)
    ring.poke(ControlZone, head=ring.tail + 8)
    with pytest.raises(RingError) as caught:
        Consumer(ring.open())
    assert caught.value.reason == "positions"
