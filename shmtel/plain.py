"""Makes the arguments of an emit plain: the slow path of the encoder.

The encoder takes exact built-in types only. Whatever else an application
passes (numbers of numpy, enums, paths, dates, mappings that are no dict) comes
through here once, outside the encoder, and goes back as built-in values.
docs/reference/values.md says what becomes what.

A value that cannot be made plain is replaced by a text that says so, and the
rest of the event is kept. Where a text would mislead (a measurement, a name, a
correlation ID) the caller counts the event as `invalid`.

Rules:
- a value is judged by its type, never by what it says of its `__class__`; a number,
  a text or bytes of a subclass by what it holds, not by methods it overrides; but a
  container by the items it gives, which are not always those that it stores;
- nothing that can be read once only is read: iterators, generators, files;
- what the code of a value raises ends here, but for what is no `Exception`, and
  for what the handler of a signal has raised in the middle of it.
"""

import math
import reprlib
from collections import UserString
from collections.abc import Iterable, Mapping, Sequence, Set, ValuesView
from itertools import islice
from typing import Any

from shmtel.interruptions import is_of_handler, pass_on

MAX_DEPTH = 8  # containers in each other, the metadata map itself included
MAX_ITEMS = 1024  # of an array, and of a container's text
MAX_BYTES = 65_536  # of an event; no record is larger
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 64) - 1  # what msgpack has forms for
# Python may refuse decimal text from 640 digits on, as its program has it.
_DECIMAL_BITS = 2048
_BYTES = (bytes, bytearray, memoryview)
_CONTAINERS = (Mapping, Sequence, Set, ValuesView)
_TEXTS = (UserString, range)  # sequences that say more as text
_class_name = type.__dict__["__name__"].__get__  # a metaclass may have another

_Plain = tuple[str, dict[str, int | float], dict[str, Any] | None, str | None]


def make_plain(
    event: object, measurements: object, metadata: object, correlation_id: object
) -> _Plain | Exception | None:
    """Return the four arguments in built-in types, or None if they are no event.

    What the handler of a signal has raised meanwhile is returned for the caller.

    `measurements` may be None: the encoder then supplies its own. What is too
    large for any record comes back as something else that is too large.
    """
    try:
        if not _is(event, str):
            return None
        name = plain_text(event)
        identifier = None if correlation_id is None else plain_text(correlation_id)
        maker = _Maker()
        try:
            numbers = maker.measurements(measurements)
            return name, numbers, maker.metadata(metadata), identifier
        except _TooLarge:
            return name, {}, {"": bytes(MAX_BYTES)}, identifier
    except Exception as error:  # the arguments' own code may raise anything
        return error if is_of_handler(error) else None


def plain_text(value: Any) -> str:
    """Return the text of a value, in what UTF-8 can carry.

    What the value's own code raises is raised.
    """
    if _is(value, _BYTES):
        return memoryview(value).tobytes().decode("utf-8", "backslashreplace")
    text: str = str.__str__(value if _is(value, str) else _text_of(value))
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _text_of(value: Any) -> Any:
    kind = type(value)
    if _is(value, int) and kind is not bool:
        return _text_of_integer(int.__index__(value))
    if hasattr(kind, "isoformat"):  # dates and times, also those of other libraries
        return value.isoformat()
    if _is(value, BaseException):
        message = str(value)
        return f"{_class_name(kind)}: {message}" if message else _class_name(kind)
    return str(value)


def _text_or_mark(value: object) -> str:
    try:
        return plain_text(value)
    except Exception as error:  # the value's own code
        pass_on(error)
        return _mark(value)


def _mark(value: object) -> str:
    return f"<unprintable {_class_name(type(value))}>"


def _text_of_integer(number: int) -> str:
    return str(number) if number.bit_length() <= _DECIMAL_BITS else hex(number)


def _is(value: object, kind: type | tuple[type, ...]) -> bool:
    return issubclass(type(value), kind)


def _is_boxed(value: Any) -> bool:
    """Tell a scalar or array of numpy, or of a library that is like it."""
    kind = type(value)
    return hasattr(kind, "dtype") and hasattr(kind, "tolist")


def _has_unit(value: Any) -> bool:
    """Tell a moment or duration of numpy: its number alone means nothing."""
    return _is_boxed(value) and getattr(value.dtype, "kind", "") in ("m", "M")


def _unboxed(value: Any) -> Any:
    """Return what a scalar or a small array holds; else the value itself."""
    if not _is_boxed(value) or _has_unit(value):
        return value
    size = getattr(value, "size", None)
    return value.tolist() if type(size) is int and size <= MAX_ITEMS else value


def _integer_of(value: Any) -> int | None:
    """Return the integer that a value is, if msgpack has a form for it."""
    if not hasattr(type(value), "__index__"):
        return None
    try:
        number = int.__index__(value if _is(value, int) else value.__index__())
    except Exception as error:  # a proxy, say, of what is no integer
        pass_on(error)
        return None
    return number if _INT_MIN <= number <= _INT_MAX else None


def _float(value: Any) -> float:
    if _is(value, float):
        return float.__float__(value)
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # as IEEE 754 rounds


def _number(value: Any) -> int | float:
    """Return a measurement, or raise: anything in its place would spoil sums."""
    value = _unboxed(value)
    kind = type(value)
    if _has_unit(value) or not (
        hasattr(kind, "__index__") or hasattr(kind, "__float__")
    ):
        raise TypeError("a measurement is a number, without a unit")
    number = _integer_of(value)
    return _float(value) if number is None else number


class _TooLarge(Exception):
    """The arguments would not fit into any record."""


class _Maker:
    """Makes the values of one event plain, and no more than a record can hold.

    Containers that share others may be small in memory and endless when they
    are written out; what is made here is counted by the least it takes there.
    """

    def __init__(self) -> None:
        self._left_bytes = MAX_BYTES

    def measurements(self, value: Any) -> dict[str, int | float]:
        """Return a mapping's numbers; there may be no mapping."""
        numbers: dict[str, int | float] = {}
        for key, item in () if value is None else self._pairs(value):
            self._spend(1)
            numbers[self._key(key, numbers)] = _number(item)
        return numbers

    def metadata(self, value: Any) -> dict[str, Any] | None:
        """Return a mapping of plain values; there may be none."""
        return None if value is None else self._mapping(value, MAX_DEPTH)

    def _spend(self, count: int) -> None:
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise _TooLarge

    def _taken(self, items: Iterable[Any]) -> list[Any]:
        """Return all items at once, so that nothing changes them on the way."""
        taken = list(islice(items, self._left_bytes + 1))
        if len(taken) > self._left_bytes:
            raise _TooLarge
        return taken

    def _pairs(self, value: Any) -> list[Any]:
        if not _is(value, Mapping):
            raise TypeError("measurements and metadata are mappings")
        return self._taken(value.items())

    def _text(self, value: Any) -> str:
        if _is(value, str):  # measured before it is copied
            self._spend(str.__len__(value))
            return plain_text(value)
        text = _text_or_mark(value)
        self._spend(len(text))
        return text

    def _key(self, value: Any, taken: Mapping[str, Any]) -> str:
        """Return the text of a key; of two that have the same, neither is lost."""
        key = self._text(value)
        while key in taken:
            self._spend(1)
            key += "_"
        return key

    def _mapping(self, value: Any, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, item in self._pairs(value):
            made[self._key(key, made)] = self._value(item, depth - 1)
        return made

    def _value(self, value: Any, depth: int) -> Any:
        self._spend(1)
        try:
            return self._made(_unboxed(value), depth)
        except _TooLarge:
            raise
        except Exception as error:  # the value's own code; its text may have no end
            pass_on(error)
            return self._text(_mark(value))

    def _made(self, value: Any, depth: int) -> Any:
        if value is None or _is(value, bool):
            return value
        if _is(value, float):
            return _float(value)
        if _is(value, _BYTES):
            view = memoryview(value)
            self._spend(view.nbytes)
            return view.tobytes()
        if _is(value, (str, *_TEXTS)):
            return self._text(value)
        if _is(value, _CONTAINERS):
            return self._container(value, depth)
        number = _integer_of(value)
        return self._text(value) if number is None else number

    def _container(self, value: Any, depth: int) -> Any:
        if depth <= 0:
            return self._text(_ShortText().repr(value))
        if _is(value, Mapping):
            return self._mapping(value, depth)
        return [self._value(item, depth - 1) for item in self._taken(value)]


class _ShortText(reprlib.Repr):
    """The text of a container that is too deep, within bounds."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 32
        self.maxdict = self.maxlist = self.maxtuple = MAX_ITEMS
        self.maxset = self.maxfrozenset = self.maxdeque = self.maxarray = MAX_ITEMS
        self.maxstring = self.maxother = self.maxlong = MAX_ITEMS
        self._left_items = MAX_ITEMS

    def repr1(self, x: object, level: int) -> str:
        """Return the text of one item, while there is room for any."""
        self._left_items -= 1
        return super().repr1(x, level) if self._left_items >= 0 else "..."

    def repr_instance(self, x: object, level: int) -> str:
        """Return a mark of a container of another kind: its own text has no bounds."""
        if _is(x, _CONTAINERS):
            return f"<{_class_name(type(x))}>"
        return super().repr_instance(x, level)

    def repr_int(self, x: int, level: int) -> str:
        """Return the text of an integer, which Python may refuse to give."""
        return _text_of_integer(x)
