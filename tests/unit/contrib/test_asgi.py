"""The ASGI middleware."""

import asyncio
from typing import Any

import pytest

import shmtel
from shmtel.contrib.asgi import Middleware
from shmtel.testing import Capture, capture

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = [(b"traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())]


async def _receive() -> Any:
    return {"type": "http.request"}


def ask(app: Any, **scope: Any) -> tuple[list[Any], Capture]:
    """Ask as a server does, and return what it was sent."""
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def serve() -> None:
        await Middleware(app)(scope, _receive, send)
        assert shmtel.get_correlation_id() is None
        assert shmtel.current_span() is None

    with capture() as captured:
        asyncio.run(serve())
    return sent, captured


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """Answer with an event before."""
    shmtel.emit("answering", {})
    await send({"type": "http.response.start", "status": 404})
    await send({"type": "http.response.body", "body": b"no"})


def test_request_is_a_span_of_the_caller_s_trace() -> None:
    """Status, path and method are told, and messages pass as they are."""
    request = {"type": "http", "method": "PUT", "path": "/orders", "headers": HEADERS}
    sent, captured = ask(answering, **request)
    assert [message["type"] for message in sent] == [
        *("http.response.start", "http.response.body"),
    ]
    assert captured.names() == ["python.call.start", "answering", "python.call.stop"]
    assert {event.correlation_id for event in captured.events} == {TRACE}
    stop = captured.events[-1]
    assert stop.metadata == {"command": "PUT", "path": "/orders", "status": 404}


def test_requests_without_headers_have_ids_of_their_own() -> None:
    """A new one each, not what the server's task has."""
    ids = set()
    for _ in range(2):
        _, captured = ask(answering, type="websocket", path="/live", headers=[])
        assert captured.events[0].metadata["command"] == "websocket"
        ids |= {event.correlation_id for event in captured.events}
    assert len(ids) == 2


def test_exception_passes_and_ends_the_span() -> None:
    """The server learns of it as without us."""

    async def raising(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("no such order")

    with capture() as captured, pytest.raises(LookupError):
        ask(raising, type="http", method="GET", path="/")
    assert captured.names() == ["python.call.start", "python.call.exception"]


def test_lifespan_is_no_request() -> None:
    """What else a server asks for passes through."""
    sent, captured = ask(answering, type="lifespan")
    assert len(sent) == 2
    assert captured.names() == ["answering"]
