"""A backend for OTLP on this host, built on the official opentelemetry-proto.

It takes gRPC or HTTP, keeps every request that it takes, and answers as a test says.
"""

import gzip
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_THREADS = 8
# Key and certificate of 127.0.0.1, signed by themselves; they protect nothing.
CERTIFICATE = Path(__file__).with_name("loopback.pem")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a signal is made of."""

    service: str
    path: str
    request: Any
    response: Any
    rejected: str


KINDS: Mapping[str, Kind] = {
    "traces": Kind(
        *("trace.v1.TraceService", "/v1/traces"),
        *(traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
        "rejected_spans",
    ),
    "logs": Kind(
        *("logs.v1.LogsService", "/v1/logs"),
        *(logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse),
        "rejected_log_records",
    ),
    "metrics": Kind(
        *("metrics.v1.MetricsService", "/v1/metrics"),
        *(metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
        "rejected_data_points",
    ),
}


HELD_S = 8.0  # less than a request may take


@dataclass(frozen=True, slots=True)
class Reply:
    """How a request is answered.

    Attributes:
        failure: the status, of gRPC or HTTP; None: it is taken.
        retry_s: when to come again; None: that is not said.
        rejected: items that are not taken of a request that is.
        delay_s: how long the answer takes.
        may_go: is waited for before the answer.
    """

    failure: Any = None
    retry_s: int | None = None
    rejected: int = 0
    message: str = ""
    delay_s: float = 0.0
    may_go: threading.Event | None = None


@dataclass
class Backend:
    """What was received, and how the next requests are answered."""

    endpoint: str = ""
    replies: deque[Reply] = field(default_factory=deque)  # of the next; then: taken
    taken: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)  # over HTTP, of those who asked
    asked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, signal: str, request: Any, headers: dict[str, str]) -> Reply:
        """Note a request, and say how it is answered."""
        with self._lock:
            self.asked += 1
            reply = self.replies.popleft() if self.replies else Reply()
            if reply.failure is None:
                self.taken.append((signal, request))
            self.headers.append(headers)
        time.sleep(reply.delay_s)
        if reply.may_go is not None:
            assert reply.may_go.wait(HELD_S)
        return reply

    def spans(self) -> list[tuple[dict[str, Any], Any]]:
        """Return each span with the attributes of its resource."""
        return list(self._items("traces", "resource_spans", "scope_spans", "spans"))

    def logs(self) -> list[tuple[dict[str, Any], Any]]:
        """Return each log record with the attributes of its resource."""
        names = ("resource_logs", "scope_logs", "log_records")
        return list(self._items("logs", *names))

    def _items(self, signal: str, *names: str) -> Iterator[tuple[dict[str, Any], Any]]:
        for kind, request in list(self.taken):
            for resource in getattr(request, names[0]) if kind == signal else ():
                attributes = plain(resource.resource.attributes)
                for scope in getattr(resource, names[1]):
                    for item in getattr(scope, names[2]):
                        yield attributes, item


def plain(attributes: Any) -> dict[str, Any]:
    """Return attributes as Python's values; a key is there once."""
    pairs = [(pair.key, value_of(pair.value)) for pair in attributes]
    assert len({key for key, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def value_of(value: AnyValue) -> Any:
    """Return the Python value of an AnyValue."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return plain(value.kvlist_value.values)
    return getattr(value, kind)


def _response(kind: Kind, reply: Reply) -> Any:
    response = kind.response()
    if reply.rejected or reply.message:
        setattr(response.partial_success, kind.rejected, reply.rejected)
        response.partial_success.error_message = reply.message
    return response


# -- gRPC ------------------------------------------------------------------------


@contextmanager
def grpc_backend(address: str = "127.0.0.1:0", *, secure: bool = False) -> Any:
    """Serve gRPC until the context ends."""
    backend = Backend()
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS))
    for signal, kind in KINDS.items():
        method = grpc.unary_unary_rpc_method_handler(
            _exporter(backend, signal, kind),
            request_deserializer=kind.request.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
        name = f"opentelemetry.proto.collector.{kind.service}"
        handler = grpc.method_handlers_generic_handler(name, {"Export": method})
        server.add_generic_rpc_handlers((handler,))
    if secure:
        pem = CERTIFICATE.read_bytes()
        credentials = grpc.ssl_server_credentials([(pem, pem)])
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    backend.endpoint = f"127.0.0.1:{port}"
    try:
        yield backend
    finally:
        server.stop(0).wait()


def _exporter(backend: Backend, signal: str, kind: Kind) -> Callable[..., Any]:
    def export(request: Any, context: Any) -> Any:
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        reply = backend.take(signal, request, headers)
        if reply.failure is None:
            return _response(kind, reply)
        if reply.retry_s is not None:
            status = Status(code=reply.failure.value[0])
            status.details.append(_retry_info(reply.retry_s))
            details = ("grpc-status-details-bin", status.SerializeToString())
            context.set_trailing_metadata((details,))
        context.abort(reply.failure, reply.message)

    return export


def _retry_info(seconds: int) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(RetryInfo(retry_delay=Duration(seconds=seconds)))
    return packed


# -- HTTP ------------------------------------------------------------------------


def bound_socket() -> socket.socket:
    """Return a socket with a port of its own, on which nobody listens yet."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


@contextmanager
def http_backend(place: socket.socket | None = None, *, secure: bool = False) -> Any:
    """Serve HTTP until the context ends.

    Args:
        place: bound already, so that the address is known before anybody listens.
    """
    backend = Backend()
    paths = {kind.path: signal for signal, kind in KINDS.items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            backend.ports.append(self.client_address[1])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            signal = paths.get(self.path)
            if signal is None:
                return self._answer(404, b"")
            kind = KINDS[signal]
            request = kind.request.FromString(body)
            reply = backend.take(signal, request, dict(self.headers))
            if reply.failure is None:
                return self._answer(200, _response(kind, reply).SerializeToString())
            status = Status(message=reply.message)
            return self._answer(reply.failure, status.SerializeToString(), reply)

        def _answer(self, code: int, body: bytes, reply: Reply | None = None) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            if reply is not None and reply.retry_s is not None:
                self.send_header("Retry-After", str(reply.retry_s))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    place = place or bound_socket()
    address = place.getsockname()
    server = ThreadingHTTPServer(address, Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = place
    server.server_activate()
    server.daemon_threads = True
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    backend.endpoint = f"http{'s' * secure}://127.0.0.1:{address[1]}"
    try:
        yield backend
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
