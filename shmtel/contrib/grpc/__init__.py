"""Calls, streams and connections of gRPC as events, and who called whom.

    channel = grpc.intercept_channel(
        grpc.insecure_channel(target), *client_interceptors()
    )
    server = grpc.server(pool, interceptors=server_interceptors())

A call is a span, `grpc.call`, on the client and on the server. The client sends
along its correlation ID and its span, and the handler runs inside a span that
continues them. Streams and connections have events of their own.

Rules:
- a call is what it would be without us: same results, exceptions and laziness, and
  who drops it cancels it;
- whatever ends it, and wherever, its end is told once;
- what the other side sends as headers is judged, and passed over where it is none.
"""

from typing import Any

from shmtel.contrib.grpc.aio_client import (
    StreamStream,
    StreamUnary,
    UnaryStream,
    UnaryUnary,
)
from shmtel.contrib.grpc.aio_server import AioServerInterceptor
from shmtel.contrib.grpc.calls import CLIENT, SERVER, Observer
from shmtel.contrib.grpc.client import ClientInterceptor
from shmtel.contrib.grpc.connections import Connection
from shmtel.contrib.grpc.server import ServerInterceptor
from shmtel.contrib.grpc.sinks import Sink, WorkerSink
from shmtel.contrib.grpc.watching import AioWatch, Watch

__all__ = [
    "AioWatch",
    "Sink",
    "Watch",
    "WorkerSink",
    "aio_client_interceptors",
    "aio_server_interceptors",
    "client_interceptors",
    "server_interceptors",
    "watch_aio_connection",
    "watch_connection",
]

_WORKER = WorkerSink()


def client_interceptors(
    *, messages: bool = True, sink: Sink = _WORKER
) -> list[ClientInterceptor]:
    """Return interceptors for `grpc.intercept_channel`.

    Args:
        messages: tell each message of a stream; they are counted in any case.
        sink: where events go, if not to where those of the application go.
    """
    return [ClientInterceptor(Observer(sink, CLIENT, messages))]


def server_interceptors(
    *, messages: bool = True, sink: Sink = _WORKER
) -> list[ServerInterceptor]:
    """Return interceptors for `grpc.server`; see `client_interceptors`."""
    return [ServerInterceptor(Observer(sink, SERVER, messages))]


def aio_client_interceptors(
    *, messages: bool = True, sink: Sink = _WORKER
) -> list[Any]:
    """Return interceptors for a channel of grpc.aio; see `client_interceptors`."""
    observer = Observer(sink, CLIENT, messages)
    kinds = (UnaryUnary, UnaryStream, StreamUnary, StreamStream)
    return [kind(observer) for kind in kinds]


def aio_server_interceptors(
    *, messages: bool = True, sink: Sink = _WORKER
) -> list[AioServerInterceptor]:
    """Return interceptors for `grpc.aio.server`; see `client_interceptors`."""
    return [AioServerInterceptor(Observer(sink, SERVER, messages))]


def watch_connection(channel: Any, target: str, *, sink: Sink = _WORKER) -> Watch:
    """Tell when the channel connects, loses its connection, and has it back.

    Args:
        channel: a synchronous one, which is not made to connect.
        target: what its events call it; a channel does not say where it leads.

    Returns:
        What ends it: call its `close` before that of the channel, or use `with`.
    """
    return Watch(channel, Connection(target, sink))


def watch_aio_connection(
    channel: Any, target: str, *, sink: Sink = _WORKER
) -> AioWatch:
    """Do the same for a channel of grpc.aio, in a task of the running loop."""
    return AioWatch(channel, Connection(target, sink))
