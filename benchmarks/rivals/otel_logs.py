"""OpenTelemetry log records: the batch processor, into a counter or over OTLP/gRPC.

The record is named as the event, and six attributes carry what the event does.
Queue, batch and delay of the processor are the SDK's defaults.
"""

import time
from collections.abc import Sequence
from typing import Any

from measure import CORRELATION_ID, EVENT, MEASUREMENTS, METADATA
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
)

from rivals import Sender, Sink

_ATTRIBUTES = {**MEASUREMENTS, **METADATA, "correlation_id": CORRELATION_ID}
_ROOM = 1_900  # of the queue's 2,048


class _Counted(LogRecordExporter):
    """Counts what it hands on, or what it keeps if there is nobody behind."""

    def __init__(self, exporter: LogRecordExporter | None = None) -> None:
        self._exporter = exporter
        self.count = 0

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        result = LogRecordExportResult.SUCCESS
        if self._exporter is not None:
            result = self._exporter.export(batch)
        self.count += len(batch)
        return result

    def shutdown(self) -> None:
        if self._exporter is not None:
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        return True


def serve(directory: str) -> Sink:
    """Receive what is exported."""
    from rivals import otlp_server

    return otlp_server.serve(directory)


def open_counted(address: str) -> Sender:
    """Log records that end in a counter."""
    exporter = _Counted()
    return _sender(exporter, kept=lambda: exporter.count)


def open_otlp(address: str) -> Sender:
    """Log records that are exported to a server on this host."""
    return _sender(_Counted(OTLPLogExporter(address, insecure=True)))


def _sender(exporter: _Counted, kept: Any = None) -> Sender:
    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    send = provider.get_logger("benchmark").emit
    sent = 0

    def emit() -> None:
        nonlocal sent
        send(
            LogRecord(
                timestamp=time.time_ns(),
                severity_number=SeverityNumber.INFO,
                event_name=EVENT,
                attributes=_ATTRIBUTES,
            )
        )
        sent += 1

    def flush() -> None:
        assert provider.force_flush(60_000)

    return Sender(emit, flush, kept, None, lambda: sent - exporter.count > _ROOM)
