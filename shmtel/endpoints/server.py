"""The HTTP server: one thread with an event loop of its own.

The daemon goes on while somebody is answered, and idles while nobody is: the loop
of uvicorn would wake ten times a second to look at the clock, so ours replaces it.

Rules:
- the socket is bound before the thread is started: whoever opens the server learns
  what is wrong with the address;
- probes are answered however many connections are open on which nothing is asked;
- whatever is answered, also by uvicorn itself when it is too much, is kept in no
  cache, and a browser is told not to guess what it is.
"""

import asyncio
import logging
import socket
import threading
from contextlib import suppress

import uvicorn

from shmtel.endpoints.address import http_url, parse_http_address
from shmtel.endpoints.application import Target, application
from shmtel.endpoints.connection import Connection
from shmtel.errors import ShmtelError

CLOSE_S = 0.5
_CONNECTIONS_MAX = 16
_IDLE_S = 5
_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_log = logging.getLogger(__name__)


class EndpointError(ShmtelError):
    """The address cannot be listened on; the text says why."""


class HttpServer:
    """Serves the endpoints of a target."""

    def __init__(self, target: Target, host: str, port: int) -> None:
        """Say where; port 0 takes a free one."""
        self._target = target
        self._address = (host, port)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> str:
        """Listen, and return the URL.

        Raises:
            EndpointError: the address is in use, or not of this machine.
        """
        listener = _listen(*self._address)
        host, port = listener.getsockname()[:2]
        self._server = _Server(_config(self._target))
        self._thread = threading.Thread(
            target=_run, args=(self._server, listener), name="shmtel-http"
        )
        self._thread.daemon = True
        self._thread.start()
        return http_url(host, port)

    def close(self) -> None:
        """Serve no more; who is being answered has a moment."""
        if self._server is None or self._thread is None:
            return
        self._server.stop()
        self._thread.join(CLOSE_S)


class NoServer:
    """Serves nothing."""

    def close(self) -> None:
        """There is nothing to close."""


def serve(target: Target, address: str, log: logging.Logger) -> HttpServer | NoServer:
    """Serve on an address, unless it is `off`.

    A daemon does its work without endpoints: what fails is one warning.

    Raises:
        ConfigurationError: the text is no address.
    """
    place = parse_http_address(address)
    if place is None:
        return NoServer()
    server = HttpServer(target, *place)
    try:
        log.info("metrics at %s/metrics", server.open())
    except EndpointError as error:
        log.warning(
            "no metrics over HTTP on %s; choose another address with --http, or "
            "--http off",
            error,
        )
        return NoServer()
    return server


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        # What uvicorn would set with its clock, which does not tick here.
        self.server_state.default_headers = _HEADERS

    async def main_loop(self) -> None:
        """Wait for the end."""
        self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._stop.wait()

    def stop(self) -> None:
        """End the server; from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._stop.set)


def _run(server: _Server, listener: socket.socket) -> None:
    try:
        asyncio.run(server.serve(sockets=[listener]))
    except Exception:  # a defect there must not look like one of the daemon
        _log.exception("the HTTP endpoints have ended")
    finally:
        listener.close()


def _config(target: Target) -> uvicorn.Config:
    return uvicorn.Config(
        application(target),
        loop="asyncio",
        http=Connection,
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        log_level="error",  # a warning is what anybody can cause who connects
        access_log=False,
        server_header=False,
        date_header=False,
        limit_concurrency=_CONNECTIONS_MAX,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=1,
    )


def _listen(host: str, port: int) -> socket.socket:
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_CONNECTIONS_MAX)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise EndpointError(f"{host}:{port} ({error.strerror or error})") from error
    return listener
