"""The least that an OTLP/gRPC server can do: decode, count, answer.

It decodes with the messages of opentelemetry-proto, which are C underneath, and
builds nothing of its own from them.
"""

from concurrent import futures
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from rivals import Sink

_PACKAGE = "opentelemetry.proto.collector"
_THREADS = 16  # one for each process that exports


def serve(directory: str) -> Sink:
    """Receive spans and log records on a free port."""
    counts: list[int] = []  # appending is atomic, the threads are several

    def export_spans(request: Any, context: object) -> Any:
        counts.append(
            sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans)
        )
        return trace_service_pb2.ExportTraceServiceResponse()

    def export_logs(request: Any, context: object) -> Any:
        counts.append(
            sum(len(s.log_records) for r in request.resource_logs for s in r.scope_logs)
        )
        return logs_service_pb2.ExportLogsServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(_THREADS))
    spans = trace_service_pb2.ExportTraceServiceRequest
    logs = logs_service_pb2.ExportLogsServiceRequest
    for service, handler, message in (
        ("trace.v1.TraceService", export_spans, spans),
        ("logs.v1.LogsService", export_logs, logs),
    ):
        method = grpc.unary_unary_rpc_method_handler(
            handler,
            request_deserializer=message.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
        name = f"{_PACKAGE}.{service}"
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"Export": method}),)
        )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return Sink(f"127.0.0.1:{port}", lambda: sum(counts), lambda: server.stop(None))
