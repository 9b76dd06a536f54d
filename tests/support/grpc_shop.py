"""A service of gRPC whose every method does as its first request says, told twice.

Its calls are of all four kinds; requests and responses are bytes. `told` gives the
events of one side of a call as short lines, to be compared at a glance.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

import shmtel
from shmtel.contrib.grpc import client_interceptors, server_interceptors
from shmtel.testing import Capture
from support.processes import wait_until

SERVICE = "shop.Orders"
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
WORDS = (b"ok", b"2", b"3")
PATIENCE_S = 20.0
CODE = grpc.StatusCode.NOT_FOUND


class Broken(Exception):
    """What a handler raises that does not know better."""


def path_of(kind: str) -> str:
    """Return the full name of the method of a kind."""
    return f"/{SERVICE}/{kind}"


def requests_of(kind: str, *words: bytes) -> Any:
    """Return what a client sends: a stream of words, or the first."""
    return iter(words) if kind.startswith("stream") else words[0]


class Shop:
    """The handlers of a synchronous server, and what they have seen."""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str | None]] = []

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a server takes."""
        return _generic({kind: getattr(self, kind) for kind in KINDS})

    def unary_unary(self, request: bytes, context: Any) -> bytes:
        return self._act(request, context)

    def unary_stream(self, request: bytes, context: Any) -> Iterator[bytes]:
        for number in range(3):
            yield self._act(request if number == 1 else b"ok", context)

    def stream_unary(self, requests: Iterator[bytes], context: Any) -> bytes:
        return self._act(next(requests), context) + bytes(len(list(requests)))

    def stream_stream(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for request in requests:
            yield self._act(request, context)

    def _act(self, word: bytes, context: Any) -> bytes:
        self.seen.append(_standing())
        if word == b"raise":
            raise Broken("no such order")
        if word == b"abort":
            context.abort(CODE, "not here")
        if word == b"set":
            context.set_code(CODE)
            context.set_details("not here")
        if word == b"wait":
            has_gone = threading.Event()
            context.add_callback(has_gone.set)
            assert has_gone.wait(PATIENCE_S)
        return word


class AioShop:
    """The same for grpc.aio: coroutines and asynchronous generators."""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str | None]] = []

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a server takes."""
        return _generic({kind: getattr(self, kind) for kind in KINDS})

    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        return await self._act(request, context)

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(3):
            yield await self._act(request if number == 1 else b"ok", context)

    async def stream_unary(self, requests: Any, context: Any) -> bytes:
        first = await anext(aiter(requests))
        return await self._act(first, context) + bytes(len([r async for r in requests]))

    async def stream_stream(self, requests: Any, context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield await self._act(request, context)

    async def _act(self, word: bytes, context: Any) -> bytes:
        self.seen.append(_standing())
        if word == b"raise":
            raise Broken("no such order")
        if word == b"abort":
            await context.abort(CODE, "not here")
        if word == b"set":
            context.set_code(CODE)
            context.set_details("not here")
        if word == b"wait":
            await asyncio.sleep(PATIENCE_S)
        return word


def _standing() -> tuple[str | None, str | None]:
    """Return the correlation ID and the span that are in force here."""
    span = shmtel.current_span()
    return shmtel.get_correlation_id(), span.span_id if span else None


def _generic(behaviors: dict[str, Callable[..., Any]]) -> grpc.GenericRpcHandler:
    makers = {kind: getattr(grpc, f"{kind}_rpc_method_handler") for kind in behaviors}
    return grpc.method_handlers_generic_handler(
        SERVICE, {kind: makers[kind](behaviors[kind]) for kind in behaviors}
    )


class Line:
    """A server on a unix socket, and a channel to it."""

    def __init__(self, address: str, pool: ThreadPoolExecutor) -> None:
        self.address = address
        self.shop = Shop()
        self.server = grpc.server(
            pool, [self.shop.handlers()], interceptors=server_interceptors()
        )
        self.server.add_insecure_port(address)
        self.server.start()
        self.bare = grpc.insecure_channel(address)
        self.channel = grpc.intercept_channel(self.bare, *client_interceptors())

    def method(self, kind: str) -> Any:
        """Return what makes calls of a kind."""
        return getattr(self.channel, kind)(path_of(kind))

    def ask(self, kind: str, *words: bytes) -> list[bytes]:
        """Make a call, and return its responses."""
        given = self.method(kind)(requests_of(kind, *words), timeout=PATIENCE_S)
        return list(given) if kind.endswith("stream") else [given]


@contextmanager
def running(directory: Path) -> Iterator[Line]:
    """Run a line, and end it."""
    with ThreadPoolExecutor(4) as pool:
        line = Line(f"unix:{directory}/s", pool)
        yield line
        line.channel.close()
        line.server.stop(None).wait()


# -- what was told ------------------------------------------------------------


def told(captured: Capture, side: str, kind: str) -> list[str]:
    """Wait for the end of a call; return its events, the messages sorted."""
    wait_until(lambda: _ended(captured, side, kind), PATIENCE_S)
    lines = [
        (event.name.rpartition(".")[2], event)
        for event in captured.matching("grpc.[cs]*")
        if event.metadata["side"] == side and event.metadata["method"] == kind
    ]
    messages = [line for line, event in lines if line == "message"]
    at = next((n for n, (line, _) in enumerate(lines) if line == "message"), 0)
    assert all(line == "message" for line, _ in lines[at : at + len(messages)])
    return [
        *(_line(*each) for each in lines[:at]),
        *sorted(_line(*each) for each in lines[at : at + len(messages)]),
        *(_line(*each) for each in lines[at + len(messages) :]),
    ]


def _ended(captured: Capture, side: str, kind: str) -> bool:
    return any(
        event.name in ("grpc.call.stop", "grpc.call.exception")
        and (event.metadata["side"], event.metadata["method"]) == (side, kind)
        for event in list(captured.events)
    )


def _line(word: str, event: Any) -> str:
    measurements, metadata = event.measurements, event.metadata
    if word == "message":
        return f"{metadata['direction']} {measurements['index']}"
    if word == "closed":
        counts = f"{measurements['sent']}/{measurements['received']}"
        return f"closed {metadata['status']} {counts}"
    if word == "exception":
        return f"exception {metadata['status']} {metadata['error_type']}"
    return f"stop {metadata['status']}" if word == "stop" else word
