"""The core's encoder and its judge of msgpack, against the msgpack package.

`encode` makes the arguments of an emit out of any bytes (drawn_arguments.py),
emits them into the ring of this process, and compares what the consumer takes
with what msgpack makes of the same values. `decode` takes any bytes for the
fields of a record, and compares the judge with the oracle.

Both raise AssertionError where the two sides disagree. fuzz_codec.c calls them
with inputs that follow coverage; run as a program this reads saved ones again:
`codec_fuzz.py encode FILE...`.
"""

import functools
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
from drawn_arguments import Arguments, arguments_of

import shmtel
from shmtel.plain import make_plain
from support.msgpack_oracle import CORRELATION_MAX, DEPTH_MAX, Judge, is_event
from support.own_ring import RingReader, make_own_ring
from support.ring_builder import RingBuilder

_INTEGERS = range(-(1 << 63), 1 << 64)  # that msgpack has forms for
_RECORD_MAX = 16 << 10  # a quarter of the ring
_FIELDS_MAX = _RECORD_MAX - 8 - 27  # header and head
_NAME_MAX = 255
_SLACK = 16  # what fits by less than this may be refused: room is asked for roughly

# -- what has to come out of them -----------------------------------------------


class _NotPlain(Exception):
    """What the core has made plain before it goes on."""

    def __init__(self, is_near: bool = False) -> None:
        self.is_near = is_near  # to the bound, and might be too large before that


class _TooMuch(Exception):
    """More than any record holds."""


class _Packer:
    """Packs what is plain, in the order and within the bounds of the encoder."""

    def __init__(self) -> None:
        self.packed = bytearray()
        self._pack = msgpack.Packer(autoreset=True)

    def put(self, value: Any, depth: int = 0) -> None:
        if type(value) is dict:
            self._head(self._pack.pack_map_header(len(value)), depth)
            for key, item in value.items():
                self._put_key(key)
                self.put(item, depth + 1)
        elif type(value) in (list, tuple):
            self._head(self._pack.pack_array_header(len(value)), depth)
            for item in value:
                self.put(item, depth + 1)
        else:
            self._put_scalar(value)

    def put_numbers(self, numbers: Any) -> None:
        if type(numbers) is not dict:
            raise _NotPlain
        self._add(self._pack.pack_map_header(len(numbers)))
        for key, number in numbers.items():
            self._put_key(key)
            if type(number) not in (int, float):
                raise _NotPlain
            self._put_scalar(number)

    def _head(self, head: bytes, depth: int) -> None:
        if depth >= DEPTH_MAX:
            raise _NotPlain
        self._add(head)

    def _put_key(self, key: Any) -> None:
        if type(key) is not str:
            raise _NotPlain
        self._put_scalar(key)

    def _put_scalar(self, value: Any) -> None:
        if type(value) not in (str, int, float, bool, bytes, type(None)):
            raise _NotPlain
        if type(value) is int and value not in _INTEGERS:
            raise _NotPlain
        try:
            self._add(self._pack.pack(value))
        except UnicodeEncodeError:
            raise _NotPlain from None

    def _add(self, packed: bytes) -> None:
        self.packed += packed
        if len(self.packed) > _FIELDS_MAX:
            raise _TooMuch


class _Expected(NamedTuple):
    """An event, or the reasons for which it may be dropped; both near a bound."""

    name: str = ""
    fields: bytes | None = None
    reasons: tuple[str, ...] = ()


def _pack(arguments: Arguments) -> _Expected:
    """Say what becomes of arguments as they are, or raise _NotPlain."""
    name, measurements, metadata, correlation_id = arguments
    if type(name) is not str or type(correlation_id) not in (str, type(None)):
        raise _NotPlain
    try:
        name_length, id_length = (
            len(name.encode()),
            len((correlation_id or "").encode()),
        )
    except UnicodeEncodeError:
        raise _NotPlain from None
    if not 1 <= name_length <= _NAME_MAX or id_length > CORRELATION_MAX:
        return _Expected(reasons=("invalid",))
    if metadata is not None and type(metadata) is not dict:
        metadata = ...  # a scalar or a list is no map of metadata
    packer = _Packer()
    try:
        packer.put(correlation_id)
        packer.put_numbers(measurements)
        packer.put(metadata)
        packer.put(None)
    except _TooMuch:
        return _Expected(reasons=("too_large",))
    except _NotPlain:
        raise _NotPlain(len(packer.packed) > _FIELDS_MAX - _SLACK) from None
    is_near = len(packer.packed) > _FIELDS_MAX - _SLACK
    return _Expected(name, bytes(packer.packed), ("too_large",) if is_near else ())


def _expect(arguments: Arguments) -> _Expected:
    try:
        return _pack(arguments)
    except _NotPlain as refusal:
        expected = _expect_plain(make_plain(*arguments))
        reasons = ("too_large",) if refusal.is_near else ()
        return expected._replace(reasons=expected.reasons + reasons)


def _expect_plain(arguments: tuple[Any, ...] | None) -> _Expected:
    """The same of what was made plain; twice is once too often."""
    try:
        if arguments is not None:
            return _pack(Arguments(*arguments))
    except _NotPlain:
        pass
    return _Expected(reasons=("invalid",))


# -- both sides -------------------------------------------------------------------


@functools.cache
def _own_reader() -> RingReader:
    os.environ["SHMTEL_RING_SIZE"] = "64KiB"
    ring = make_own_ring()
    ring.events()
    reader = ring.reader
    ring.remove()
    return reader


def _drain(reader: RingReader) -> bytes | None:
    drained = reader.consumer.drain(0)
    if drained is None:
        return None
    assert drained.delivered == 1, drained.counts
    assert drained.events[:5] == b"\xdd\0\0\0\1"
    reader.totals[0] += 1
    reader.consumer.settle(drained.position, drained.seq_last, reader.totals)
    return bytes(drained.events[5:])


def _dropped() -> dict[str, int]:
    dropped = shmtel.stats()["dropped"]
    return {reason: count for reason, count in dropped.items() if count}


def encode(data: bytes) -> None:
    """Emit what the bytes say, and compare the record with what msgpack makes."""
    reader = _own_reader()
    arguments = arguments_of(data)
    expected = _expect(arguments)
    before = _dropped()
    shmtel.emit(*arguments)
    array = _drain(reader)
    added = {
        reason: count - before.get(reason, 0) for reason, count in _dropped().items()
    }
    reasons = [reason for reason, count in added.items() if count]
    if array is None:
        assert sum(added.values()) == 1, added
        assert reasons[0] in expected.reasons, (reasons, expected, arguments)
        return
    assert not reasons, (reasons, arguments)
    assert array[27:] == expected.fields, (array, expected, arguments)
    decoded = msgpack.unpackb(array, strict_map_key=False)
    assert reader.consumer.names(0)[decoded[0]] == expected.name
    assert decoded[1] == reader.consumer.cursor_seq
    packed = b"".join(map(msgpack.packb, decoded[4:]))
    assert packed == expected.fields, (packed, expected)


@functools.cache
def _judge() -> Judge:
    ring = RingBuilder(256 << 10)
    judge = Judge(ring)
    os.unlink(ring.path)
    return judge


def decode(data: bytes) -> None:
    """Take the bytes for a record's fields; judge and oracle have to agree."""
    fields = data[:16_000].ljust(4, b"\xc0")
    assert _judge().accepts(fields) == is_event(fields), fields


def main(function: str, *paths: str) -> None:
    """Read saved inputs again."""
    for path in paths:
        {"encode": encode, "decode": decode}[function](Path(path).read_bytes())
    print(f"{len(paths)} inputs")


if __name__ == "__main__":
    main(*sys.argv[1:])
