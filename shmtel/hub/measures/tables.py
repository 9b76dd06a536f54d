"""Metrics as tables of a TOML file.

    [[metrics]]
    kind = "distribution"
    name = "checkout.duration"
    event = "shop.checkout.stop"
    measurement = "duration"
    unit = "ns->s"
    buckets = [0.1, 0.5, 1, 5]
    tags = ["country"]
    keep = { plan = "pro*" }

Rules: what is not known is refused, with the nearest name there is.
"""

from collections.abc import Callable, Mapping
from typing import Any

from shmtel.errors import ConfigurationError
from shmtel.hub.measures import metric
from shmtel.hub.measures.metric import Metric
from shmtel.policy.tables import refuse_unknown

_COMMON = (
    *("kind", "name", "event", "tags", "keep", "drop"),
    *("unit", "description", "series_max"),
)
_OWN: Mapping[str, tuple[str, ...]] = {
    "counter": (),
    "sum": ("measurement",),
    "last_value": ("measurement", "expiry_s"),
    "summary": ("measurement",),
    "distribution": ("measurement", "buckets"),
}
_MAKERS: Mapping[str, Callable[..., Metric]] = {
    kind: getattr(metric, kind) for kind in _OWN
}
_REQUIRED = ("name", "event", "measurement")


def metric_of_table(table: object) -> Metric:
    """Read one metric.

    Raises:
        ConfigurationError: it is none; the text says what is wrong, not where.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError("a metric is a table of keys and values")
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in _MAKERS:
        raise ConfigurationError(f"`kind` is one of {', '.join(_MAKERS)}, not {kind!r}")
    known = (*_COMMON, *_OWN[kind])
    refuse_unknown(table, known)
    for key in _REQUIRED:
        if key in known and key not in table:
            raise ConfigurationError(f"`{key}` is missing")
    for key, value in table.items():
        is_right, text = _TYPES[key]
        if not is_right(value):
            raise ConfigurationError(f"`{key}` is {text}, not {value!r}")
    try:
        return _MAKERS[kind](**{k: v for k, v in table.items() if k != "kind"})
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_tags(value: object) -> bool:
    is_table = isinstance(value, Mapping) and all(map(_is_text, value.values()))
    return is_table or _is_texts(value)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


_text = (_is_text, "a text in quotes")
_conditions = (_is_table, "a table of metadata keys and what they match")
_TYPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("kind", "name", "measurement", "unit", "description"), _text),
    "event": (lambda v: _is_text(v) or _is_texts(v), "a name or glob, or a list"),
    "tags": (_is_tags, "a list of keys, or a table of keys by label"),
    "keep": _conditions,
    "drop": _conditions,
    "series_max": (lambda v: _is_number(v) and isinstance(v, int), "a whole number"),
    "expiry_s": (_is_number, "a number of seconds"),
    "buckets": (
        lambda v: isinstance(v, list) and all(map(_is_number, v)),
        "a list of numbers",
    ),
}
