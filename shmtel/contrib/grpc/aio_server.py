"""The interceptor of a server of grpc.aio.

gRPC tells by the kind of a function how to call a handler, so each kind is wrapped
in a function of the same kind. Synchronous handlers run in threads, as those of a
synchronous server.

Rules: the scope of a call is in force while its handler runs, and not in between,
where gRPC and other interceptors run in the same task.
"""

import inspect
from typing import Any

import grpc

from shmtel.contrib.grpc.calls import RECEIVED, SENT, Call, Kind, Observer
from shmtel.contrib.grpc.handlers import Begin, Handler
from shmtel.contrib.grpc.messages import AioMessages
from shmtel.contrib.grpc.outcomes import of_handler
from shmtel.contrib.grpc.scopes import leave
from shmtel.contrib.grpc.server import (
    beginner,
    behavior_of,
    kind_of,
    rebuilt,
    tell_unhandled,
)


class AioServerInterceptor(grpc.aio.ServerInterceptor):
    """Tells the calls of a server, whose handlers run inside their spans."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    async def intercept_service(
        self, continuation: Any, handler_call_details: Any
    ) -> Any:
        """Return the handler of a call with its events around it."""
        handler = await continuation(handler_call_details)
        if handler is None:
            tell_unhandled(self._observer, handler_call_details)
            return None
        kind = kind_of(handler)
        begin = beginner(self._observer, kind, handler_call_details)
        return rebuilt(handler, kind, _around(behavior_of(handler, kind), kind, begin))


def _around(behavior: Any, kind: Kind, begin: Begin) -> Any:
    if inspect.iscoroutinefunction(behavior):
        return _around_coroutine(behavior, kind, begin)
    if inspect.isasyncgenfunction(behavior):
        return _around_generator(behavior, kind, begin)
    return Handler(behavior, kind, begin)


def _around_coroutine(behavior: Any, kind: Kind, begin: Begin) -> Any:
    async def handle(request: Any, context: Any) -> Any:
        call = begin(context)
        if kind.has_requests:
            request = AioMessages(request, call, RECEIVED)
        seen = CountingContext(context, call) if kind.is_stream else context
        tokens = call.scope.enter()
        try:
            response = await behavior(request, seen)
        except BaseException as error:
            call.over(of_handler(context, error))
            raise
        finally:
            leave(tokens)
        call.over(of_handler(context, None))
        return response

    return handle


def _around_generator(behavior: Any, kind: Kind, begin: Begin) -> Any:
    async def handle(request: Any, context: Any) -> Any:
        call = begin(context)
        if kind.has_requests:
            request = AioMessages(request, call, RECEIVED)
        responses = behavior(request, CountingContext(context, call))
        try:
            while True:
                tokens = call.scope.enter()
                try:
                    response = await anext(responses)
                finally:
                    leave(tokens)
                call.message(SENT)
                yield response
        except StopAsyncIteration:
            call.over(of_handler(context, None))
        except BaseException as error:
            # Dropped in the scope: there the event loop then closes it.
            tokens = call.scope.enter()
            del responses
            leave(tokens)
            call.over(of_handler(context, error))
            raise

    return handle


class CountingContext:
    """A context that counts what its handler reads and writes itself."""

    def __init__(self, context: Any, call: Call) -> None:
        self._context = context
        self._call = call

    async def read(self) -> Any:
        """Return the next request, or EOF."""
        message = await self._context.read()
        if message is not grpc.aio.EOF:
            self._call.message(RECEIVED)
        return message

    async def write(self, message: Any) -> None:
        """Send a response."""
        await self._context.write(message)
        self._call.message(SENT)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)
