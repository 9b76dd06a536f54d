"""What is an event's fields, and what is not: the core's answer, and an oracle's.

The oracle is the msgpack package with the rules of ring_layout.h said again.
"""

from typing import Any

import msgpack

from shmtel._ring import Consumer, RecordDecoder
from support.ring_builder import RingBuilder, encode_head

DEPTH_MAX = 8
CORRELATION_MAX = 128
FIELDS = tuple("abcdefgh")


class Slots:
    """What a decoder makes."""

    __slots__ = FIELDS

    def fields(self) -> list[Any]:
        """Return them in their order."""
        return [getattr(self, name) for name in FIELDS]


class Judge:
    """Puts fields into a ring and says whether its consumer delivers them.

    The decoder of the other end has to be of the same opinion, and to make of them
    what msgpack does.
    """

    def __init__(self, ring: RingBuilder) -> None:
        ring.add_name("a.b")
        self.ring = ring
        self.consumer = Consumer(ring.open())
        self.decoder = RecordDecoder(Slots, FIELDS)

    def accepts(self, fields: bytes) -> bool:
        """Drain one record of these fields."""
        seq = self.ring.seq + 1
        self.ring.append_array(encode_head(0, seq) + fields)
        drained = self.consumer.drain(0)
        assert drained is not None
        assert drained.seq_last == seq
        assert drained.delivered + sum(count[2] for count in drained.counts) == 1
        if drained.delivered:
            assert drained.events == b"\xdd\0\0\0\x01" + encode_head(0, seq) + fields
        self.consumer.settle(drained.position, seq, [seq] + [0] * 31)
        decoded = self._decode(encode_head(0, seq) + fields)
        assert (decoded is not None) == bool(drained.delivered), fields
        return bool(drained.delivered)

    def _decode(self, array: bytes) -> list[Any] | None:
        try:
            (record,) = self.decoder.decode(b"\xdd\0\0\0\x01" + array, 1)
        except ValueError:
            return None
        expected = msgpack.unpackb(array, strict_map_key=False)
        # As bytes: a NaN is not equal to itself, and 1 is to 1.0.
        assert msgpack.packb(record.fields()) == msgpack.packb(expected), array
        return expected


class Refused(Exception):
    """The oracle says no."""


def depth_of(value: object) -> int:
    """Count the containers in each other, this one included."""
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 0


def _pairs(pairs: list[tuple[object, object]]) -> dict[object, object]:
    if not all(isinstance(key, str) for key, _ in pairs):
        raise Refused
    return dict(pairs)


def _refuse(*_: object) -> object:
    raise Refused


def _decode(fields: bytes) -> list[Any]:
    unpacker = msgpack.Unpacker(
        strict_map_key=False,
        object_pairs_hook=_pairs,
        ext_hook=_refuse,
        max_buffer_size=1 << 20,
    )
    unpacker.feed(fields)
    values = [unpacker.unpack() for _ in range(4)]
    if unpacker.tell() != len(fields) or _has_extension(values):
        raise Refused
    return values


def _has_extension(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_has_extension, value))
    if isinstance(value, dict):
        return any(map(_has_extension, value.values()))
    return isinstance(value, msgpack.Timestamp)


def _is_bin8_of_16(fields: bytes, span: object) -> bool:
    return fields[-18:-16] == b"\xc4\x10" and span == fields[-16:]


def _follows_the_layout(fields: bytes) -> bool:
    """What the layout asks of the four fields, said again in Python."""
    correlation_id, measurements, metadata, span = _decode(fields)
    return (
        (
            correlation_id is None
            or (
                isinstance(correlation_id, str)
                and len(correlation_id.encode()) <= CORRELATION_MAX
            )
        )
        and isinstance(measurements, dict)
        and all(type(value) in (int, float) for value in measurements.values())
        and (metadata is None or isinstance(metadata, dict))
        and depth_of(metadata) <= DEPTH_MAX
        and (span is None or _is_bin8_of_16(fields, span))
    )


def is_event(fields: bytes) -> bool:
    """Say whether the fields, which follow the head of a record, are an event's."""
    try:
        return _follows_the_layout(fields)
    except (Refused, ValueError, msgpack.UnpackException, UnicodeDecodeError):
        return False
