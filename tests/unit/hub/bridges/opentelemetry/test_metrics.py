"""Aggregates as OTLP metrics."""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from shmtel.hub.bridges.opentelemetry import OpenTelemetryBridge, OpenTelemetrySettings
from shmtel.hub.bridges.opentelemetry.metrics import MetricsReader, request_of
from shmtel.hub.bridges.opentelemetry.settings import metric_interval_s
from support.otlp_backend import http_backend, plain
from support.processes import wait_until

NOW = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Unit:
    """Nanoseconds that are told in seconds, or whatever it is."""

    told: str = ""
    scale: float = 1

    def convert(self, value: float) -> float:
        """Return what is told."""
        return value * self.scale


@dataclass(frozen=True)
class Metric:
    """A definition."""

    kind: str
    name: str = "shop.orders"
    description: str = "Orders."
    unit: Unit = Unit()
    tags: Mapping[str, str] = field(default_factory=lambda: {"country": "land"})
    buckets: Sequence[float] = ()


@dataclass(frozen=True)
class Tally:
    """What a series has seen."""

    count: float = 0
    total: float = 0
    last: float | None = None
    buckets: Sequence[float] = ()


@dataclass(frozen=True)
class Reading:
    """A metric with its series."""

    metric: Metric
    series: Mapping[tuple[str, ...], Tally]


SECONDS = Unit("s", 0.5)


def told(metric: Metric, tally: Tally) -> tuple[Any, Any]:
    """Return a metric of one series as OTLP has it, and the only point."""
    request = request_of(Reading(metric, {("de",): tally}), {}, NOW)
    made = request.resource_metrics[0].scope_metrics[0].metrics[0]
    (point,) = getattr(made, made.WhichOneof("data")).data_points
    assert point.time_unix_nano == NOW
    assert plain(point.attributes) == {"country": "de"}
    return made, point


def test_a_counter() -> None:
    """An exact count stays an integer; one that was scaled is a float."""
    made, point = told(Metric("counter"), Tally(3, 99))
    assert (made.name, made.description, made.unit) == ("shop.orders", "Orders.", "1")
    assert made.sum.is_monotonic
    cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    assert made.sum.aggregation_temporality == cumulative
    assert point.WhichOneof("value") == "as_int"
    assert point.as_int == 3
    assert told(Metric("counter"), Tally(2.5))[1].as_double == 2.5


def test_a_sum_and_a_gauge() -> None:
    """They are told in their unit."""
    made, point = told(Metric("sum", unit=SECONDS), Tally(2, 7))
    assert (made.unit, point.as_double) == ("s", 3.5)
    made, point = told(Metric("last_value", unit=Unit("MiB")), Tally(2, 7, 5))
    assert (made.unit, point.as_int) == ("MiBy", 5)
    assert made.WhichOneof("data") == "gauge"


def test_a_summary() -> None:
    """Count and sum, without buckets."""
    made, point = told(Metric("summary", unit=SECONDS), Tally(2.4, 7))
    assert made.WhichOneof("data") == "histogram"
    assert (point.count, point.sum) == (2, 3.5)
    assert not point.bucket_counts


def test_a_distribution() -> None:
    """Counts by bucket, which add up also when they were scaled."""
    metric = Metric("distribution", buckets=(0.1, 1.0))
    _, point = told(metric, Tally(4.4, 7, None, (1.6, 0, 2.8)))
    assert list(point.explicit_bounds) == [0.1, 1.0]
    assert list(point.bucket_counts) == [2, 0, 3]
    assert (point.count, point.sum) == (5, 7)


def test_counts_beyond_all_bounds() -> None:
    """They are the greatest that there is, and no error."""
    metric = Metric("distribution", buckets=(1.0,))
    _, point = told(metric, Tally(1e300, 1e300, None, (1e300, 1e300)))
    assert point.count == 2**64 - 1
    assert told(Metric("counter"), Tally(1e300))[1].as_double == 1e300


def test_the_resource_is_the_hub() -> None:
    """What its environment says wins."""
    reading = Reading(Metric("counter", tags={}), {(): Tally(1)})
    for common, name in (({}, "shmtel-hub"), ({"service.name": "mine"}, "mine")):
        request = request_of(reading, common, NOW)
        resource = plain(request.resource_metrics[0].resource.attributes)
        assert resource["service.name"] == name
        assert resource["host.name"]


class Source:
    """Metrics that count how often they were read, and fail at first."""

    def __init__(self, failures: int = 0) -> None:
        self.reads = 0
        self._failures = failures

    def read(self) -> Iterable[Reading]:
        """Return one metric, and one without series."""
        self.reads += 1
        if self.reads <= self._failures:
            raise RuntimeError("no")
        metric = Metric("counter", tags={})
        return [Reading(metric, {(): Tally(self.reads)}), Reading(metric, {})]


def test_they_are_sent_from_time_to_time() -> None:
    """And once more at the end, so that what was counted last is told."""
    source = Source()
    with http_backend() as backend:
        settings = OpenTelemetrySettings(backend.endpoint, delay_s=0.0)
        with OpenTelemetryBridge(settings) as bridge:
            bridge.export_periodically(source, 0.01)
            wait_until(lambda: len(backend.taken) >= 2)
    values = [
        metric.sum.data_points[0].as_int
        for _, request in backend.taken
        for resource in request.resource_metrics
        for metric in resource.scope_metrics[0].metrics
    ]
    assert values == list(range(1, source.reads + 1))
    assert bridge.accounts()["metrics"].sent == source.reads


def test_what_cannot_be_read_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The next reading may be better."""
    sent = threading.Event()
    reader = MetricsReader(Source(3), lambda _request: sent.set(), {}, 0.001)
    with caplog.at_level(logging.ERROR):
        assert sent.wait(10.0)
        reader.close()
    assert len(caplog.records) == 1


def test_how_often() -> None:
    """As OpenTelemetry's own readers are told."""
    assert metric_interval_s({}) == 60.0
    assert metric_interval_s({"OTEL_METRIC_EXPORT_INTERVAL": "500"}) == 0.5
