"""Any bytes in a ring: taken, rejected or refused, never a crash."""

import ctypes
import os
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from shmtel._ring import STATUSES, Consumer, Follower, RingError, observe
from support.ring_builder import CAPACITY, RingBuilder, encode_fields, encode_head
from support.ring_layout import ControlZone, ProducerZone

_ARRAYS = st.tuples(
    st.sampled_from([0, 0, 0, 1, 2**16 - 1]),  # event id; only 0 is known
    st.sampled_from([0] * 8 + [1, -1, 2**40]),  # off the seq that it should have
    st.sampled_from([0, 0, 0, 1]),  # threshold
    st.none() | st.text(max_size=20) | st.booleans(),  # correlation id
    st.binary(max_size=3),  # behind the fields
)
_NOISE = st.binary(max_size=80)
_START_SEQ = 100


def _records(pieces: list[Any]) -> bytes:
    """Frame the arrays and leave the noise as it is."""
    data = b""
    for seq, piece in enumerate(pieces, _START_SEQ + 1):
        if isinstance(piece, bytes):
            data += piece.ljust(-(-len(piece) // 8) * 8, b"\xbb")
            continue
        event_id, off, threshold, correlation_id, behind = piece
        head = encode_head(event_id, seq + off, threshold)
        data += _framed(head + encode_fields(correlation_id) + behind)
    return data


def _framed(array: bytes) -> bytes:
    header = len(array).to_bytes(4, "little") + bytes(4)
    return (header + array).ljust(-(-(len(array) + 8) // 8) * 8, b"\xaa")


def _write(ring: RingBuilder, start: int, data: bytes) -> None:
    """Let a ring hold some bytes from a position on, and know one name."""
    ring.add_name("a.b")
    ring.poke_slot(0, head=start, head_seq=_START_SEQ)
    ring.poke(ControlZone, head=start)
    ring.write_data(start, data)
    ring.poke(ProducerZone, tail=start + len(data))


def _exhaust(consumer: Consumer) -> tuple[int, int, str | None]:
    """Drain until the end or the damage; return delivered, counted, reason."""
    delivered = counted = 0
    try:
        while (drained := consumer.drain(1)) is not None:
            _check_events(drained.events, drained.delivered)
            delivered += drained.delivered
            counted += sum(count[2] for count in drained.counts)
            assert drained.seq_last == consumer.cursor_seq
            assert drained.seq_last == _START_SEQ + delivered + counted
            if drained.wants_names:
                return delivered, counted, "wants_names"
    except RingError as error:
        return delivered, counted, error.reason
    return delivered, counted, None


def _check_events(data: bytes, count: int) -> None:
    events = msgpack.unpackb(data, strict_map_key=False)
    assert len(events) == count
    assert [len(event) for event in events] == [8] * count


def _follow(fd: int, *, at_end: bool = False) -> tuple[int, int, str | None]:
    """Follow until the end or the damage; return events, rejected, reason."""
    events = rejected = 0
    try:
        follower = Follower(fd, at_end=at_end)
        for _ in range(2 * CAPACITY // 40):
            if (taken := follower.take(1)) is None:
                return events, rejected, None
            _check_events(taken.events, taken.count)
            events, rejected = events + taken.count, rejected + taken.rejected
            assert taken.count + taken.rejected == taken.seq_last - taken.seq_before
    except RingError as error:
        return events, rejected, error.reason
    raise AssertionError("it goes on for ever")


@given(
    st.lists(_ARRAYS, max_size=12) | st.lists(_ARRAYS | _NOISE, max_size=12),
    st.integers(0, CAPACITY // 8),
)
@settings(deadline=None)
def test_any_bytes_in_the_data_zone(pieces: list[Any], start: int) -> None:
    """Each record is delivered or counted, until the ring ends or is damaged."""
    data = _records(pieces)
    start = CAPACITY + start * 8
    with RingBuilder() as ring:
        _write(ring, start, data)
        consumer = Consumer(ring.open())
        delivered, counted, reason = _exhaust(consumer)
        taken = consumer.cursor - start
        assert reason in (None, "record", "sequence")
        assert (reason is None) == (taken == len(data))
        assert 40 * (delivered + counted) <= taken
        assert _follow(ring.fd) == (delivered, counted, reason)
        consumer.rewind()
        if reason is None:
            assert consumer.skip_to(_START_SEQ + delivered + counted)
        consumer.close()


@given(
    st.lists(_ARRAYS | _NOISE, max_size=12),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=2),
    st.integers(0, 3),
    st.booleans(),
)
@settings(deadline=None)
def test_any_bytes_under_any_policy(
    pieces: list[Any], words: list[int], kind: int, is_on: bool
) -> None:
    """The judgement counts what it leaves out, and the frames stay as they are."""
    data = _records(pieces)
    with RingBuilder() as ring:
        _write(ring, CAPACITY, data)
        words = [word for word in words if not 0xFFFFFFEF < word < 0xFFFFFFFD]
        consumer = Consumer(ring.open())
        before = _exhaust(consumer)
        consumer.close()
        consumer = Consumer(ring.open())
        consumer.set_judgement(
            is_on=is_on, words=words, kinds=bytes([kind]) * len(words)
        )
        after = _exhaust(consumer)
        assert after[0] <= before[0]
        if after[2] != "wants_names":
            assert sum(before[:2]) == sum(after[:2])
            assert before[2] == after[2]
        consumer.close()


@given(
    st.lists(st.tuples(st.integers(0, 24_575), st.binary(min_size=1, max_size=9))),
    st.lists(st.tuples(st.integers(0, 24_575), st.binary(min_size=1, max_size=9))),
)
@settings(deadline=None)
def test_any_bytes_in_the_other_zones(
    before: list[tuple[int, bytes]], after: list[tuple[int, bytes]]
) -> None:
    """Whatever is written over identity, counters, control and names, before or
    after attach, ends in an answer or in a RingError with a known reason.
    """
    with RingBuilder() as ring:
        for number in range(4):
            ring.append(ring.add_name(f"event.{number}"))
        for offset, data in before:
            ring.write(offset, data)
        _answers(lambda: observe(ring.fd))
        fd = ring.open()
        consumer = _answers(lambda: Consumer(fd))
        if consumer is None:
            os.close(fd)
            return
        for offset, data in after:
            ring.write(offset, data)
        for call in (
            consumer.tail,
            lambda: consumer.drain(1 << 20),
            lambda: consumer.names(0),
            consumer.counters,
            lambda: consumer.set_word(0, 1),
            consumer.rewind,
            lambda: consumer.skip_to(consumer.cursor_seq + 1),
            lambda: _follow(ring.fd),
            lambda: _follow(ring.fd, at_end=True),
            lambda: Follower(ring.fd).names(0),
        ):
            _answers(call)
        consumer.close()


@given(
    st.lists(_ARRAYS | _NOISE, min_size=1, max_size=8),
    st.lists(
        st.tuples(
            st.sampled_from(["head", "tail", "slot", "data", "take"]),
            st.integers(0, 2**64 - 1) | st.integers(0, 4 * CAPACITY),
        ),
        max_size=12,
    ),
    st.booleans(),
)
@settings(deadline=None)
def test_a_ring_that_changes_under_a_follower(
    pieces: list[Any], changes: list[tuple[str, int]], at_end: bool
) -> None:
    """Positions that jump, settlements that lie: an answer or a known reason."""
    data = _records(pieces)
    with RingBuilder() as ring:
        ring.add_name("a.b")
        ring.write_data(0, data)
        ring.poke(ProducerZone, tail=len(data))
        follower = Follower(ring.fd, at_end=at_end)
        for change, value in [*changes, ("take", 0)]:
            match change:
                case "head":
                    ring.poke(ControlZone, head=value)
                case "tail":
                    ring.poke(ProducerZone, tail=value - value % 8)
                case "slot":
                    head = value - value % 8
                    totals = (value % 100, *[0] * 31)
                    ring.poke_slot(
                        0,
                        head=head,
                        head_seq=totals[0],
                        settled_seq=totals[0],
                        totals=(ctypes.c_uint64 * 32)(*totals),
                    )
                case "data":
                    ring.write_data(value % CAPACITY, data)
                case "take":
                    taken = _answers(lambda: follower.take(1))
                    if taken is not None:
                        _check_events(taken.events, taken.count)


def _answers(call: Any) -> Any:
    try:
        return call()
    except RingError as error:
        _ = STATUSES[error.reason]
        return None
