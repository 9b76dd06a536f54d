"""OpenTelemetry spans: the SDK's batch processor, into a counter or over OTLP/gRPC.

The event is a span that is started and ended. Five attributes carry what the
event carries; the trace ID, which the SDK draws, stands for the correlation ID.
Queue, batch and delay of the processor are the SDK's defaults.
"""

from collections.abc import Sequence
from typing import Any

from measure import EVENT, MEASUREMENTS, METADATA
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from rivals import Sender, Sink

_ATTRIBUTES = {**MEASUREMENTS, **METADATA}
_ROOM = 1_900  # of the queue's 2,048


class _Counted(SpanExporter):
    """Counts what it hands on, or what it keeps if there is nobody behind."""

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        self._exporter = exporter
        self.count = 0

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        result = SpanExportResult.SUCCESS
        if self._exporter is not None:
            result = self._exporter.export(spans)
        self.count += len(spans)
        return result

    def shutdown(self) -> None:
        if self._exporter is not None:
            self._exporter.shutdown()


def serve(directory: str) -> Sink:
    """Receive what is exported."""
    from rivals import otlp_server

    return otlp_server.serve(directory)


def open_counted(address: str) -> Sender:
    """Spans that end in a counter."""
    exporter = _Counted()
    return _sender(exporter, kept=lambda: exporter.count)


def open_otlp(address: str) -> Sender:
    """Spans that are exported to a server on this host."""
    return _sender(_Counted(OTLPSpanExporter(address, insecure=True)))


def _sender(exporter: _Counted, kept: Any = None) -> Sender:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    start_span = provider.get_tracer("benchmark").start_span
    ended = 0

    def emit() -> None:
        nonlocal ended
        start_span(EVENT, attributes=_ATTRIBUTES).end()
        ended += 1

    def flush() -> None:
        assert provider.force_flush(60_000)

    return Sender(emit, flush, kept, None, lambda: ended - exporter.count > _ROOM)


def tracing(address: str) -> Any:
    """Return a tracer whose spans are exported, for an application."""
    provider = TracerProvider()
    exporter = OTLPSpanExporter(address, insecure=True)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider.get_tracer("benchmark")
