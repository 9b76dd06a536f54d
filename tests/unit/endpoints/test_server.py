"""The HTTP server, over real sockets."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shmtel.endpoints.readiness import Check, Readiness
from shmtel.endpoints.server import EndpointError, HttpServer
from shmtel.errors import ShmtelError
from support.http import get
from support.processes import wait_until

WAIT_S = 20.0


class Daemon:
    """A target that says what it is told to."""

    def __init__(self) -> None:
        self.alive = True
        self.ready = True
        self.broken = ""

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        if self.broken:
            raise ShmtelError(self.broken)
        return f"accept {accept}\n".encode(), "text/plain; version=0"

    async def readiness(self) -> Readiness:
        return Readiness([Check("work", self.ready, "goes round")])

    def is_alive(self) -> bool:
        return self.alive


@contextmanager
def _serving(daemon: Daemon) -> Iterator[str]:
    server = HttpServer(daemon, "127.0.0.1", 0)
    url = server.open()
    try:
        yield url
    finally:
        server.close()


def test_the_endpoints() -> None:
    """Each says in its status what machines ask, and in words why."""
    daemon = Daemon()
    with _serving(daemon) as url:
        answer = get(f"{url}/metrics", "text/x")
        assert answer == (200, "accept text/x\n", "text/plain; version=0")
        assert get(f"{url}/livez")[:2] == (200, "alive\n")
        assert get(f"{url}/readyz")[:2] == (200, "ready\n")
        daemon.alive = daemon.ready = False
        assert get(f"{url}/livez").status == 503
        answer = get(f"{url}/readyz?verbose")
        assert answer.status == 503
        assert "[-]work failed: goes round" in answer.text
        daemon.broken = "no answer"
        assert get(f"{url}/metrics")[:2] == (503, "no answer\n")
        assert get(f"{url}/elsewhere").status == 404


def test_an_address_in_use() -> None:
    """Whoever opens it is told, before anything was started."""
    with _serving(Daemon()) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(EndpointError, match="in use"):
            HttpServer(Daemon(), "127.0.0.1", port).open()


def test_an_address_of_nobody() -> None:
    """A name that is not known is no defect of the server."""
    with pytest.raises(EndpointError):
        HttpServer(Daemon(), "no.such.host.invalid", 80).open()


def test_an_end_takes_no_time() -> None:
    """A scraper that keeps its connection, or says nothing, holds nobody up."""
    server = HttpServer(Daemon(), "127.0.0.1", 0)
    url = server.open()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as silent:
        silent.sendall(b"GET /met")
        assert get(f"{url}/livez").status == 200
        started = time.monotonic()
        server.close()
        assert time.monotonic() - started < WAIT_S / 10

    def is_over() -> bool:
        return not any(t.name == "shmtel-http" for t in threading.enumerate())

    wait_until(is_over, WAIT_S)
