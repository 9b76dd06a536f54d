"""A gRPC stream with a message per event, as telemetry of workers is often sent.

A thread runs an asyncio loop, which holds the stream. An event becomes a message
at once, and the loop is asked to put it into a queue of 1,024; when that is full,
the newest is dropped. Messages are written one by one, and a server in another
process decodes and counts each.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from measure import CORRELATION_ID, EVENT, MEASUREMENTS, METADATA

from rivals import Sender, Sink

_QUEUE = 1_024
_METHOD = "/rival.Events/Stream"
_THREADS = 16  # one for each process that sends
_FIELD = descriptor_pb2.FieldDescriptorProto


def _message_class() -> Any:
    """Build the message: a name, a time, an ID, and two maps."""
    file = descriptor_pb2.FileDescriptorProto(
        name="rival.proto", package="rival", syntax="proto3"
    )
    event = file.message_type.add(name="Event")
    scalars = ("event", _FIELD.TYPE_STRING), ("timestamp_ns", _FIELD.TYPE_FIXED64)
    for number, (name, kind) in enumerate(
        (*scalars, ("correlation_id", _FIELD.TYPE_STRING)), 1
    ):
        event.field.add(name=name, number=number, type=kind, label=1)
    maps = ("measurements", _FIELD.TYPE_DOUBLE), ("metadata", _FIELD.TYPE_STRING)
    for number, (name, kind) in enumerate(maps, 4):
        entry = event.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=_FIELD.TYPE_STRING, label=1)
        entry.field.add(name="value", number=2, type=kind, label=1)
        kind_name = f".rival.Event.{entry.name}"
        event.field.add(name=name, number=number, type=_FIELD.TYPE_MESSAGE, label=3,
                        type_name=kind_name)  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("rival.Event"))


def serve(directory: str) -> Sink:
    """Receive on a free port."""
    counts: dict[int, int] = {}

    def stream(messages: Iterator[Any], context: object) -> bytes:
        thread = threading.get_ident()
        for _ in messages:
            counts[thread] = counts.get(thread, 0) + 1
        return b""

    handler = grpc.stream_unary_rpc_method_handler(
        stream, request_deserializer=_message_class().FromString
    )
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS))
    service, method = _METHOD.lstrip("/").split("/")
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    address = f"127.0.0.1:{port}"
    return Sink(address, lambda: sum(counts.values()), lambda: server.stop(None))


class _Stream:
    """The loop's thread and its queue."""

    def __init__(self, address: str) -> None:
        self.offered = self.sent = self.dropped = 0
        self._address = address
        self._message = _message_class()
        self._loop = asyncio.new_event_loop()
        self._queue: asyncio.Queue[Any] = asyncio.Queue(_QUEUE)
        threading.Thread(target=self._run, daemon=True).start()

    def emit(self) -> None:
        """Build the message, and hand it to the loop."""
        message = self._message(
            event=EVENT,
            timestamp_ns=time.time_ns(),
            correlation_id=CORRELATION_ID,
            measurements=MEASUREMENTS,
            metadata=METADATA,
        )
        self.offered += 1
        self._loop.call_soon_threadsafe(self._put, message)

    def flush(self) -> None:
        """Wait until every message is written or dropped."""
        while self.sent + self.dropped < self.offered:
            time.sleep(0.005)

    def is_behind(self) -> bool:
        """Tell whether the queue is nearly full."""
        return self.offered - self.sent - self.dropped > _QUEUE - 124

    def _put(self, message: Any) -> None:
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self.dropped += 1

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._send())

    async def _send(self) -> None:
        async with grpc.aio.insecure_channel(self._address) as channel:
            serialize = self._message.SerializeToString
            call = channel.stream_unary(_METHOD, request_serializer=serialize)
            await call(self._messages())

    async def _messages(self) -> AsyncIterator[Any]:
        while True:
            yield await self._queue.get()
            self.sent += 1


def open_stream(address: str) -> Sender:
    """Send over one stream."""
    stream = _Stream(address)
    return Sender(
        stream.emit,
        flush=stream.flush,
        dropped=lambda: stream.dropped,
        is_behind=stream.is_behind,
    )
