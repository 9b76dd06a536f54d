"""Where the events of calls, streams and connections go."""

from collections.abc import Mapping
from typing import Any, Protocol

from shmtel import _ring

CALL = "grpc.call"
Measurements = Mapping[str, int]
Metadata = Mapping[str, Any]


class Sink(Protocol):
    """Takes events; what it raises reaches the call, so it raises nothing."""

    def emit(self, event: str, measurements: Measurements, metadata: Metadata) -> None:
        """Take an event."""

    def call_span(self, metadata: Metadata) -> _ring.Span | None:
        """Return the span of a call, not entered yet; None if calls are not told."""


class WorkerSink:
    """Emits as the application does; a call is a span."""

    def emit(self, event: str, measurements: Measurements, metadata: Metadata) -> None:
        """Emit an event from where the code stands."""
        _ring.emit(event, measurements, metadata)

    def call_span(self, metadata: Metadata) -> _ring.Span | None:
        """Return a span whose parent will be the current one."""
        return _ring.span(CALL, metadata)
