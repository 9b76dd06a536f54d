"""Makes the arguments of an emit plain: the slow path of the encoder.

The encoder takes exact built-in types only. Whatever else an application
passes (numbers of numpy, enums, paths, dates, mappings that are no dict) comes
through here once, outside the encoder, and goes back as built-in values.

What cannot be made plain is no event: the caller counts it as `invalid`.
"""

import reprlib
from collections.abc import Mapping, Sequence, Set
from typing import Any

MAX_DEPTH = 8  # containers in each other, the metadata map itself included
MAX_ITEMS = 1024  # of one container; also of the text of one
MAX_BYTES = 65_536  # of an event; no record is larger
_INT64 = range(-(1 << 63), 1 << 63)

_Plain = tuple[str, dict[str, int | float], dict[str, Any] | None, str | None]


def make_plain(
    event: object, measurements: object, metadata: object, correlation_id: object
) -> _Plain | None:
    """Return the four arguments in built-in types, or None if they are no event.

    `measurements` may be None: the encoder then supplies its own. What is too
    large for any record comes back as something else that is too large.
    """
    try:
        name = _plain_name(event)
        identifier = None if correlation_id is None else plain_text(correlation_id)
        maker = _Maker()
        try:
            numbers = maker.measurements(measurements)
            return name, numbers, maker.metadata(metadata), identifier
        except _TooLarge:
            return name, {}, {"": bytes(MAX_BYTES)}, identifier
    except Exception:  # the arguments' own code ran; it may have raised anything
        return None


def plain_text(value: object) -> str:
    """Return the text of a value, in what UTF-8 can carry."""
    text = str.__str__(value) if isinstance(value, str) else str(value)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain_name(event: object) -> str:
    if not isinstance(event, str):
        raise TypeError("an event's name is a string")
    return plain_text(event)


def _plain_number(value: Any) -> int | float:
    if hasattr(value, "__index__"):
        number = int(value.__index__())
        return number if number in _INT64 else float(number)
    return float(value)


class _TooLarge(Exception):
    """The arguments would not fit into any record."""


class _Maker:
    """Makes the values of one event plain, and no more than a record can hold.

    Containers that share others may be small in memory and endless when they
    are written out; what is made here is counted by the least it takes there.
    """

    def __init__(self) -> None:
        self._left_bytes = MAX_BYTES

    def measurements(self, value: object) -> dict[str, int | float]:
        """Return a mapping's numbers; there may be no mapping."""
        if value is None:
            return {}
        if not isinstance(value, Mapping) or len(value) > MAX_ITEMS:
            raise TypeError("measurements are a mapping of names to numbers")
        return {self._text(key): _plain_number(item) for key, item in value.items()}

    def metadata(self, value: object) -> dict[str, Any] | None:
        """Return a mapping of plain values; there may be none."""
        return None if value is None else self._mapping(value, MAX_DEPTH)

    def _spend(self, count: int) -> None:
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise _TooLarge

    def _text(self, value: object) -> str:
        if isinstance(value, str):
            self._spend(str.__len__(value))
        return plain_text(value)

    def _bytes(self, value: bytes | bytearray | memoryview) -> bytes:
        self._spend(memoryview(value).nbytes)
        return bytes(value)

    def _mapping(self, value: object, depth: int) -> dict[str, Any]:
        if not isinstance(value, Mapping) or len(value) > MAX_ITEMS:
            raise TypeError("metadata is a mapping")
        return {
            self._text(key): self._value(item, depth - 1) for key, item in value.items()
        }

    def _value(self, value: Any, depth: int) -> Any:
        self._spend(1)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int):
            number = int(value.__index__())
            return number if number in _INT64 else str(number)
        if isinstance(value, float):
            return float(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._bytes(value)
        return self._container(value, depth)

    def _container(self, value: Any, depth: int) -> Any:
        if depth > 0 and isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, Mapping | Sequence | Set):
            if depth > 0 and len(value) <= MAX_ITEMS:
                return [self._value(item, depth - 1) for item in value]
            return self._text(_ShortText().repr(value))
        if hasattr(value, "__index__") or hasattr(value, "__float__"):
            return _plain_number(value)
        return self._text(value)


class _ShortText(reprlib.Repr):
    """The text of a container that is too deep or too long, within bounds."""

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
