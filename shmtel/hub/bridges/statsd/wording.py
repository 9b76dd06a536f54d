"""Lines of both dialects.

    statsd       shop.shmtel.events.tool_result:3|c
    dogstatsd    shop.shmtel.events:3|c|#env:prod,event:tool_result

Rules:
- whatever names and values hold, a line stays one line of one meaning: what would
  end a part of it becomes an underscore;
- numbers have no exponents where a server would not read them: in rates.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
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


class Wording(ABC):
    """A dialect."""

    @abstractmethod
    def line(
        self,
        metric: Metric,
        labels: Labels,
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

    def gauge(self, metric: Metric, labels: Labels, value: Number) -> str | None:
        """Return a line, or two; None: there are no words for it.

        Etsy's server takes a sign for a change of the value before, and so do some
        that read tags: what is below 0 is told from there.
        """
        line = self.line(metric, labels, value, "g")
        if value >= 0:
            return line
        return f"{self.line(metric, labels, 0, 'g')}\n{line}"


class Dogstatsd(Wording):
    """Datadog's dialect: with tags."""

    def __init__(self, settings: StatsdSettings) -> None:
        self._prefix = settings.prefix
        self._tags = {
            _NO_TAG.sub("_", key): _NO_TAG.sub("_", value)
            for key, value in settings.tags.items()
        }

    def line(
        self,
        metric: Metric,
        labels: Labels,
        value: Number,
        kind: Kind,
        *,
        leaf: str = "",
        bound: str = "",
        rate: str = "",
    ) -> str:
        """Return a line; what has no value is no tag."""
        mine = zip(metric.tags, labels, strict=True)
        tags = {**self._tags, **{tag: text for tag, text in mine if text}}
        if bound:
            tags["le"] = bound
        told = ",".join(f"{tag}:{_NO_TAG.sub('_', text)}" for tag, text in tags.items())
        name = _joined(self._prefix, name_of(metric), leaf)
        sampled = f"|@{rate}" if rate else ""
        return f"{name}:{number(value)}|{kind}{sampled}{'|#' if told else ''}{told}"


class Plain(Wording):
    """Etsy's dialect: the values of the tags are parts of the name, or nowhere."""

    def __init__(self, settings: StatsdSettings) -> None:
        self._prefix = settings.prefix
        self._has_suffix = settings.plain_tags == "suffix"

    def line(
        self,
        metric: Metric,
        labels: Labels,
        value: Number,
        kind: Kind,
        *,
        leaf: str = "",
        bound: str = "",
        rate: str = "",
    ) -> str:
        """Return a line; its servers weigh no rates, so it has none."""
        levels = [_NO_LEVEL.sub("_", text) or _MISSING for text in labels]
        name = _joined(
            *(self._prefix, name_of(metric), *(levels if self._has_suffix else ())),
            *(leaf, _NO_LEVEL.sub("_", bound)),
        )
        return f"{name}:{number(value)}|{kind}"

    def gauge(self, metric: Metric, labels: Labels, value: Number) -> str | None:
        """Return none without tags: several series would overwrite each other."""
        if labels and not self._has_suffix:
            return None
        return super().gauge(metric, labels, value)


def wording_of(settings: StatsdSettings) -> Wording:
    """Return the dialect that was chosen."""
    dialects: Mapping[str, Callable[[StatsdSettings], Wording]] = {
        "statsd": Plain,
        "dogstatsd": Dogstatsd,
    }
    return dialects[settings.dialect](settings)


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
    return format(Decimal(repr(rate)), "f")


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)
