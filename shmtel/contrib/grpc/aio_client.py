"""The interceptors of a channel of grpc.aio, one for each kind of call.

gRPC runs them in a task of the call, whose context begins as the caller's: what
sends the requests inherits it with the span of the call as the current one.
"""

from collections.abc import AsyncIterable
from typing import Any

import grpc

from shmtel.contrib.grpc.calls import (
    RECEIVED,
    SENT,
    STREAM_STREAM,
    STREAM_UNARY,
    UNARY_STREAM,
    UNARY_UNARY,
    Call,
    Kind,
    Observer,
)
from shmtel.contrib.grpc.headers import with_headers
from shmtel.contrib.grpc.messages import AioMessages, Messages
from shmtel.contrib.grpc.outcomes import OK, Outcome, of_aio_call, of_error


class _Interceptor:
    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    async def _make(
        self, kind: Kind, continuation: Any, details: Any, request: Any
    ) -> Any:
        call = self._observer.begin(getattr(details, "method", ""), kind)
        try:
            if kind.has_requests:
                request = _counted(request, call)
            made = await continuation(with_headers(details, is_aio=True), request)
        except BaseException as error:
            call.over(of_error(error))
            raise
        finally:
            call.leave()
        _hear_end(made, call)
        return Responses(made, call) if kind.has_responses else made


class UnaryUnary(_Interceptor, grpc.aio.UnaryUnaryClientInterceptor):
    """Tells the calls with one request and one response."""

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Make a call, and have its end told."""
        return await self._make(UNARY_UNARY, continuation, client_call_details, request)


class UnaryStream(_Interceptor, grpc.aio.UnaryStreamClientInterceptor):
    """Tells the calls with one request and a stream of responses."""

    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Make a call, and have its end told."""
        details = client_call_details
        return await self._make(UNARY_STREAM, continuation, details, request)


class StreamUnary(_Interceptor, grpc.aio.StreamUnaryClientInterceptor):
    """Tells the calls with a stream of requests and one response."""

    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Make a call, and have its end told."""
        details, requests = client_call_details, request_iterator
        return await self._make(STREAM_UNARY, continuation, details, requests)


class StreamStream(_Interceptor, grpc.aio.StreamStreamClientInterceptor):
    """Tells the calls with streams both ways."""

    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Make a call, and have its end told."""
        details, requests = client_call_details, request_iterator
        return await self._make(STREAM_STREAM, continuation, details, requests)


def _counted(requests: Any, call: Call) -> Any:
    kind = AioMessages if isinstance(requests, AsyncIterable) else Messages
    return kind(requests, call, SENT)


def _hear_end(made: Any, call: Call) -> None:
    """Have the end of what gRPC has made told; it may be over already."""
    if made.done():
        call.over(of_aio_call(made))
    else:
        made.add_done_callback(lambda done: call.over(of_aio_call(done)))


class Responses:
    """The responses of a stream, as they are asked for.

    Who drops them drops the call that gRPC has given him, and so cancels it.
    """

    def __init__(self, made: Any, call: Call) -> None:
        self._made = made
        self._iterator: Any = None
        self._call = call

    def __aiter__(self) -> "Responses":
        return self

    async def __anext__(self) -> Any:
        self._call.hold()
        try:
            if self._iterator is None:
                self._iterator = aiter(self._made)
            message = await anext(self._iterator)
            self._call.message(RECEIVED)
        except StopAsyncIteration:
            self._call.over(Outcome(OK))
            raise
        except Exception as error:  # a reader that is cancelled has cancelled the call
            self._call.over(of_error(error))
            raise
        finally:
            self._call.release()
        return message
