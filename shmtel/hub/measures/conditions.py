"""Which events a metric keeps or drops, as a table of metadata keys.

    {"plan": "pro*", "synthetic": False, "region": ["eu-*", "us-1"]}

An event matches when all keys do. Text is a glob (`fnmatchcase`), everything else
is compared as it is, and a list matches when one of its entries does. A key that an
event does not have matches nothing.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

Plain = str | int | float | bool | None
_PLAIN = (str, int, float, bool)


def conditions_of(table: Mapping[str, object]) -> dict[str, tuple[Plain, ...]]:
    """Return a table of conditions, each as the values that match.

    Raises:
        ValueError: a value can be compared with nothing.
    """
    made: dict[str, tuple[Plain, ...]] = {}
    for key, value in table.items():
        values = tuple(value) if isinstance(value, list | tuple) else (value,)
        if not all(isinstance(one, _PLAIN) for one in values):
            raise ValueError(
                f"{key!r} is compared with a text, a number, true or false, or a list"
                " of these"
            )
        made[key] = values
    return made


def matches(
    conditions: Mapping[str, tuple[Plain, ...]], metadata: Mapping[str, object]
) -> bool:
    """Tell whether an event of this metadata matches."""
    return all(
        key in metadata and any(_is_like(metadata[key], value) for value in values)
        for key, values in conditions.items()
    )


def _is_like(value: object, wanted: Plain) -> bool:
    if isinstance(wanted, str):
        return isinstance(value, str) and fnmatchcase(value, wanted)
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted
