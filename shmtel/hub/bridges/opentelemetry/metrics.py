"""Aggregates as OTLP metrics, read and sent from time to time.

    counter, sum             sum, cumulative and monotonic
    last_value               gauge
    summary                  histogram without buckets: count and sum
    distribution             histogram

A metric is a request of its own, so that the outbox can cut where it has to. They
are the hub's, not a worker's: the resource is the hub.

Rules:
- what is read is only described here; who counts is none of this file's business;
- histograms count in integers: what was scaled by sampling is rounded, bucket by
  bucket, and the count is their sum.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)

from shmtel.hub.bridges.base import MetricSource
from shmtel.hub.measures.standing import Reading
from shmtel.hub.measures.tally import Number

_log = logging.getLogger(__name__)

_SERVICE = "shmtel-hub"
_JOIN_S = 1.0
_COUNT_MAX = (1 << 64) - 1
# What is told in the unified code of units; others are told as they are.
_UNITS = {
    **{"": "1", "ratio": "1", "percent": "%", "bytes": "By"},
    **{"kB": "kBy", "MB": "MBy", "GB": "GBy"},
    **{"KiB": "KiBy", "MiB": "MiBy", "GiB": "GiBy"},
}


def request_of(
    reading: Reading, common: Mapping[str, str], now_ns: int
) -> ExportMetricsServiceRequest:
    """Return a metric as a request.

    Args:
        common: attributes of the resource, of the hub's environment.
    """
    request = ExportMetricsServiceRequest()
    of_resource = request.resource_metrics.add()
    version = metadata.version("shmtel")
    own = {"service.name": _SERVICE, "host.name": socket.gethostname()}
    for key, value in {**own, **common}.items():
        of_resource.resource.attributes.add(key=key).value.string_value = value
    of_scope = of_resource.scope_metrics.add()
    of_scope.scope.name, of_scope.scope.version = "shmtel", version
    told = of_scope.metrics.add(
        name=reading.metric.name,
        description=reading.metric.description,
        unit=_UNITS.get(reading.metric.unit.told, reading.metric.unit.told),
    )
    _ADDERS[reading.metric.kind](told, reading, now_ns)
    return request


def _add_sum(told: Metric, reading: Reading, now_ns: int) -> None:
    cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    told.sum.aggregation_temporality = cumulative
    told.sum.is_monotonic = True
    is_count = reading.metric.kind == "counter"
    for labels, tally in reading.series.items():
        point = told.sum.data_points.add(time_unix_nano=now_ns)
        total = reading.metric.unit.convert(tally.total)
        _set(point, reading, labels, tally.count if is_count else total)


def _add_gauge(told: Metric, reading: Reading, now_ns: int) -> None:
    for labels, tally in reading.series.items():
        point = told.gauge.data_points.add(time_unix_nano=now_ns)
        _set(point, reading, labels, reading.metric.unit.convert(tally.last or 0))


def _add_histogram(told: Metric, reading: Reading, now_ns: int) -> None:
    metric = reading.metric
    cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    told.histogram.aggregation_temporality = cumulative
    for labels, tally in reading.series.items():
        point = told.histogram.data_points.add(time_unix_nano=now_ns)
        _label(point, reading, labels)
        point.sum = metric.unit.convert(tally.total)
        point.count = _whole(tally.count)
        if metric.buckets and tally.buckets:
            point.explicit_bounds.extend(metric.buckets)
            point.bucket_counts.extend(map(_whole, tally.buckets))
            point.count = _whole(sum(point.bucket_counts))


def _whole(count: Number) -> int:
    """Return a count as OTLP has it, which ends at 64 bits."""
    return min(round(count), _COUNT_MAX)


_ADDERS: Mapping[str, Callable[[Metric, Reading, int], None]] = {
    "counter": _add_sum,
    "sum": _add_sum,
    "last_value": _add_gauge,
    "summary": _add_histogram,
    "distribution": _add_histogram,
}


def _set(
    point: NumberDataPoint, reading: Reading, labels: Sequence[str], value: Number
) -> None:
    _label(point, reading, labels)
    if isinstance(value, int):
        point.as_int = value
    else:
        point.as_double = value


def _label(
    point: NumberDataPoint | HistogramDataPoint,
    reading: Reading,
    labels: Sequence[str],
) -> None:
    for key, value in zip(reading.metric.tags, labels, strict=True):
        point.attributes.add(key=key).value.string_value = value


class MetricsReader:
    """Reads and sends all metrics each interval, and once more at the end.

    Args:
        send: takes a request; what finds no room there is counted there.
    """

    def __init__(
        self,
        source: MetricSource,
        send: Callable[[ExportMetricsServiceRequest], object],
        common: Mapping[str, str],
        interval_s: float,
    ) -> None:
        self._source = source
        self._send = send
        self._common = common
        self._interval_s = interval_s
        self._is_over = threading.Event()
        self._is_broken = False
        self._thread = threading.Thread(
            target=self._run, name="shmtel-otlp-reader", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Send what metrics stand at now, and end."""
        self._is_over.set()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while not self._is_over.wait(self._interval_s):
            self._export()
        self._export()

    def _export(self) -> None:
        try:
            now_ns = time.time_ns()
            for reading in self._source.read():
                if reading.series:
                    self._send(request_of(reading, self._common, now_ns))
            self._is_broken = False
        except Exception:  # a defect; the next reading may be better
            if not self._is_broken:
                _log.exception("metrics cannot be read for OTLP")
            self._is_broken = True
