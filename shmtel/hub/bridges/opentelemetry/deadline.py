"""Connections of urllib3 that keep to the time of a request as a whole.

The timeout of a socket is that of one read: a server that sends a byte now and then
is never late, and holds for ever whoever waits for its answer. Here each step of a
request, from the handshake to the last byte of the answer, has what is left of its
time.

Rules:
- of a host with several addresses each may take the whole time to connect to: that
  is one step to urllib3.
"""

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Deadline:
    """When the request that is on its way has to be over."""

    def __init__(self) -> None:
        self._ends_s = 0.0

    def begin(self, timeout_s: float) -> None:
        """Give the next request its time."""
        self._ends_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Return the time that is left.

        Raises:
            TimeoutError: there is none.
        """
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        return left_s


def pool_classes(deadline: Deadline) -> dict[str, type[HTTPConnectionPool]]:
    """Return what a manager of pools makes pools of, by scheme."""

    class Plain(_Timely, HTTPConnection):
        pass

    class Secure(_Timely, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    Plain.deadline = Secure.deadline = deadline
    return {"http": PlainPool, "https": SecurePool}


class _Timely(HTTPConnection):
    """A connection that tells its socket before each step what is left."""

    deadline: Deadline

    def _new_conn(self) -> socket.socket:
        """Connect; for the handshake, which is one step to a socket."""
        sock = super()._new_conn()
        sock.settimeout(self.deadline.left_s())
        return sock

    def send(self, data: Any) -> None:
        """Send a part of the request."""
        if self.sock is not None:
            self.sock.settimeout(self.deadline.left_s())
        super().send(data)

    def response_class(  # type: ignore[override]  # it is called, like a class
        self, sock: Any, *arguments: Any, **named: Any
    ) -> HTTPResponse:
        """Return what reads an answer, that of a proxy too."""
        source: Any = _Source(sock, self.deadline)
        return HTTPResponse(source, *arguments, **named)


class _Source:
    """A socket to the one who reads from it."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what is read from."""
        return io.BufferedReader(_Reader(self._sock, self._deadline))


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._deadline.left_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
