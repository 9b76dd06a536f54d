"""Lines of both dialects.

    statsd       shop.shmtel.events.tool_result:3|c
    dogstatsd    shop.shmtel.events:3|c|#env:prod,event:tool_result

Rules:
- whatever names and values hold, a line stays one line of one meaning: what would
  end a part of it becomes an underscore;
- numbers have no exponents where a server would not read them: in rates.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite, nextafter
from typing import Literal

from shmtel.hub.bridges.statsd.settings import StatsdSettings
from shmtel.hub.measures.instrument import Labels
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.tally import Number

Kind = Literal["c", "g", "d", "h"]

_NO_TAG = re.compile(r"[:|@#,\s]")
_NO_LEVEL = re.compile(r"[^A-Za-z0-9_-]")
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_MISSING = "none"


@dataclass(frozen=True, slots=True)
class Words:
    """What all lines of a series have in common.

    Attributes:
        tags: as text; None: its dialect has none.
        is_shared: other series have the same words.
    """

    name: str
    tags: str | None
    is_shared: bool = False

    def line(
        self,
        value: Number,
        kind: Kind,
        *,
        leaf: str = "",
        bound: str = "",
        rate: str = "",
    ) -> str:
        """Return a line.

        Args:
            leaf: what of the metric it is, such as its `count`.
            bound: of a bucket.
            rate: with which the value was kept, as text.

        Raises:
            ValueError: the value is not finite.
        """
        name, tags = _joined(self.name, leaf), self.tags
        if bound and tags is None:
            name = _joined(name, _NO_LEVEL.sub("_", bound))
        elif bound:
            tags = f"{tags},le:{bound}" if tags else f"le:{bound}"
        sampled = f"|@{rate}" if rate else ""
        return f"{name}:{number(value)}|{kind}{sampled}{f'|#{tags}' if tags else ''}"

    def gauge(self, value: Number) -> str | None:
        """Return a line, or two; None: others would overwrite it.

        Etsy's server takes a sign for a change of the value before, and so do some
        that read tags: what is below 0 is told from there.
        """
        if self.is_shared:
            return None
        line = self.line(value, "g")
        return line if value >= 0 else f"{self.line(0, 'g')}\n{line}"


class Dogstatsd:
    """Datadog's dialect: with tags, of which those without a value are none."""

    def __init__(self, settings: StatsdSettings) -> None:
        self._prefix = settings.prefix
        self._tags = {_tag(key): _tag(value) for key, value in settings.tags.items()}

    def words(self, metric: Metric, labels: Labels) -> Words:
        """Return the words of a series; its own tags win over those of all."""
        mine = zip(metric.tags, labels, strict=True)
        tags = {**self._tags, **{tag: _tag(text) for tag, text in mine if text}}
        told = ",".join(f"{tag}:{text}" for tag, text in tags.items())
        return Words(_joined(self._prefix, name_of(metric)), told)


class Plain:
    """Etsy's dialect: the values of the tags are parts of the name, or nowhere."""

    def __init__(self, settings: StatsdSettings) -> None:
        self._prefix = settings.prefix
        self._has_suffix = settings.plain_tags == "suffix"

    def words(self, metric: Metric, labels: Labels) -> Words:
        """Return the words of a series."""
        name = _joined(self._prefix, name_of(metric))
        if not self._has_suffix:
            return Words(name, None, is_shared=bool(labels))
        levels = [_NO_LEVEL.sub("_", text) or _MISSING for text in labels]
        return Words(".".join([name, *levels]), None)


def wording_of(settings: StatsdSettings) -> Dogstatsd | Plain:
    """Return the dialect that was chosen."""
    return Plain(settings) if settings.dialect == "statsd" else Dogstatsd(settings)


def name_of(metric: Metric) -> str:
    """Return the name of a metric, with dots as it was written."""
    return _NO_NAME.sub("_", metric.name)


def number(value: Number) -> str:
    """Return a number as text: whole ones exact, and without a fraction.

    Raises:
        ValueError: it is not finite.
    """
    if isinstance(value, int):
        return str(value)
    if not isfinite(value):
        raise ValueError(f"{value} is no value")
    return repr(value + 0.0).removesuffix(".0")  # -0.0 has a sign


def rate_of(events: int) -> str:
    """Return the rate that makes a value stand for so many events; empty: for one.

    Servers take the whole part of its inverse, so it is never a little too great.
    """
    if events == 1:
        return ""
    rate = 1 / events
    while int(1 / rate) < events:
        rate = nextafter(rate, 0.0)
    text = repr(rate)
    return format(Decimal(text), "f") if "e" in text else text


def _tag(text: str) -> str:
    return _NO_TAG.sub("_", text)


def _joined(one: str, other: str) -> str:
    return f"{one}.{other}" if one and other else one or other
