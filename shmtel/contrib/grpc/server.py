"""The interceptor of a synchronous server.

A call begins when its handler does: before that, a server may still refuse it.
Where nothing handles a method, that is told as a call that ended at once.
"""

from collections.abc import Callable
from typing import Any

import grpc

from shmtel.contrib.grpc.calls import (
    KINDS,
    UNHANDLED,
    Call,
    Kind,
    Observer,
    names_of,
)
from shmtel.contrib.grpc.handlers import Handler
from shmtel.contrib.grpc.outcomes import UNIMPLEMENTED, ask, failed
from shmtel.correlations import correlation

OTHER = "other"


class ServerInterceptor(grpc.ServerInterceptor):
    """Tells the calls of a server, whose handlers run inside their spans."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Return the handler of a call with its events around it."""
        handler = continuation(handler_call_details)
        if handler is None:
            tell_unhandled(self._observer, handler_call_details)
            return None
        kind = kind_of(handler)
        begin = beginner(self._observer, kind, handler_call_details)
        return rebuilt(handler, kind, Handler(behavior_of(handler, kind), kind, begin))


def beginner(observer: Observer, kind: Kind, details: Any) -> Callable[[Any], Call]:
    """Return what begins the call, in the scope that its headers ask for."""
    method, headers = details.method, details.invocation_metadata

    def begin(context: Any) -> Call:
        peer = ask(context, "peer")
        with correlation(headers=headers):
            call = observer.begin(method, kind, **({"peer": peer} if peer else {}))
            call.leave()
        return call

    return begin


def tell_unhandled(observer: Observer, details: Any) -> None:
    """Tell a call of a method that nothing handles; its error says of which.

    A client may ask for any, and metrics are split by their names.
    """
    asked = "/".join(names_of(details.method).values())
    with correlation(headers=details.invocation_metadata):
        call = observer.begin(f"{OTHER}/{OTHER}", UNHANDLED)
        call.over(failed(UNIMPLEMENTED, f"nothing handles {asked}"))


def kind_of(handler: Any) -> Kind:
    """Say which sides of a handler's calls are streams."""
    sides = bool(handler.request_streaming), bool(handler.response_streaming)
    return next(kind for kind in KINDS if kind[1:] == sides)


def behavior_of(handler: Any, kind: Kind) -> Any:
    """Return what the application has given as handler."""
    return getattr(handler, kind.name)


def rebuilt(handler: Any, kind: Kind, behavior: Any) -> Any:
    """Return a handler that does something else in between."""
    make = getattr(grpc, f"{kind.name}_rpc_method_handler")
    return make(
        behavior,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
