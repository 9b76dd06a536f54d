"""Any bytes as the arguments of an emit, for the fuzzing of the encoder.

A byte chooses a kind, those behind it a value: every kind of value that an
application might pass, plain or not, nested, huge, or with code that raises. An
input always makes the same arguments, and a change here makes the corpus another.
"""

import struct
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

_NAME_MAX = 255


class _Text(str):
    pass


class _Whole(int):
    pass


class _Real(float):
    pass


class _Map(dict[Any, Any]):
    pass


class _Index:
    def __init__(self, value: int) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value


class _Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __float__ = __index__ = __repr__ = __str__  # type: ignore[assignment]


class _Bytes:
    """Takes an input apart; behind its end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken.ljust(size, b"\0")

    def byte(self) -> int:
        return self.take(1)[0]

    def is_empty(self) -> bool:
        return self._at >= len(self._data)

    def text(self) -> str:
        """Short text of any characters, surrogates too."""
        size = self.byte() % 40
        return self.take(size).decode("utf-8", "surrogateescape")

    def long_text(self) -> str:
        """One character of each width in memory, again and again."""
        character = chr(int.from_bytes(self.take(3), "big") % 0x110000)
        return character * (int.from_bytes(self.take(2), "big") % 20_000)

    def whole(self) -> int:
        width = self.byte() % 12 + 1
        return int.from_bytes(self.take(width), "big", signed=self.byte() % 2 == 1)

    def real(self) -> float:
        number: float = struct.unpack("<d", self.take(8))[0]
        return number

    def items(self, depth: int) -> list[Any]:
        count = self.byte() % 8
        return [_value(self, depth + 1) for _ in range(count) if not self.is_empty()]

    def many(self) -> list[Any]:
        return [self.byte()] * int.from_bytes(self.take(2), "big")

    def mapping(self, depth: int) -> dict[Any, Any]:
        count = self.byte() % 8
        return {
            self.key(): _value(self, depth + 1)
            for _ in range(count)
            if not self.is_empty()
        }

    def key(self) -> object:
        kind = self.byte()
        return self.text() if kind < 240 else (None, _Text("k"), 7, b"k")[kind % 4]

    def numbers(self) -> dict[Any, Any]:
        count = self.byte() % 20
        return {
            self.key(): _NUMBERS[self.byte() % len(_NUMBERS)](self)
            for _ in range(count)
            if not self.is_empty()
        }

    def nest(self, depth: int) -> Any:
        inner = _value(self, depth + 1)
        for _ in range(self.byte() % 12):
            inner = {"": inner} if self.byte() % 2 else [inner]
        return inner


_NUMBERS: tuple[Callable[[_Bytes], Any], ...] = (
    _Bytes.whole,
    _Bytes.byte,
    _Bytes.real,
    lambda data: data.byte() % 2 == 0,
    lambda data: _Whole(data.whole()),
    lambda data: _Real(data.real()),
    lambda data: _Index(data.whole()),
    lambda data: Fraction(data.byte(), data.byte() + 1),
    lambda data: (None, "1", _Broken(), Decimal("NaN"))[data.byte() % 4],
)
_LEAVES: tuple[Callable[[_Bytes], Any], ...] = (
    *_NUMBERS,
    _Bytes.text,
    _Bytes.long_text,
    lambda data: _Text(data.text()),
    lambda data: data.take(data.byte()),
    lambda data: bytes(int.from_bytes(data.take(2), "big") % 20_000),
    lambda data: bytearray(data.take(data.byte() % 8)),
    lambda data: memoryview(data.take(data.byte() % 8)),
    lambda data: {data.byte(), data.byte()},
    lambda data: data.many(),
    lambda data: (None, True, ..., _Broken())[data.byte() % 4],
)
_CONTAINERS: tuple[Callable[[_Bytes, int], Any], ...] = (
    _Bytes.mapping,
    _Bytes.items,
    _Bytes.nest,
    lambda data, depth: tuple(data.items(depth)),
    lambda data, depth: _Map(data.mapping(depth)),
)


def _value(data: _Bytes, depth: int) -> Any:
    """Make any value; a small first byte makes a leaf."""
    kind = data.byte()
    if kind < 160 or depth > 40:
        return _LEAVES[kind % len(_LEAVES)](data)
    return _CONTAINERS[kind % len(_CONTAINERS)](data, depth)


def _name(data: _Bytes) -> object:
    """Few names: a ring has room for 1,024 of them."""
    names = ("a.b", "é.ü", "\U0001f600", "x" * _NAME_MAX, _Text("sub.class"))
    odd = ("", "x" * (_NAME_MAX + 1), "é" * 128, "\ud800", None, 7, b"a.b", _Broken())
    kind = data.byte()
    return names[kind % len(names)] if kind < 240 else odd[kind % len(odd)]


def _correlation(data: _Bytes) -> object:
    kind = data.byte()
    if kind < 128:
        return None
    if kind < 160:
        return _value(data, 0)
    return data.text() * (1 + kind % 5)


class Arguments(NamedTuple):
    """The four of them."""

    name: Any
    measurements: Any
    metadata: Any
    correlation_id: Any


def arguments_of(input_: bytes) -> Arguments:
    """Make the four arguments."""
    data = _Bytes(input_)
    kind = data.byte()
    measurements = data.numbers() if kind < 240 else _value(data, 0)
    metadata = None if kind % 8 == 0 else data.mapping(0)
    if kind % 64 == 63:
        metadata = _value(data, 0)
    return Arguments(_name(data), measurements, metadata, _correlation(data))
