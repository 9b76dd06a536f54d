"""What a definition of a metric must be made of, wherever it is written.

Rules:
- a text begins with the key that it is about, so that a file can say its line.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, value))


def _is_tags(value: object) -> bool:
    if isinstance(value, Mapping):
        return _is_texts([*value, *value.values()])
    return _is_texts(value)


def _is_conditions(value: object) -> bool:
    return value is None or callable(value) or isinstance(value, Mapping)


def is_number(value: object) -> bool:
    """Tell whether it is one, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


_conditions = _is_conditions, "a table of metadata keys and what they match"
_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_text, "a text"),
    "measurement": (
        lambda value: callable(value) or (_is_text(value) and value != ""),
        "the key of a measurement",
    ),
    "tags": (_is_tags, "a list of keys, or a table of keys by label"),
    "tag_values": (lambda value: value is None or callable(value), "a function"),
    "keep": _conditions,
    "drop": _conditions,
    "unit": (lambda value: _is_text(value) or _is_texts(value), "a text"),
    "description": (_is_text, "a text"),
    "series_max": (
        lambda value: is_number(value) and isinstance(value, int) and value >= 1,
        "a whole number of 1 or more",
    ),
}


def judge(parts: Mapping[str, object], known: Mapping[str, object]) -> None:
    """Refuse what a definition cannot be made of.

    Args:
        known: what there may be beside name and measurement.

    Raises:
        ValueError: something is not known, or of a wrong kind.
    """
    for key, value in parts.items():
        if key not in known and key not in ("name", "measurement"):
            raise ValueError(f"`{key}` is not known; there are {', '.join(known)}")
        is_right, text = _RULES[key]
        if not is_right(value):
            raise ValueError(f"`{key}` is {text}, not {value!r}")


def patterns_of(event: object) -> tuple[str, ...]:
    """Return the names and globs of a definition.

    Raises:
        ValueError: there is none, or something else.
    """
    is_several = isinstance(event, Iterable) and not isinstance(event, str)
    found = tuple(event) if is_several else (event,)  # type: ignore[arg-type]
    patterns = tuple(one for one in found if isinstance(one, str) and one)
    if not patterns or len(patterns) < len(found):
        raise ValueError(
            f"`event` is a name or glob, or a list of these, not {event!r}"
        )
    return patterns
