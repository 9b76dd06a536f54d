"""Every case by name: its title, who opens it, and what its environment is."""

import importlib
from dataclasses import dataclass, field

from rivals import Sender, Sink


@dataclass(frozen=True)
class Case:
    """One way to send.

    Attributes:
        module: a file of this folder.
        opens: its function that returns the Sender.
        serves: its function that returns the Sink.
        is_delivered: events reach another process, so that a rate can be told.
        is_served: that process is ours, and started before the producer.
        fate: what becomes of the event.
        events: how many one call makes.
    """

    title: str
    module: str
    opens: str
    is_served: bool = False
    is_delivered: bool = False
    fate: str = "delivered"
    events: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    serves: str = "serve"

    def open(self, address: str) -> Sender:
        """Open it; the library is loaded only now."""
        sender: Sender = getattr(self._loaded(), self.opens)(address)
        return sender

    def serve(self, directory: str) -> Sink:
        """Begin to receive."""
        sink: Sink = getattr(self._loaded(), self.serves)(directory)
        return sink

    def _loaded(self) -> object:
        return importlib.import_module(f"rivals.{self.module}")


def _line(
    title: str,
    opens: str = "open_emit",
    *,
    events: int = 1,
    serves: str = "serve",
    **environment: str,
) -> Case:
    variables = {"SHMTEL_ENABLED": "1", **environment}
    return Case(
        *(title, "shmtel_line", opens, True, True),
        events=events,
        environment=variables,
        serves=serves,
    )


def _local(title: str, module: str, opens: str, fate: str) -> Case:
    return Case(title, module, opens, fate=fate)


CASES: dict[str, Case] = {
    "shmtel": _line("shmtel, ring of 16 MiB", SHMTEL_RING_SIZE="16MiB"),
    "shmtel_4": _line("shmtel, ring of 4 MiB", SHMTEL_RING_SIZE="4MiB"),
    "shmtel_1": _line("shmtel, ring of 1 MiB (default)"),
    "shmtel_8": _line("shmtel, ring of 8 MiB", SHMTEL_RING_SIZE="8MiB"),
    "shmtel_8_events": _line(
        "shmtel, handler per event", serves="serve_events", SHMTEL_RING_SIZE="8MiB"
    ),
    "shmtel_8_metrics": _line(
        "shmtel, default metrics", serves="serve_metrics", SHMTEL_RING_SIZE="8MiB"
    ),
    "shmtel_span": _line(
        "shmtel span: start and stop, ring of 64 MiB",
        "open_span",
        events=2,
        SHMTEL_RING_SIZE="64MiB",
    ),
    "shmtel_off": _local(
        "shmtel, variable unset", "shmtel_line", "open_off", "not recorded"
    ),
    "shmtel_filtered": _line(
        "shmtel, filtered by name", "open_filtered", events=0, SHMTEL_DENY="tool.*"
    ),
    "shmtel_sampled": _line(
        "shmtel, sampled out",
        "open_sampled",
        events=0,
        SHMTEL_SAMPLING_RATE="0.000001",
    ),
    "otel_span_sink": _local(
        "OpenTelemetry span, exporter that counts",
        "otel_spans", "open_counted", "kept in the process",
    ),
    "otel_span_otlp": Case(
        "OpenTelemetry span, OTLP/gRPC", "otel_spans", "open_otlp", True, True
    ),
    "otel_log_sink": _local(
        "OpenTelemetry log record, exporter that counts",
        "otel_logs", "open_counted", "kept in the process",
    ),
    "otel_log_otlp": Case(
        "OpenTelemetry log record, OTLP/gRPC", "otel_logs", "open_otlp", True, True
    ),
    "grpc_stream": Case(
        "gRPC stream, one message an event", "grpc_stream", "open_stream", True, True
    ),
    "mp_queue": Case(
        "multiprocessing.Queue", "mp_queue", "open_queue", is_delivered=True
    ),
    "dogstatsd_unix": Case(
        "DogStatsD, unix datagram", "dogstatsd_unix", "open_client", True, True
    ),
    "dogstatsd_unix_buffered": Case(
        "DogStatsD, unix datagram, buffered",
        "dogstatsd_unix", "open_buffered", True, True,
    ),
    "dogstatsd_udp": Case(
        "DogStatsD, UDP", "dogstatsd_udp", "open_client", True, True
    ),
    "prometheus": _local(
        "prometheus_client", "prometheus", "open_registry", "aggregated"
    ),
    "prometheus_multiprocess": _local(
        "prometheus_client, multiprocess mode",
        "prometheus", "open_multiprocess", "aggregated",
    ),
    "logging_queue": _local(
        "logging, QueueHandler and QueueListener",
        "logging_queue", "open_logger", "written by a thread",
    ),
    "structlog_json": _local(
        "structlog, JSON", "structlog_json", "open_logger", "written"
    ),
}  # fmt: skip
