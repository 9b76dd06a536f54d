"""A span for each request of a WSGI application, with the caller's IDs in force.

    application = Middleware(application)

The span is `python.call`, from the call of the application to the end of its body.
What the application emits meanwhile, in the steps of a generator too, has the
correlation ID and the parent that arrived in the headers, or an ID that is new.

All of it happens in a context of the request's own, so that nothing is left behind
in the server's thread, whatever the server does with the body.

Rules: what the application returns or raises reaches the server as it is; a body
that is finished, or that the server may send as a file, is not even wrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from shmtel import _ring
from shmtel.config import warn_once
from shmtel.correlations import HEADERS, correlation, set_correlation_id

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

MAX_PATH_LENGTH = 256  # characters
OTHER = "other"
# A client may send any method, and each would take the room of a series of metrics.
_METHODS = frozenset(
    (
        *("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"),
        *("QUERY", "TRACE", "websocket"),
    )
)
_HEADERS = tuple(("HTTP_" + name.upper().replace("-", "_"), name) for name in HEADERS)


class Middleware:
    """Wraps a WSGI application.

    Args:
        app: the application.
        command: gives the `command` of a request, such as its route; from a small
            set, since metrics may be split by it. None: the method, or `other`.
    """

    def __init__(
        self,
        app: WSGIApplication,
        command: Callable[[WSGIEnvironment], str] | None = None,
    ) -> None:
        self.app = app
        self._command = command

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer a request."""
        method, path = environ.get("REQUEST_METHOD"), _path_of(environ)
        call = _Call(environ, about_request(method, path, self._command, environ))
        return call.context.run(call.start, self.app, start_response)


def about_request(
    method: object,
    path: object,
    command: Callable[[Any], str] | None,
    request: Any,
) -> dict[str, object]:
    """Return the metadata that a request's span begins with."""
    known = method if method in _METHODS else OTHER
    about: dict[str, object] = {"command": known, "path": str(path)[:MAX_PATH_LENGTH]}
    if command is not None:
        try:
            about["command"] = command(request)
        except Exception as error:  # the user's, and no reason to fail a request
            warn_once(
                f"the command of a request is its method, for {command!r} has raised "
                f"{type(error).__name__}: {error}",
                condition=f"command {command!r}",
            )
    return about


class _Call:
    """One request: its context, and the span that is open in it."""

    def __init__(self, environ: WSGIEnvironment, about: dict[str, object]) -> None:
        self.context = copy_context()
        self._environ = environ
        self._span = _ring.span("python.call", about)

    def start(
        self, app: WSGIApplication, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Call the application; inside of the context."""
        set_correlation_id(None)  # the server's thread may have one
        correlation(headers=_headers(self._environ)).__enter__()
        self._span.__enter__()
        try:
            body = app(self._environ, self._noting_status(start_response))
        except BaseException as error:
            self.end(error)
            raise
        if self._is_finished(body):
            self.end()
            return body
        return _Body(self, body)

    def end(self, error: BaseException | None = None) -> None:
        """End the span; inside of the context."""
        if error is None:
            self._span.__exit__(None, None, None)
        else:
            self._span.__exit__(type(error), error, error.__traceback__)

    def _noting_status(self, start_response: StartResponse) -> StartResponse:
        def start(status: str, *arguments: Any, **named: Any) -> Any:
            self._span.set("status", status_of(status))
            return start_response(status, *arguments, **named)

        return start

    def _is_finished(self, body: object) -> bool:
        file_wrapper = self._environ.get("wsgi.file_wrapper")
        is_file = isinstance(file_wrapper, type) and isinstance(body, file_wrapper)
        return is_file or isinstance(body, list | tuple)


class _Body:
    """The rest of an answer; each step runs in the request's context."""

    def __init__(self, call: _Call, body: Iterable[bytes]) -> None:
        self._call = call
        self._body = body
        self._steps: Iterator[bytes] | None = None
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._call.context.run(self._step)

    def close(self) -> None:
        """End the span, and let the application clean up before."""
        self._call.context.run(self._close)

    def _step(self) -> bytes:
        try:
            if self._steps is None:
                self._steps = iter(self._body)
            return next(self._steps)
        except StopIteration:
            raise
        except BaseException as error:
            self._end(error)
            raise

    def _close(self) -> None:
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        except BaseException as error:
            self._end(error)
            raise
        self._end()

    def _end(self, error: BaseException | None = None) -> None:
        if not self._is_over:
            self._is_over = True
            self._call.end(error)


def status_of(status: object) -> int | None:
    """Return the number in a status line."""
    digits = str(status)[:3]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _path_of(environ: WSGIEnvironment) -> str:
    """Return the path as text; WSGI has a character for each of its bytes."""
    path = str(environ.get("PATH_INFO", ""))
    try:
        return path.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:  # of a server that has decoded it
        return path


def _headers(environ: WSGIEnvironment) -> list[tuple[str, object]]:
    return [(name, environ[key]) for key, name in _HEADERS if key in environ]
