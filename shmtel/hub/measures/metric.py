"""Definitions of metrics, in the words of the field.

    from shmtel.hub import measures

    measures.counter("orders", "shop.order.stop", tags=["country"])
    measures.sum("sent", "http.*.stop", "bytes", unit="bytes")
    measures.last_value("depth", "queue.*", "queue_depth", tags=["queue"])
    measures.summary("cost", "job.stop", "duration", unit="ns->s")
    measures.distribution("latency", "job.stop", "duration", unit="ns->s")

A tag is a key of an event's metadata, or one of the keys that the hub stamps on it;
in a mapping it is the name of the label, and the key beside it.

Rules:
- pure data; what is wrong is a ValueError when it is made, never later;
- a definition without functions can be read from keys alone, which is several times
  faster, and is what a file can say.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from math import isfinite
from typing import Any, Literal, TypedDict, Unpack

from shmtel.hub.measures.conditions import Plain, conditions_of
from shmtel.hub.measures.judging import is_number, judge, patterns_of
from shmtel.hub.measures.units import Unit, unit_of

Kind = Literal["counter", "sum", "last_value", "summary", "distribution"]
Number = int | float
Measure = Callable[[Mapping[str, Number], Mapping[str, Any]], Number | None]
TagValues = Callable[[Mapping[str, Any]], Mapping[str, object]]
Predicate = Callable[[Mapping[str, Any]], bool]
Conditions = Mapping[str, tuple[Plain, ...]]

SERIES_MAX = 1_000
BUCKETS_MAX = 200
DURATION_BUCKETS = (  # seconds
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
EVENT = "event"  # a tag that stands for the event's name
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:]*")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
# What the hub stamps on an event and is another for each: no series can be kept by it.
_UNBOUNDED = frozenset(
    {
        *("seq", "timestamp_ns", "correlation_id", "span_id", "parent_id"),
        *("sampling_probability", "redelivered"),
    }
)
_TAKEN = ("le", "quantile")


class Options(TypedDict, total=False):
    """What all kinds of metrics may say.

    tags: keys of metadata that make the series; as a mapping, by label.
    tag_values: makes the values of all tags from the stamped metadata instead.
    keep, drop: only, or not, events that match these conditions, or of whose stamped
        metadata this says so.
    unit: of the measurement, and what it is told in, such as "ns->s".
    description: one sentence.
    series_max: series beyond this many are counted together, as `(other)`.
    """

    tags: Sequence[str] | Mapping[str, str]
    tag_values: TagValues | None
    keep: Mapping[str, object] | Predicate | None
    drop: Mapping[str, object] | Predicate | None
    unit: str | Sequence[str]
    description: str
    series_max: int


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One definition."""

    name: str
    kind: Kind
    patterns: tuple[str, ...]
    measurement: str | Measure | None
    tags: Mapping[str, str]  # keys by label
    tag_values: TagValues | None = None
    keep: Conditions | Predicate | None = None
    drop: Conditions | Predicate | None = None
    unit: Unit = field(default_factory=Unit)
    description: str = ""
    series_max: int = SERIES_MAX
    buckets: tuple[float, ...] = ()  # in the unit that is told
    expiry_s: float | None = None

    @property
    def has_functions(self) -> bool:
        """Whether it takes more than keys to read it from an event."""
        parts = (self.measurement, self.tag_values, self.keep, self.drop)
        return any(map(callable, parts))

    def wants(self, event: str) -> bool:
        """Tell whether it is measured of events of this name."""
        return any(fnmatchcase(event, pattern) for pattern in self.patterns)


def counter(
    name: str, event: str | Iterable[str], **options: Unpack[Options]
) -> Metric:
    """Count events.

    Args:
        event: a name or a glob, or several.

    Raises:
        ValueError: the definition is wrong; the same for all kinds.
    """
    return _make("counter", name, event, None, options)


def sum(
    name: str,
    event: str | Iterable[str],
    measurement: str | Measure,
    **options: Unpack[Options],
) -> Metric:
    """Add up a measurement.

    Args:
        measurement: its key, or a function of measurements and stamped metadata.
            What it returns None for is not measured.
    """
    return _make("sum", name, event, measurement, options)


def last_value(
    name: str,
    event: str | Iterable[str],
    measurement: str | Measure,
    *,
    expiry_s: float | None = None,
    **options: Unpack[Options],
) -> Metric:
    """Keep the last value of a measurement.

    Args:
        expiry_s: a series that has no new value for so long goes away.
    """
    return _make(
        "last_value", name, event, measurement, options, expiry_s=_judged(expiry_s)
    )


def summary(
    name: str,
    event: str | Iterable[str],
    measurement: str | Measure,
    **options: Unpack[Options],
) -> Metric:
    """Keep count and sum of a measurement."""
    return _make("summary", name, event, measurement, options)


def distribution(
    name: str,
    event: str | Iterable[str],
    measurement: str | Measure,
    *,
    buckets: Sequence[float] = DURATION_BUCKETS,
    **options: Unpack[Options],
) -> Metric:
    """Count a measurement by buckets.

    Args:
        buckets: the greatest value of each, rising, in the unit that is told; one
            more takes what is above. By default for durations in seconds.
    """
    if not isinstance(buckets, Sequence) or not all(map(is_number, buckets)):
        raise ValueError(f"`buckets` is a list of numbers, not {buckets!r}")
    bounds = tuple(map(float, buckets))
    if not bounds or len(bounds) > BUCKETS_MAX or not all(map(isfinite, bounds)):
        raise ValueError(f"`buckets` are 1 to {BUCKETS_MAX} finite numbers")
    if any(one >= other for one, other in pairwise(bounds)):
        raise ValueError("`buckets` rise: each is greater than the one before")
    if bounds[0] < 0:
        raise ValueError("`buckets` are 0 or more: what is less is not measured")
    return _make("distribution", name, event, measurement, options, buckets=bounds)


def _judged(expiry_s: float | None) -> float | None:
    if expiry_s is None:
        return None
    if not is_number(expiry_s) or not isfinite(expiry_s) or expiry_s <= 0:
        raise ValueError(f"`expiry_s` is a number of seconds above 0, not {expiry_s!r}")
    return expiry_s


def _make(
    kind: Kind,
    name: str,
    event: str | Iterable[str],
    measurement: str | Measure | None,
    options: Options,
    **own: Any,
) -> Metric:
    own_part = {} if kind == "counter" else {"measurement": measurement}
    judge({"name": name, **own_part, **options}, Options.__annotations__)
    patterns = patterns_of(event)
    if not _NAME.fullmatch(name):
        raise ValueError(f"`name` {name!r} is none: letters, digits, '_', '.' and ':'")
    return Metric(
        name=name,
        kind=kind,
        patterns=patterns,
        measurement=measurement,
        tags=_tags(options.get("tags", ())),
        tag_values=options.get("tag_values"),
        keep=_condition("keep", options.get("keep")),
        drop=_condition("drop", options.get("drop")),
        unit=_unit(options.get("unit", "")),
        description=options.get("description", ""),
        series_max=options.get("series_max", SERIES_MAX),
        **own,
    )


def _unit(text: str | Sequence[str]) -> Unit:
    try:
        return unit_of(text)
    except ValueError as error:
        raise ValueError(f"`unit`: {error}") from error


def _tags(tags: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    by_label = dict(tags) if isinstance(tags, Mapping) else {tag: tag for tag in tags}
    for label, key in by_label.items():
        is_own = label.replace(".", "_").startswith("__")
        if not _LABEL.fullmatch(label) or is_own:
            raise ValueError(f"`tags`: {label!r} is no name: letters, digits and '_'")
        if label in _TAKEN:
            raise ValueError(f"`tags`: {label!r} is Prometheus' own; name it otherwise")
        if key in _UNBOUNDED:
            raise ValueError(f"`tags`: {key!r} is another one for each event")
    return by_label


def _condition(
    word: str, given: Mapping[str, object] | Predicate | None
) -> Conditions | Predicate | None:
    if not isinstance(given, Mapping):
        return given
    if not _UNBOUNDED.isdisjoint(given):
        keys = ", ".join(sorted(_UNBOUNDED.intersection(given)))
        raise ValueError(f"`{word}` has no conditions on {keys}: it is in no payload")
    try:
        return conditions_of(given)
    except ValueError as error:
        raise ValueError(f"`{word}`: {error}") from error
