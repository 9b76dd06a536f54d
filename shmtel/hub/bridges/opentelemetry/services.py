"""The three services of OTLP: where they are, and how their answers are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceResponse,
)

from shmtel.hub.bridges.opentelemetry.frames import Signal
from shmtel.hub.bridges.opentelemetry.sender import Answer

_MESSAGE_MAX = 500  # characters of what a backend says
_PACKAGE = "opentelemetry.proto.collector"


@dataclass(frozen=True, slots=True)
class Service:
    """One of them.

    Attributes:
        method: of gRPC.
        path: of HTTP, below an endpoint for all signals.
        rejected: the field that tells how many items were not taken.
    """

    method: str
    path: str
    response: type[Message]
    rejected: str

    def answer(self, body: bytes) -> Answer:
        """Return what a response says; one that cannot be read says that it is there.

        The request was taken, for that is what the status said.
        """
        response: Any = self.response()
        try:
            response.ParseFromString(body)
        except DecodeError as error:
            return Answer(message=f"a response that is none: {error}")
        partial = response.partial_success
        message = shortened(partial.error_message)
        return Answer(rejected=getattr(partial, self.rejected), message=message)


SERVICES: Mapping[Signal, Service] = {
    Signal.TRACES: Service(
        *(f"/{_PACKAGE}.trace.v1.TraceService/Export", "v1/traces"),
        *(ExportTraceServiceResponse, "rejected_spans"),
    ),
    Signal.LOGS: Service(
        *(f"/{_PACKAGE}.logs.v1.LogsService/Export", "v1/logs"),
        *(ExportLogsServiceResponse, "rejected_log_records"),
    ),
    Signal.METRICS: Service(
        *(f"/{_PACKAGE}.metrics.v1.MetricsService/Export", "v1/metrics"),
        *(ExportMetricsServiceResponse, "rejected_data_points"),
    ),
}


def shortened(text: str) -> str:
    """Make what a backend says fit for a line of a log."""
    cut = text[:_MESSAGE_MAX]
    return "".join(c if c.isprintable() else " " for c in cut)
