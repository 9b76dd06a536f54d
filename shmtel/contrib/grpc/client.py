"""The interceptor of a synchronous channel.

A call that gives one response is given back as gRPC made it, and a callback hears
of its end. The responses of a stream are given back in a wrapper, which counts
them and else is what it wraps.

Rules: nothing here keeps a call alive: who drops the responses cancels the call,
as without us. So the callback of a call knows it by a weak reference.
"""

import weakref
from collections.abc import Callable
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
from shmtel.contrib.grpc.messages import Messages
from shmtel.contrib.grpc.outcomes import (
    OK,
    UNKNOWN,
    Outcome,
    abandoned,
    failed,
    of_error,
    of_future,
)


class ClientInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Tells the calls of a channel, and sends along where they come from."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Make a call, and have its end told."""
        return self._make(UNARY_UNARY, continuation, client_call_details, request)

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Make a call, and have its end told."""
        return self._make(UNARY_STREAM, continuation, client_call_details, request)

    def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Make a call, and have its end told."""
        requests = request_iterator
        return self._make(STREAM_UNARY, continuation, client_call_details, requests)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Make a call, and have its end told."""
        requests = request_iterator
        return self._make(STREAM_STREAM, continuation, client_call_details, requests)

    def _make(
        self, kind: Kind, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        call = self._observer.begin(getattr(details, "method", ""), kind)
        try:
            if kind.has_requests:
                request = Messages(request, call, SENT)
            made = continuation(with_headers(details), request)
        except BaseException as error:
            call.over(of_error(error))
            raise
        finally:
            call.leave()
        _hear_end(made, call, kind)
        return Responses(made, call) if kind.has_responses else made


def _hear_end(made: Any, call: Call, kind: Kind) -> None:
    """Have the end of what gRPC has made told; it may be over already."""
    try:
        known = weakref.ref(made)

        def end() -> None:
            alive = known()
            call.over(abandoned() if alive is None else of_future(alive))

        # An error is given back as the call that it ended, and takes no callbacks.
        if made.done() or not made.add_callback(end):
            call.over(of_future(made))
    except Exception:  # another interceptor's own; a stream may be a mere generator
        if not kind.has_responses:
            call.over(failed(UNKNOWN, "this kind of call does not say how it ends"))


def _forwarded(name: str) -> Any:
    def forward(self: "Responses", *args: Any, **kwargs: Any) -> Any:
        return getattr(self._made, name)(*args, **kwargs)

    return forward


class Responses(grpc.Call, grpc.Future):  # type: ignore[type-arg]  # not at runtime
    """The responses of a stream, and everything else that its call can do."""

    def __init__(self, made: Any, call: Call) -> None:
        self._made = made
        self._call = call

    def __iter__(self) -> "Responses":
        return self

    def __next__(self) -> Any:
        self._call.hold()
        try:
            message = next(self._made)
            self._call.message(RECEIVED)
        except StopIteration:
            self._call.over(Outcome(OK))
            raise
        except Exception as error:  # after Ctrl-C, say, the call goes on
            self._call.over(of_error(error))
            raise
        finally:
            self._call.release()
        return message

    next = __next__  # as gRPC's own have it

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Have a function called with this call when it is over."""
        self._made.add_done_callback(lambda _: fn(self))

    add_callback = _forwarded("add_callback")
    cancel = _forwarded("cancel")
    cancelled = _forwarded("cancelled")
    code = _forwarded("code")
    details = _forwarded("details")
    done = _forwarded("done")
    exception = _forwarded("exception")
    initial_metadata = _forwarded("initial_metadata")
    is_active = _forwarded("is_active")
    result = _forwarded("result")
    running = _forwarded("running")
    time_remaining = _forwarded("time_remaining")
    traceback = _forwarded("traceback")
    trailing_metadata = _forwarded("trailing_metadata")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def __repr__(self) -> str:
        return repr(self._made)

    def __del__(self) -> None:
        # The last reference to a call that is under way cancels it. Where that
        # thread is the only one of the call, nothing calls back any more.
        try:
            known = weakref.ref(self._made)
        except TypeError:  # of another interceptor, which has slots
            return
        del self._made
        if known() is None:
            self._call.over(abandoned())
