"""The rows of docs/reference/values.md as values, and its words as expectations.

`ROWS` has examples for each row of the table, in its order; `RULES` says what a
word of the table means for one of them. Both are complete: the test fails for a
row or a word that is in one place only.
"""

import array
import asyncio
import datetime
import decimal
import enum
import fractions
import io
import math
import pathlib
import uuid
from collections import OrderedDict, UserString, deque, namedtuple
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy

INVALID = object()
ABSENT = object()

Point = namedtuple("Point", "x y")


class Level(enum.IntEnum):
    """An enum that is an int."""

    HIGH = 7


class Mode(enum.IntFlag):
    """A flag that is an int."""

    READ = 1
    WRITE = 2


class Colour(enum.Enum):
    """An enum that is neither an int nor a text."""

    RED = "red"


class Access(enum.Flag):
    """A flag that is no int."""

    READ = 1
    WRITE = 2


class Word(enum.StrEnum):
    """An enum that is a text."""

    YES = "yes"


class LyingInt(int):
    """An int that says something else of itself."""

    def __str__(self) -> str:
        return "a lie"

    def __index__(self) -> int:
        raise RuntimeError

    __int__ = __float__ = __index__


class LyingFloat(float):
    """A float that cannot be asked."""

    def __float__(self) -> float:
        raise RuntimeError


class LyingStr(str):
    """A text that says something else of itself."""

    def __str__(self) -> str:
        return "a lie"

    def __len__(self) -> int:
        return -1

    def encode(self, *_: Any) -> bytes:
        """Raise."""
        raise RuntimeError


class Index:
    """Something that can count as an integer."""

    def __index__(self) -> int:
        return 9


class Measured:
    """Something that can count as a number, and prints its unit."""

    def __float__(self) -> float:
        return 1.5

    def __str__(self) -> str:
        return "1.5 m"


class Proxy:
    """Something that has every method of numbers, and is a text."""

    def __index__(self) -> int:
        raise TypeError

    __float__ = __index__

    def __str__(self) -> str:
        return "a proxy"


class Raising:
    """Something that raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class NoText:
    """Something whose text is none."""

    def __str__(self) -> str:
        return 17  # type: ignore[return-value]


class Frame:
    """Something like a table of a library that this project does not know."""

    dtype = "mixed"
    tolist = None

    def __str__(self) -> str:
        return "a b\n1 2"


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


def _nested(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


def _generator() -> Any:
    yield from "ab"


async def _coroutine() -> None:
    await asyncio.sleep(0)


_closed_coroutine = _coroutine()
_closed_coroutine.close()
_day = datetime.datetime(2024, 2, 29, 12, 30, 1, 5, datetime.UTC)

ROWS: list[tuple[str, list[Any]]] = [
    ("`None`", [None]),
    ("`bool`", [True, False]),
    ("`int` from -2**63 to 2**64 - 1",
     [0, -1, 127, 128, -(2**63), 2**63 - 1, 2**63, 2**64 - 1]),
    ("larger `int`", [2**64, -(2**63) - 1, 10**30, -(10**30), 2**400]),
    ("`int` of over 2,048 bits", [2**2048, -(10**5000)]),
    ("`float`, also NaN, infinities and -0.0",
     [0.0, -0.0, 1.5, 5e-324, 1e308, math.nan, math.inf, -math.inf]),
    ("`str`", ["a", "größe", "漢字 😀", "\0"]),
    ("`str` with lone surrogates", ["\ud800", "a\udfffb"]),
    ("`bytes`, `bytearray`, `memoryview`",
     [b"x", bytearray(b"xy"), memoryview(b"abcd")[::2], memoryview(b"ab")]),
    ("`bytes` that are no UTF-8", [b"\xff", bytearray(b"a\xfe")]),
    ("`list`, `tuple`, named tuple, `deque`, `array.array`",
     [[1, "a"], (1, (2,)), Point(1, 2.5), deque([1]), array.array("d", [0.5])]),
    ("`set`, `frozenset`, views of a `dict`",
     [{1}, frozenset({"a"}), {"k": 1}.keys(), {"k": 1}.values(), {"k": 1}.items()]),
    ("`dict` and other mappings",
     [{"a": 1}, OrderedDict(b=2), MappingProxyType({"c": 3}), {1: 2, "1": 3}]),
    ("containers in more than 8 levels, or in themselves", [_nested(20), _endless()]),
    ("subclass of `int`, `IntEnum`, `IntFlag`",
     [Level.HIGH, Mode.READ | Mode.WRITE, LyingInt(5)]),
    # Not one number twice: numpy asks what it is compared with, as keys of a dict are.
    ("subclass of `float`", [LyingFloat(4.5), numpy.float64(2.5)]),
    ("subclass of `str`, `StrEnum`", [Word.YES, LyingStr("text"), numpy.str_("n")]),
    ("`Enum`, `Flag`", [Colour.RED, Access.READ | Access.WRITE]),
    ("number or `bool_` of numpy",
     [numpy.int8(-3), numpy.uint64(2**64 - 1), numpy.float32(0.5), numpy.bool_(True),
      numpy.array(3)]),
    ("`datetime64`, `timedelta64` of numpy",
     [numpy.datetime64("2024-02-29T12:30:01"), numpy.timedelta64(5, "s"),
      numpy.datetime64("2024-02-29", "ns"), numpy.array([5], "m8[s]")]),
    ("array of numpy, up to 1,024 elements",
     [numpy.arange(3), numpy.eye(2), numpy.array([1.5]), numpy.array(["a", None])]),
    ("larger array, data frame", [numpy.arange(2000.0), Frame()]),
    ("`datetime`, `date`, `time`", [_day, _day.date(), _day.time()]),
    ("`timedelta`, `timezone`",
     [datetime.timedelta(days=1, seconds=2), datetime.timezone.utc]),  # noqa: UP017
    ("`Decimal`, `Fraction`",
     [decimal.Decimal("1.10"), decimal.Decimal("NaN"), fractions.Fraction(1, 3),
      decimal.Decimal("-1e999")]),
    ("`complex`", [1 + 2j, numpy.complex64(1j)]),
    ("`UUID`, path", [uuid.UUID(int=5), pathlib.PurePosixPath("/a/b")]),
    ("exception", [ValueError("no"), ValueError("")]),
    ("`range`, `UserString`", [range(10**12), UserString("text")]),
    ("generator, iterator, coroutine, file: not read",
     [_generator(), iter([1]), _closed_coroutine, io.StringIO()]),
    ("object with `__index__`", [Index()]),
    ("object with `__float__`", [Measured()]),
    ("any other object, class or function", [object(), int, math.sqrt, Proxy]),
    ("object whose `__str__` raises or returns no text", [Raising(), NoText()]),
]  # fmt: skip


def _items(value: Any) -> Any:
    """Return a container as msgpack knows it."""
    if isinstance(value, Mapping):
        keys = [key if isinstance(key, str) else str(key) for key in value]
        if len(set(keys)) < len(keys):  # the only such example
            return {"1": 2, "1_": 3}
        return dict(zip(keys, map(_items, value.values()), strict=True))
    if isinstance(value, list | tuple):
        return list(map(_items, value))
    return value


def _cut(value: Any) -> Any:
    """Return a list with text in place of what is too deep."""
    levels: Any = str(_nested(20 - 7))
    if value[0] is value:
        levels = "[" * 33 + "..." + "]" * 33
    for _ in range(7):
        levels = [levels]
    return levels


def _nearest_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _of_exception(value: Exception) -> str:
    return f"ValueError: {value}" if str(value) else "ValueError"


RULES: dict[str, Callable[[Any], Any]] = {
    "unchanged": lambda value: value,
    "`invalid`": lambda value: INVALID,
    "none": lambda value: ABSENT,
    "its text": str,
    "hexadecimal text": hex,
    "`1` or `0`": int,
    "nearest `float`": _nearest_float,
    r"`\ud800` for each": lambda text: text.encode(errors="backslashreplace").decode(),
    "`bytes`": bytes,
    "decoded as UTF-8": lambda value: bytes(value).decode(),
    r"`\xff` for each byte": lambda value: bytes(value).decode(
        "utf-8", "backslashreplace"
    ),
    "`list`": lambda value: _items(list(value)),
    "map": _items,
    "text at the last level": _cut,
    "the `int`": lambda value: 9 if isinstance(value, Index) else int.__add__(value, 0),
    "text of the `int`": lambda value: str(int.__add__(value, 0)),
    "the `float`": lambda value: float.__add__(value, 0.0),
    "the `str`": lambda value: str.__add__(value, ""),
    "what it holds": lambda value: value.item(),
    "number it holds": lambda value: value.item() + 0,
    "`list` of what it holds": lambda value: value.tolist(),
    "ISO 8601": lambda value: value.isoformat(),
    "`ValueError: message`": _of_exception,
    "`<unprintable Name>`": lambda value: f"<unprintable {type(value).__name__}>",
}
