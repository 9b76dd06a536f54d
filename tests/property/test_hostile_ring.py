"""Any bytes in a ring: taken, rejected or refused, never a crash."""

import os
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from shmtel._ring import STATUSES, Consumer, RingError, observe
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


def _exhaust(consumer: Consumer) -> tuple[int, int, str | None]:
    """Drain until the end or the damage; return delivered, counted, reason."""
    delivered = counted = 0
    try:
        while (drained := consumer.drain(1)) is not None:
            events = msgpack.unpackb(drained.events, strict_map_key=False)
            assert len(events) == drained.delivered
            assert [len(event) for event in events] == [8] * len(events)
            delivered += drained.delivered
            counted += sum(count[2] for count in drained.counts)
            assert drained.seq_last == consumer.cursor_seq
            assert drained.seq_last == _START_SEQ + delivered + counted
    except RingError as error:
        return delivered, counted, error.reason
    return delivered, counted, None


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
        ring.add_name("a.b")
        ring.poke_slot(0, head=start, head_seq=_START_SEQ)
        ring.poke(ControlZone, head=start)
        ring.write_data(start, data)
        ring.poke(ProducerZone, tail=start + len(data))
        consumer = Consumer(ring.open())
        delivered, counted, reason = _exhaust(consumer)
        taken = consumer.cursor - start
        assert reason in (None, "record", "sequence")
        assert (reason is None) == (taken == len(data))
        assert 40 * (delivered + counted) <= taken
        consumer.rewind()
        if reason is None:
            assert consumer.skip_to(_START_SEQ + delivered + counted)
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
        ):
            _answers(call)
        consumer.close()


def _answers(call: Any) -> Any:
    try:
        return call()
    except RingError as error:
        _ = STATUSES[error.reason]
        return None
