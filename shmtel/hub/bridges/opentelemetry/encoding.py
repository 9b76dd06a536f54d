"""OTLP in bytes: the fields of a span or log record, put together as they come.

Building the messages of opentelemetry-proto costs 14 µs a span, most of it for the
objects of attributes. Protocol buffers may be written piece by piece: a message is
the concatenation of its fields. So pieces that come again are kept as bytes, the
fixed ones are packed by one call, and the rest is a length and a copy.

Numbers and wire types of fields are those of the official package, asked once.

Rules:
- nothing here knows of events;
- a piece is whole: it begins with its tag and ends with its last byte;
- values are foreign: what OTLP cannot say becomes text.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    KeyValue,
    KeyValueList,
)

KEPT_MAX = 8_192  # pieces in a cache
_KEPT_TEXT_MAX = 96  # characters of a text that may come again
_KEPT_INT_MAX = 1 << 16  # so may sizes and counts; durations do not
_SMALL = 0x80  # what fits a varint of one byte
_INT64 = 1 << 63
_UINT64_MASK = (1 << 64) - 1

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_WIRE_TYPES = {
    FieldDescriptor.TYPE_BOOL: _VARINT,
    FieldDescriptor.TYPE_DOUBLE: _FIXED64,
    FieldDescriptor.TYPE_ENUM: _VARINT,
    FieldDescriptor.TYPE_FIXED32: _FIXED32,
    FieldDescriptor.TYPE_FIXED64: _FIXED64,
    FieldDescriptor.TYPE_INT64: _VARINT,
}


def varint(value: int) -> bytes:
    """Return a number that is not negative, seven bits to a byte."""
    if value < _SMALL:
        return value.to_bytes()
    made = bytearray()
    while value >= _SMALL:
        made.append(value & 0x7F | _SMALL)
        value >>= 7
    made.append(value)
    return bytes(made)


def tag(message: type[Message], name: str) -> bytes:
    """Return what a field begins with; everything that has a length is delimited."""
    described = message.DESCRIPTOR.fields_by_name[name]
    return varint(described.number << 3 | _WIRE_TYPES.get(described.type, _DELIMITED))


def piece(tag: bytes, data: bytes) -> bytes:
    """Return a field that has a length."""
    size = len(data)
    return tag + (size.to_bytes() if size < _SMALL else varint(size)) + data


_KEY = tag(KeyValue, "key")
_VALUE = tag(KeyValue, "value")
_ITEM = tag(ArrayValue, "values")
_PAIR = tag(KeyValueList, "values")
_TEXT, _BOOL, _INT, _DOUBLE, _ARRAY, _MAP, _BYTES = (
    tag(AnyValue, f"{kind}_value")
    for kind in ("string", "bool", "int", "double", "array", "kvlist", "bytes")
)
_pack_double = struct.Struct("<d").pack


def any_value(value: object) -> bytes:
    """Return the content of an AnyValue: one field of it, or nothing for None."""
    make = _MAKERS.get(type(value))
    return piece(_TEXT, str(value).encode()) if make is None else make(value)


def key_value(key: str, value: object) -> bytes:
    """Return the content of a KeyValue."""
    return piece(_KEY, key.encode()) + piece(_VALUE, any_value(value))


def _int(value: int) -> bytes:
    if -_INT64 <= value < _INT64:
        return _INT + varint(value & _UINT64_MASK)
    return piece(_TEXT, str(value).encode())  # 2**63 and more: there is no such number


def _list(values: Iterable[object]) -> bytes:
    return piece(_ARRAY, b"".join(piece(_ITEM, any_value(value)) for value in values))


def _map(values: Mapping[object, object]) -> bytes:
    pairs = (piece(_PAIR, key_value(str(k), v)) for k, v in values.items())
    return piece(_MAP, b"".join(pairs))


# By type, for the types are few: those that msgpack has.
_MAKERS: Mapping[type, Any] = {
    type(None): lambda value: b"",
    bool: lambda value: _BOOL + varint(value),
    int: _int,
    float: lambda value: _DOUBLE + _pack_double(value),
    str: lambda value: piece(_TEXT, value.encode()),
    bytes: lambda value: piece(_BYTES, value),
    list: _list,
    dict: _map,
}


class Attributes:
    """Makes attributes of one kind of message, and keeps those that come again.

    Args:
        tag: what the field of the message begins with.
    """

    def __init__(self, tag: bytes) -> None:
        self._tag = tag
        # Apart by type, for True and 1.0 are equal to 1.
        self._texts: dict[tuple[str, str], bytes] = {}
        self._ints: dict[tuple[str, int], bytes] = {}
        self._keys: dict[str, bytes] = {}

    def add(self, pieces: list[bytes], values: Mapping[str, Any]) -> None:
        """Add a piece for each of some values."""
        texts, ints = self._texts, self._ints
        for item in values.items():
            kind = type(item[1])
            kept = None
            if kind is str:
                kept = texts.get(item)
            elif kind is int:
                kept = ints.get(item)
            pieces.append(self.make(*item) if kept is None else kept)

    def make(self, key: str, value: object) -> bytes:
        """Return one attribute."""
        content = self._key(key) + piece(_VALUE, any_value(value))
        made = piece(self._tag, content)
        if type(value) is str and len(value) <= _KEPT_TEXT_MAX:
            _keep(self._texts, (key, value), made)
        elif type(value) is int and 0 <= value < _KEPT_INT_MAX:
            _keep(self._ints, (key, value), made)
        return made

    def _key(self, key: str) -> bytes:
        made = self._keys.get(key)
        if made is None:
            made = piece(_KEY, key.encode())
            _keep(self._keys, key, made)
        return made


def _keep(cache: dict[Any, bytes], key: object, made: bytes) -> None:
    """Keep a piece; a cache that is full begins anew, which is cheap and rare."""
    if len(cache) >= KEPT_MAX:
        cache.clear()
    cache[key] = made
