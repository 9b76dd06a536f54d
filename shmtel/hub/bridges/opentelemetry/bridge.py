"""The bridge: a batch handler that puts events into OTLP and hands them to senders.

    bridge = OpenTelemetryBridge()
    bridge.attach(hub)
    ...
    bridge.close()

The hub calls it in a thread of its own, and acknowledges what is in its queue; each
signal is sent by one more thread. So a backend that is slow or away holds up nobody:
what finds no room is dropped, and counted by reason.

Rules:
- it never raises: a handler that does is detached.
"""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from shmtel.hub.bridges.account import BridgeAccount
from shmtel.hub.bridges.base import MetricSource
from shmtel.hub.bridges.opentelemetry.frames import Chunk, Resources, Signal
from shmtel.hub.bridges.opentelemetry.grpc_client import GrpcClient
from shmtel.hub.bridges.opentelemetry.http_client import HttpClient
from shmtel.hub.bridges.opentelemetry.mapping import Mapper
from shmtel.hub.bridges.opentelemetry.metrics import MetricsReader
from shmtel.hub.bridges.opentelemetry.open_spans import OpenSpans
from shmtel.hub.bridges.opentelemetry.outbox import Outbox
from shmtel.hub.bridges.opentelemetry.sender import Client, Sender
from shmtel.hub.bridges.opentelemetry.services import SERVICES
from shmtel.hub.bridges.opentelemetry.settings import (
    OpenTelemetrySettings,
    common_attributes,
    metric_interval_s,
    targets_of,
)
from shmtel.hub.bridges.opentelemetry.target import Target
from shmtel.hub.handlers import EventBatch

if TYPE_CHECKING:
    from shmtel.hub.hub import Hub

HANDLER_ID = "opentelemetry"
# That wait to be made items of. Some 1,000 events each take a megabyte, decoded, and
# what they become has room of its own.
QUEUE_BATCHES = 64
CLOSE_S = 2.0
SWITCHED_OFF = "switched_off"
UNSAYABLE = "unsayable"


class OpenTelemetryBridge:
    """Exports events as spans and log records.

    Args:
        settings: for what is not said here, the environment and the defaults stand.

    Raises:
        ValueError: the settings are wrong.
    """

    bridge_name = HANDLER_ID

    def __init__(self, settings: OpenTelemetrySettings | None = None) -> None:
        self._settings = settings = settings or OpenTelemetrySettings()
        self.targets: Mapping[Signal, Target] = targets_of(settings)
        self._open = OpenSpans()
        self._common = common_attributes()
        self._mapper = Mapper(Resources(self._common), self._open)
        self._readers: list[MetricsReader] = []
        self._lock = threading.Lock()
        self._senders: dict[Signal, Sender] = {}
        self._off: Counter[Signal] = Counter()  # items of signals that are off
        self._is_closed = False

    def attach(self, hub: "Hub", event: str = "*") -> None:
        """Export what a hub gets from now on.

        Args:
            event: a name or a glob; of spans it has to match starts and ends.

        Raises:
            ValueError: it is attached already.
        """
        hub.attach_batch(
            *(HANDLER_ID, event, self),
            own_thread=True,
            ack="queued",
            queue_batches=QUEUE_BATCHES,
        )

    def __call__(self, batch: EventBatch, config: object = None) -> None:
        """Take the events of a batch."""
        for signal, chunk in self._mapper.chunks(batch):
            self._put(signal, chunk)

    def export_metrics(self, request: ExportMetricsServiceRequest) -> bool:
        """Send metrics; tell whether there was room for them."""
        points = sum(
            _point_count(metric)
            for of_resource in request.resource_metrics
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
        )
        return self._put(Signal.METRICS, Chunk(request.SerializeToString(), points))

    def export_periodically(
        self, source: MetricSource, interval_s: float | None = None
    ) -> None:
        """Send what a source of metrics stands at from time to time, until the end.

        Args:
            interval_s: None: as OTEL_METRIC_EXPORT_INTERVAL says, else a minute.
        """
        interval_s = interval_s or metric_interval_s()
        reader = MetricsReader(source, self.export_metrics, self._common, interval_s)
        self._readers.append(reader)

    def accounts(self) -> Mapping[str, BridgeAccount]:
        """Return what became of the items of each signal.

        Under `events` stands what became no item: OTLP has no words for it.
        """
        with self._lock:
            senders, off = dict(self._senders), dict(self._off)
        found = {signal.value: sender.account() for signal, sender in senders.items()}
        for signal, items in off.items():
            found[signal.value] = BridgeAccount(items, dropped={SWITCHED_OFF: items})
        unsayable = self._mapper.counts.unsayable
        if unsayable:
            found["events"] = BridgeAccount(unsayable, dropped={UNSAYABLE: unsayable})
        return found

    def mapped(self) -> Mapping[str, int]:
        """Return what became of events before they were sent.

        starts: remembered; `open_spans` of them have not ended, and `forgotten` were
        too many to remember. spans, logs: made of ends, and of other events.
        left_open: spans of workers that ended before them. unsayable: events that
        OTLP has no words for.
        """
        counts = asdict(self._mapper.counts)
        return {
            **counts,
            "open_spans": len(self._open),
            "forgotten": self._open.forgotten,
        }

    def close(self, seconds: float = CLOSE_S) -> None:
        """Send what waits, for at most so long, and take no more."""
        deadline = time.monotonic() + seconds
        while self._readers:
            self._readers.pop().close()
        with self._lock:
            self._is_closed = True
            senders = list(self._senders.values())
        for sender in senders:
            sender.outbox.end()
        for sender in senders:
            sender.join(deadline)

    def __enter__(self) -> "OpenTelemetryBridge":
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def _put(self, signal: Signal, chunk: Chunk) -> bool:
        if signal not in self.targets:
            with self._lock:
                self._off[signal] += chunk.items
            return False
        return self._sender(signal).outbox.put(chunk)

    def _sender(self, signal: Signal) -> Sender:
        """Return the sender of a signal, made when there is something for it."""
        with self._lock:
            if signal not in self._senders:
                self._senders[signal] = self._make(signal)
            return self._senders[signal]

    def _make(self, signal: Signal) -> Sender:
        settings, target = self._settings, self.targets[signal]
        outbox = Outbox(settings.room_bytes, settings.batch_bytes, settings.delay_s)
        sender = Sender(
            *(signal.value, _client(signal, target), outbox),
            timeout_s=target.timeout_s,
            retry_s=settings.retry_s,
        )
        if self._is_closed:
            outbox.end()  # what comes now is counted as dropped
        else:
            sender.start()
        return sender


def _point_count(metric: Metric) -> int:
    kind = metric.WhichOneof("data")
    return 0 if kind is None else len(getattr(metric, kind).data_points)


def _client(signal: Signal, target: Target) -> Client:
    make = GrpcClient if target.protocol == "grpc" else HttpClient
    return make(target, SERVICES[signal])
