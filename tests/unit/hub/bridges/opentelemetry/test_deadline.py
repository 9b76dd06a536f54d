"""A try over HTTP is over in its time, whatever a backend does."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shmtel.hub.bridges.opentelemetry.bridge import _client
from shmtel.hub.bridges.opentelemetry.frames import Signal
from shmtel.hub.bridges.opentelemetry.sender import Client
from shmtel.hub.bridges.opentelemetry.settings import OpenTelemetrySettings, targets_of
from support.otlp_backend import http_backend

TIMEOUT_S = 0.3
LONG_S = 20.0  # how long a try would take that waits for the end of an answer
_OK = b"HTTP/1.1 200 OK\r\n"
# What is sent at once, and then again and again.
WAYS = {
    "status": (b"", b"H"),
    "header": (_OK, b"x"),
    "headers": (_OK, b"x: y\r\n"),
    "body": (_OK + b"Content-Length: 60000\r\n\r\n", b"x"),
    "body without a length": (_OK + b"\r\n", b"x"),
    "chunks": (_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@contextmanager
def dribbling(
    head: bytes, drop: bytes, pause_s: float = TIMEOUT_S / 10
) -> Iterator[str]:
    """Serve one connection, a little at a time, until the client has gone."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        ends_s = time.monotonic() + LONG_S
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.recv(1 << 16)
            connection.sendall(head)
            while time.monotonic() < ends_s:
                connection.sendall(drop)
                time.sleep(pause_s)

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@contextmanager
def client_of(endpoint: str) -> Iterator[Client]:
    """Give a client of a backend."""
    settings = OpenTelemetrySettings(endpoint, "http/protobuf")
    client = _client(Signal.TRACES, targets_of(settings, {})[Signal.TRACES])
    try:
        yield client
    finally:
        client.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_backend_that_dribbles(way: str) -> None:
    """It may not hold a try by being late with nothing but the end."""
    with dribbling(*WAYS[way]) as address, client_of(f"http://{address}") as client:
        began_s = time.monotonic()
        answer = client.send(b"", TIMEOUT_S)
        took_s = time.monotonic() - began_s
    assert answer.error
    assert answer.may_pass
    assert TIMEOUT_S <= took_s < LONG_S / 4


def test_a_proxy_that_dribbles(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is part of the way."""
    with dribbling(_OK, b"x: y\r\n") as address:
        monkeypatch.setenv("https_proxy", f"http://{address}")
        with client_of("https://127.0.0.1:9") as client:
            began_s = time.monotonic()
            assert client.send(b"", TIMEOUT_S).may_pass
            assert time.monotonic() - began_s < LONG_S / 4


def test_a_backend_that_never_ends() -> None:
    """Nobody wants the rest of an answer that is too long, nor keeps it."""
    way = (_OK + b"\r\n", bytes(1 << 20), 0.0)
    with dribbling(*way) as address, client_of(f"http://{address}") as client:
        began_s = time.monotonic()
        client.send(b"", LONG_S)
        assert time.monotonic() - began_s < LONG_S / 4


def test_a_connection_is_kept() -> None:
    """Answers that were read leave it for the next request, each with its own time."""
    with http_backend() as backend, client_of(backend.endpoint) as client:
        ports = set()
        for _ in range(3):
            assert not client.send(b"", 5.0).error
            ports.add(backend.ports[-1])
    assert len(ports) == 1
