"""Iterators that count what passes through them, and are as lazy as what they wrap."""

from collections.abc import Iterator
from typing import Any

from shmtel.contrib.grpc.calls import Call


class Messages:
    """Requests on their way to gRPC, or to a handler.

    Each is asked for in the scope of the call: the requests of a client come from
    the application, in a thread of gRPC's.
    """

    def __init__(self, messages: Any, call: Call, way: str) -> None:
        self._messages = messages
        self._call = call
        self._way = way

    def __iter__(self) -> Iterator[Any]:
        self._messages = iter(self._messages)  # grpc.aio takes lists too
        return self

    def __next__(self) -> Any:
        message = self._call.scope.run(next, self._messages)
        self._call.message(self._way)
        return message

    next = __next__  # as the iterators of gRPC have it

    def __getattr__(self, name: str) -> Any:
        return getattr(self._messages, name)


class AioMessages:
    """The same for grpc.aio, whose tasks have the scope already."""

    def __init__(self, messages: Any, call: Call, way: str) -> None:
        self._messages = messages
        self._iterator: Any = None
        self._call = call
        self._way = way

    def __aiter__(self) -> "AioMessages":
        return self

    async def __anext__(self) -> Any:
        if self._iterator is None:
            self._iterator = aiter(self._messages)
        message = await anext(self._iterator)
        self._call.message(self._way)
        return message
