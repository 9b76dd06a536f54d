"""Makes the arguments of an emit plain: the slow path of the encoder.

The encoder takes exact built-in types only. Whatever else an application
passes (numbers of numpy, enums, paths, dates, mappings that are no dict) comes
through here once, outside the encoder, and goes back as built-in values.

What cannot be made plain is no event: the caller counts it as `invalid`.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any

MAX_DEPTH = 8  # containers in each other, the metadata map itself included
MAX_ITEMS = 1024  # of one container; a record is at most 64 KiB anyway
_INT64 = range(-(1 << 63), 1 << 63)

_Plain = tuple[str, dict[str, int | float], dict[str, Any] | None, str | None]


def make_plain(
    event: object, measurements: object, metadata: object, correlation_id: object
) -> _Plain | None:
    """Return the four arguments in built-in types, or None if they are no event.

    `measurements` may be None: the encoder then supplies its own.
    """
    try:
        return (
            _plain_name(event),
            {} if measurements is None else _plain_measurements(measurements),
            None if metadata is None else _plain_mapping(metadata, MAX_DEPTH),
            None if correlation_id is None else plain_text(correlation_id),
        )
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


def _plain_measurements(value: object) -> dict[str, int | float]:
    if not isinstance(value, Mapping) or len(value) > MAX_ITEMS:
        raise TypeError("measurements are a mapping of names to numbers")
    return {plain_text(key): _plain_number(number) for key, number in value.items()}


def _plain_mapping(value: object, depth: int) -> dict[str, Any]:
    if not isinstance(value, Mapping) or len(value) > MAX_ITEMS:
        raise TypeError("metadata is a mapping")
    return {
        plain_text(key): _plain_value(item, depth - 1) for key, item in value.items()
    }


def _plain_value(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, int):
        number = int(value.__index__())
        return number if number in _INT64 else str(number)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return _plain_container(value, depth)


def _plain_container(value: Any, depth: int) -> Any:
    if depth > 0 and isinstance(value, Mapping):
        return _plain_mapping(value, depth)
    if depth > 0 and isinstance(value, Sequence | Set) and len(value) <= MAX_ITEMS:
        return [_plain_value(item, depth - 1) for item in value]
    if hasattr(value, "__index__") or hasattr(value, "__float__"):
        return _plain_number(value)
    return plain_text(value)
