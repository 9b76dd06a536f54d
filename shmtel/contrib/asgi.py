"""A span for each request of an ASGI application, with the caller's IDs in force.

    application = Middleware(application)

The span is `python.call`, for HTTP requests and for WebSockets; lifespan and what
else a server may ask for passes through. See contrib/wsgi.py for what it holds.

Rules: what the application sends, receives or raises is left as it is; each request
is a task or a block of its own, so the context is put back at its end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from shmtel import _ring
from shmtel.contrib.wsgi import about_request
from shmtel.correlations import (
    correlation,
    reset_correlation_id,
    set_correlation_id,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_REQUESTS = frozenset({"http", "websocket"})


class Middleware:
    """Wraps an ASGI application.

    Args:
        app: the application.
        command: gives the `command` of a request from its scope; from a small set,
            since metrics may be split by it. None: the method, `websocket` or `other`.
    """

    def __init__(
        self, app: Application, command: Callable[[Scope], str] | None = None
    ) -> None:
        self.app = app
        self._command = command

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope.get("type") not in _REQUESTS:
            await self.app(scope, receive, send)
            return
        method, path = scope.get("method", "websocket"), scope.get("path", "")
        about = about_request(method, path, self._command, scope)
        token = set_correlation_id(None)  # the server's task may have one
        try:
            with (
                correlation(headers=scope.get("headers")),
                _ring.span("python.call", about) as span,
            ):
                await self.app(scope, receive, _noting_status(span, send))
        finally:
            reset_correlation_id(token)


def _noting_status(span: _ring.Span, send: Send) -> Send:
    async def note(message: Message) -> None:
        if message.get("type") == "http.response.start":
            span.set("status", message.get("status"))
        await send(message)

    return note
