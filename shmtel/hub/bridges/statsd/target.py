"""A socket that datagrams are sent to: opened when needed, and again after a failure.

A unix socket says at once when nobody reads it. UDP says it only for what was sent
before, if at all; on the same host that is soon enough to ask.

Rules:
- only the bridge's own thread is in here: it may wait, for a while;
- it never raises: what could not be sent has a reason.
"""

import errno
import socket
import time
from collections import Counter
from typing import Any

from shmtel.endpoints.address import host_and_port
from shmtel.hub.bridges.statsd.settings import StatsdSettings

ABSENT, DENIED, FAILED, FULL = "absent", "denied", "failed", "full"
REFUSED, TOO_BIG, UNRESOLVED = "refused", "too_big", "unresolved"
# Of a datagram, not of the server: others may pass, by the same socket.
OF_DATAGRAM = frozenset((TOO_BIG,))
_KEPT_OPEN = OF_DATAGRAM | {FULL}
# Another socket may do: of a server that was started anew, or of another address.
_ELSEWHERE = frozenset((REFUSED, FAILED))
_LOOK_UP_S = 60.0  # a name may move to another address
_TRIES = 2


class Target:
    """Where datagrams go.

    Attributes:
        failures: tries that failed, by reason.
    """

    def __init__(self, settings: StatsdSettings) -> None:
        self._path = settings.path
        self._host_and_port = host_and_port(settings.address)
        self._socket: socket.socket | None = None
        self._opened_s = 0.0
        self._turn = 0  # among the addresses of a name
        self.failures: Counter[str] = Counter()

    def send(self, data: bytes, deadline: float) -> str | None:
        """Send, waiting until a monotonic time at most; return why it was not."""
        reason = None
        for _ in range(_TRIES):
            reason = self._try(data, deadline)
            if reason is None:
                return None
            self.failures[reason] += 1
            if reason not in _KEPT_OPEN:
                self.close()
            if reason not in _ELSEWHERE:
                return reason
            self._turn += 1
        return reason

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _try(self, data: bytes, deadline: float) -> str | None:
        try:
            opened = self._open()
            opened.settimeout(max(0.0, deadline - time.monotonic()))
            opened.send(data)
            number = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except UnicodeError:  # no name of a host that could be looked up
            return UNRESOLVED
        except OSError as error:
            return _reason(error)
        return _reason(OSError(number, "")) if number else None

    def _open(self) -> socket.socket:
        now_s = time.monotonic()
        if self._socket is not None and now_s - self._opened_s < _LOOK_UP_S:
            return self._socket
        self.close()
        family, address = self._resolved()
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            made.connect(address)
        except OSError:
            made.close()
            raise
        self._socket, self._opened_s = made, now_s
        return made

    def _resolved(self) -> tuple[int, Any]:
        if self._host_and_port is None:
            return socket.AF_UNIX, self._path
        found = socket.getaddrinfo(*self._host_and_port, type=socket.SOCK_DGRAM)
        family, _type, _protocol, _name, address = found[self._turn % len(found)]
        return family, address


_REASONS = {
    errno.ENOENT: ABSENT,
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
    errno.EAGAIN: FULL,
    errno.ENOBUFS: FULL,
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: REFUSED,
    errno.EMSGSIZE: TOO_BIG,
}


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return UNRESOLVED
    if isinstance(error, TimeoutError):
        return FULL
    return _REASONS.get(error.errno or 0, FAILED)
