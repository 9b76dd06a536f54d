"""Both ways to a backend, against servers built on the official messages."""

import socket
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from shmtel.hub.bridges.opentelemetry.bridge import _client
from shmtel.hub.bridges.opentelemetry.frames import Signal
from shmtel.hub.bridges.opentelemetry.http_client import retry_after
from shmtel.hub.bridges.opentelemetry.sender import Answer
from shmtel.hub.bridges.opentelemetry.settings import OpenTelemetrySettings, targets_of
from support.otlp_backend import (
    CERTIFICATE,
    Backend,
    Reply,
    grpc_backend,
    http_backend,
)

REQUEST = ExportTraceServiceRequest()
REQUEST.resource_spans.add().scope_spans.add().spans.add(name="op")
BACKENDS = {"grpc": grpc_backend, "http/protobuf": http_backend}


@pytest.fixture(params=list(BACKENDS))
def protocol(request: pytest.FixtureRequest) -> str:
    """Give each protocol."""
    name: str = request.param
    return name


@pytest.fixture
def backend(protocol: str) -> Iterator[Backend]:
    """Give a backend of that protocol."""
    with BACKENDS[protocol]() as running:
        yield running


def send(
    endpoint: str, protocol: Any, timeout_s: float = 5.0, **variables: str
) -> Answer:
    """Send a request."""
    environment = {"OTEL_EXPORTER_OTLP_INSECURE": "true", **variables}
    settings = OpenTelemetrySettings(endpoint, protocol)
    target = targets_of(settings, environment)[Signal.TRACES]
    client = _client(Signal.TRACES, target)
    try:
        return client.send(REQUEST.SerializeToString(), timeout_s)
    finally:
        client.close()


def test_a_request_arrives(backend: Backend, protocol: str) -> None:
    """With its headers, compressed or not, by one connection or another."""
    assert send(backend.endpoint, protocol) == Answer()
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "Api-Key=s%20t"}
    gzip = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
    assert send(backend.endpoint, protocol, **headers, **gzip) == Answer()
    assert backend.taken == [("traces", REQUEST)] * 2
    found = {name.lower(): text for name, text in backend.headers[1].items()}
    assert found["api-key"] == "s t"


def test_a_partial_success_is_told(backend: Backend, protocol: str) -> None:
    """How much was rejected, and why."""
    backend.replies.append(Reply(rejected=1, message="too old"))
    assert send(backend.endpoint, protocol) == Answer(rejected=1, message="too old")


@pytest.mark.parametrize(
    ("of_grpc", "of_http", "retry_s", "may_pass"),
    [
        ("UNAVAILABLE", 503, None, True),
        ("UNAVAILABLE", 503, 7, True),
        ("DEADLINE_EXCEEDED", 504, None, True),
        ("ABORTED", 502, None, True),
        ("RESOURCE_EXHAUSTED", 429, 2, True),
        ("INVALID_ARGUMENT", 400, None, False),
        ("UNAUTHENTICATED", 401, None, False),
        ("INTERNAL", 500, None, False),
    ],
)
def test_failures(
    backend: Backend,
    protocol: str,
    of_grpc: str,
    of_http: int,
    retry_s: int | None,
    may_pass: bool,
) -> None:
    """Which may pass, and when, is what the specification says."""
    failure = getattr(grpc.StatusCode, of_grpc) if protocol == "grpc" else of_http
    backend.replies.append(Reply(failure, retry_s, message="no\nmore"))
    answer = send(backend.endpoint, protocol)
    assert (answer.may_pass, answer.delay_s) == (may_pass, retry_s)
    assert "no more" in answer.error


def test_no_resources_and_no_word_of_when() -> None:
    """Of gRPC that is for good."""
    with grpc_backend() as backend:
        backend.replies.append(Reply(grpc.StatusCode.RESOURCE_EXHAUSTED))
        assert not send(backend.endpoint, "grpc").may_pass


def test_a_backend_that_is_slow(backend: Backend, protocol: str) -> None:
    """The request is given its time, and may be tried again."""
    backend.replies.append(Reply(delay_s=0.5))
    answer = send(backend.endpoint, protocol, 0.1)
    assert answer.error
    assert answer.may_pass


def test_a_backend_that_is_not_there(protocol: str) -> None:
    """It may come."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    scheme = "" if protocol == "grpc" else "http://"
    answer = send(f"{scheme}127.0.0.1:{port}", protocol, 2.0)
    assert answer.may_pass
    assert "127.0.0.1" in answer.error
    assert "object at 0x" not in answer.error


def test_an_encrypted_connection(protocol: str) -> None:
    """The server is verified by the certificate that is named, or not talked to."""
    with BACKENDS[protocol](secure=True) as backend:
        variables = {
            "OTEL_EXPORTER_OTLP_INSECURE": "false",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(CERTIFICATE),
        }
        assert send(backend.endpoint, protocol, **variables) == Answer()
        del variables["OTEL_EXPORTER_OTLP_CERTIFICATE"]
        assert send(backend.endpoint, protocol, 1.0, **variables).error
        assert len(backend.taken) == 1


def test_a_path_that_nobody_serves() -> None:
    """It is refused for good."""
    with http_backend() as backend:
        answer = send(f"{backend.endpoint}/elsewhere", "http/protobuf")
    assert not answer.may_pass
    assert "404" in answer.error


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        (" 12 ", 12.0),
        ("soon", None),
        ("-3", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 +99999999999999", None),
        (f"Thu, 01 Jan {9**30} 00:00:00 GMT", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    """It is a number of seconds or a date, or as if it were not there."""
    assert retry_after(text) == seconds
