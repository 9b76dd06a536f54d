"""Metrics as a table, and a scrape of them as text.

A daemon has one table of families; a scrape fills in values. What is not in the
table cannot be exposed, so the table is what the documentation is checked by.

Rules:
- values are put together per scrape, from counts that are there anyway: nothing is
  counted twice, and nothing costs between two scrapes;
- label values are cut and made printable; of one family there are only so many
  series, and what is beyond is summed up as `(other)`.
"""

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from shmtel.safe_text import OTHER, label

SERIES_MAX = 2_048  # of one family
_Kind = Literal["counter", "gauge"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, what it tells, and by what."""

    name: str
    kind: _Kind
    text: str
    labels: tuple[str, ...] = ()


BUILD_INFO = Family(
    "shmtel_build_info", "gauge", "Versions of this program.", ("version", "python")
)
READY = Family("shmtel_ready", "gauge", "1 while /readyz says that all is well.")


class Samples:
    """The values of one scrape. Those of the same labels add up."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._values: dict[str, dict[tuple[str, ...], float]] = {
            family.name: {} for family in families
        }

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add to a value."""
        series = self._values[name]
        key = tuple(map(label, labels))
        if key not in series and len(series) >= SERIES_MAX:
            key = (OTHER,) * len(key)
        series[key] = series.get(key, 0) + value

    def add_counts(self, name: str, counts: Mapping[str, int], *labels: str) -> None:
        """Add to the values of a family whose last label is a reason."""
        for reason, count in counts.items():
            self.add(name, count, *labels, reason)

    def of(self, name: str) -> Mapping[tuple[str, ...], float]:
        """Return the values of a family by their labels."""
        return self._values[name]


def exposition(
    families: Sequence[Family],
    samples: Samples,
    accept: str = "",
    others: Iterable[Collector] = (),
) -> tuple[bytes, str]:
    """Return a scrape as bytes, with the type that was agreed on.

    Args:
        others: collect what is in no table.
    """
    samples.add(
        BUILD_INFO.name, 1, metadata.version("shmtel"), platform.python_version()
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(families, samples))
    ProcessCollector(registry=registry)
    for collector in others:
        registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Scrape(Collector):
    def __init__(self, families: Sequence[Family], samples: Samples) -> None:
        self._families = families
        self._samples = samples

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        makers = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
        for family in self._families:
            metric = makers[family.kind](family.name, family.text, labels=family.labels)
            for labels, value in sorted(self._samples.of(family.name).items()):
                metric.add_metric(labels, value)
            yield metric
