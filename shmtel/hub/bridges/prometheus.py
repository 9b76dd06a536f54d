"""Metrics of events as Prometheus reads them, at the hub's `/metrics`.

    counter, sum             counter
    last_value               gauge
    summary                  summary: count and sum
    distribution             histogram

The counts are cumulative and survive the hub, so `increase()` sees no reset when it
is started again on its state. OpenMetrics also gets exemplars, by trace ID where the
correlation ID is one.

Rules:
- families are made anew for each scrape, of the series that there are: nothing is
  kept of workers that are gone.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as Told
from prometheus_client.utils import floatToGoString

from shmtel.hub.bridges.base import MetricSource
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.names import family_name, label_names
from shmtel.hub.measures.standing import Reading
from shmtel.hub.measures.tally import Exemplar, Tally
from shmtel.hub.measures.units import Unit
from shmtel.safe_text import label
from shmtel.traceparent import trace_id_of

_EXEMPLAR_MAX = 100  # characters; OpenMetrics allows 128 with the name of the label


class PrometheusBridge(Collector):
    """Collects the metrics of a hub.

    Args:
        source: is read once per scrape.
    """

    def __init__(self, source: MetricSource) -> None:
        self._source = source

    def collect(self) -> Iterator[Family]:
        """Return a family for each metric that has any series."""
        for reading in self._source.read():
            if reading.series:
                yield _MAKERS[reading.metric.kind](reading)


def _heading(reading: Reading) -> tuple[str, str]:
    metric = reading.metric
    return family_name(metric), metric.description or f"Metric {metric.name!r}."


def _counter(reading: Reading) -> Family:
    metric = reading.metric
    family = CounterMetricFamily(*_heading(reading), labels=label_names(metric))
    for labels, tally in sorted(reading.series.items()):
        count = metric.kind == "counter"
        value = tally.count if count else metric.unit.convert(tally.total)
        exemplar = _told(tally.exemplars.get(0), Unit())
        family.add_metric(labels, value, exemplar=exemplar)
    return family


def _gauge(reading: Reading) -> Family:
    metric = reading.metric
    family = GaugeMetricFamily(*_heading(reading), labels=label_names(metric))
    for labels, tally in sorted(reading.series.items()):
        family.add_metric(labels, metric.unit.convert(tally.last or 0))
    return family


def _summary(reading: Reading) -> Family:
    metric = reading.metric
    family = SummaryMetricFamily(*_heading(reading), labels=label_names(metric))
    for labels, tally in sorted(reading.series.items()):
        # The types ask for an int, but sampled counts are floats and are told so.
        count: Any = tally.count
        family.add_metric(labels, count, metric.unit.convert(tally.total))
    return family


def _histogram(reading: Reading) -> Family:
    metric = reading.metric
    family = HistogramMetricFamily(*_heading(reading), labels=label_names(metric))
    for labels, tally in sorted(reading.series.items()):
        total = metric.unit.convert(tally.total)
        family.add_metric(labels, _buckets(metric, tally), total)
    return family


_MAKERS: Mapping[str, Callable[[Reading], Family]] = {
    "counter": _counter,
    "sum": _counter,
    "last_value": _gauge,
    "summary": _summary,
    "distribution": _histogram,
}
_Bucket = tuple[str, float] | tuple[str, float, Told]


def _buckets(metric: Metric, tally: Tally) -> list[_Bucket]:
    names = [*map(floatToGoString, metric.buckets), "+Inf"]
    counts = accumulate(tally.buckets or [0] * len(names))
    made: list[_Bucket] = []
    for at, (name, count) in enumerate(zip(names, counts, strict=True)):
        told = _told(tally.exemplars.get(at), metric.unit)
        made.append((name, count) if told is None else (name, count, told))
    return made


def _told(exemplar: Exemplar | None, unit: Unit) -> Told | None:
    if exemplar is None:
        return None
    trace_id = trace_id_of(exemplar.correlation_id)
    name = "correlation_id" if trace_id is None else "trace_id"
    text = label(trace_id or exemplar.correlation_id)[:_EXEMPLAR_MAX]
    seconds = exemplar.timestamp_ns / 1e9
    return Told({name: text}, unit.convert(exemplar.value), seconds)
