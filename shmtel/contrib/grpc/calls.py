"""One call as its events: begun once, ended once, whoever comes to say so.

The end is said by several: the reader of the responses, a callback in a thread of
gRPC's, the garbage collector. The first to say how it ended is believed, and it is
told as soon as nobody holds the call: a reader that is in the middle of a message
counts that first.

Rules: no locks, for the garbage collector may come by anywhere, also in the middle
of this; what must happen once is one operation of a list, which is atomic.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from time import monotonic_ns
from typing import Any, NamedTuple

from shmtel import _ring
from shmtel.contrib.grpc.outcomes import OK, Outcome
from shmtel.contrib.grpc.scopes import Scope
from shmtel.contrib.grpc.sinks import Sink

CLIENT, SERVER = "client", "server"
SENT, RECEIVED = "sent", "received"
OPENED, MESSAGE, CLOSED = (
    "grpc.stream.opened",
    "grpc.stream.message",
    "grpc.stream.closed",
)
MAX_NAME_LENGTH = 256  # characters; a client may ask for any method


class Kind(NamedTuple):
    """Which sides of a call are streams."""

    name: str
    has_requests: bool
    has_responses: bool

    @property
    def is_stream(self) -> bool:
        """Say whether either is."""
        return self.has_requests or self.has_responses


UNARY_UNARY = Kind("unary_unary", False, False)
UNARY_STREAM = Kind("unary_stream", False, True)
STREAM_UNARY = Kind("stream_unary", True, False)
STREAM_STREAM = Kind("stream_stream", True, True)
UNHANDLED = Kind("unhandled", False, False)  # no handler has said what it is
KINDS = (UNARY_UNARY, UNARY_STREAM, STREAM_UNARY, STREAM_STREAM)


@dataclass(frozen=True, slots=True)
class Observer:
    """What the interceptors of one side have been told to do."""

    sink: Sink
    side: str
    tells_messages: bool

    def begin(self, method: Any, kind: Kind, **more: Any) -> "Call":
        """Begin a call, whose span is the current one until `leave`."""
        about = {**names_of(method), "side": self.side, "kind": kind.name, **more}
        return Call(self.sink, about, kind, self.tells_messages)


def names_of(method: Any) -> dict[str, str]:
    """Return service and method of `/package.Service/Method`."""
    path = method.decode("utf-8", "replace") if isinstance(method, bytes) else method
    service, _, name = str(path).removeprefix("/").rpartition("/")
    return {"service": service[:MAX_NAME_LENGTH], "method": name[:MAX_NAME_LENGTH]}


class Call:
    """A call, from when its events begin."""

    def __init__(
        self, sink: Sink, about: Mapping[str, Any], kind: Kind, tells_messages: bool
    ) -> None:
        self._sink = sink
        self._about = about
        self._kind = kind
        self._messages = (
            {way: {**about, "direction": way} for way in (SENT, RECEIVED)}
            if kind.is_stream and tells_messages
            else {}
        )
        self._is_client = about["side"] == CLIENT
        self._request_way = SENT if self._is_client else RECEIVED
        self._counts = {SENT: count(), RECEIVED: count()}
        if not kind.has_requests:
            next(self._counts[self._request_way])
        self._outcome: Outcome | None = None
        self._holders: list[None] = []
        self._unended: list[None] = [None]
        self._began_ns = monotonic_ns()
        self._span = sink.call_span(about)
        if self._span is not None:
            self._span.__enter__()
        self.scope = Scope()
        if kind.is_stream:
            sink.emit(OPENED, {}, about)

    def leave(self) -> None:
        """Have the span no longer the current one here; it goes on."""
        if self._span is not None:
            _ring.suspend(self._span)

    def message(self, way: str) -> None:
        """Count a message of a stream, and tell it if that is wanted."""
        index = next(self._counts[way])
        if self._messages and self._unended:
            metadata = self._messages[way]
            self.scope.run(self._sink.emit, MESSAGE, {"index": index}, metadata)

    def hold(self) -> None:
        """Put off the end until as many have released it."""
        self._holders.append(None)

    def release(self) -> None:
        """Hold it no more."""
        self._holders.pop()
        self._end_if_over()

    def over(self, outcome: Outcome) -> None:
        """Say how it has ended; who comes later is not heard."""
        if self._outcome is None:
            self._outcome = outcome
        self._end_if_over()

    def _end_if_over(self) -> None:
        # Who releases looks for an outcome after, and who brings one looks for
        # holders after: one of two that meet sees the other.
        outcome = self._outcome
        if outcome is None or self._holders:
            return
        try:
            self._unended.pop()
        except IndexError:
            return
        self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        if self._kind.is_stream:
            self._close_stream(outcome)
        span, error = self._span, outcome.error
        if span is not None:
            span.set("status", outcome.status)
            span.__exit__(None if error is None else type(error), error, None)

    def _close_stream(self, outcome: Outcome) -> None:
        response_way = RECEIVED if self._is_client else SENT
        if outcome.status == OK and not self._kind.has_responses:
            next(self._counts[response_way])
        measurements = {
            "duration": monotonic_ns() - self._began_ns,
            **{way: next(counter) for way, counter in self._counts.items()},
        }
        metadata = {**self._about, "status": outcome.status}
        self.scope.run(self._sink.emit, CLOSED, measurements, metadata)
