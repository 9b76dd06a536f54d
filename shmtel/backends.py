"""Where the events of a process go: into its ring, or to another backend.

The ring is the default. While another backend is set, `emit` and `span` encode
each event as for the ring, and the backend gets the values that come out of
that: what is no event for the ring is none for it either.

Sampling, filters and control act in the ring. Another backend gets all events.

Rules: a backend is foreign code. What it raises is counted (`other_backend` in
`stats()`), and nothing of it reaches who emits.
"""

import json
import math
import os
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from threading import RLock
from typing import Any, NamedTuple, Protocol, TextIO

import msgpack

from shmtel import _ring

Measurements = dict[str, int | float]
Metadata = dict[str, Any]


class Backend(Protocol):
    """What can be set as a backend; `close` and the counts may be missing."""

    def emit(
        self,
        event_name: str,
        measurements: Measurements,
        metadata: Metadata | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Take an event."""


class DecodedEvent(NamedTuple):
    """An event as the hub would decode it."""

    name: str
    measurements: Measurements
    metadata: Metadata
    correlation_id: str | None
    span_id: str | None
    parent_id: str | None
    timestamp_ns: int


class RingBackend:
    """Emits into the ring of this process: the default.

    Also while another backend is set, so that one may hand its events on.
    """

    def emit(
        self,
        event_name: str,
        measurements: Measurements,
        metadata: Metadata | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Record an event, or show it to a capture; never raises, never blocks."""
        emit = _ring.emit if route.listeners else _ring.emit_to_ring
        emit(event_name, measurements, metadata, correlation_id)

    def close(self) -> None:
        """Do nothing: nothing is buffered in the process."""

    @property
    def dropped_count(self) -> int:
        """Events that this process has dropped, in all its rings and without one."""
        return _ring.stats()["dropped_by_process"]

    @property
    def stream(self) -> "RingBackend":
        """Itself: the count is looked for here too."""
        return self


class StderrBackend:
    """Writes events as JSON lines; NaN and infinities as null, bytes as base64.

    Args:
        stream: where to; by default what is sys.stderr at the time of an event.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._is_closed = False
        self.dropped_count = 0

    def emit(
        self,
        event_name: str,
        measurements: Measurements,
        metadata: Metadata | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Write a line; what cannot be written is counted."""
        stream = sys.stderr if self._stream is None else self._stream
        event = {
            "event": event_name,
            "measurements": measurements,
            "metadata": metadata or {},
            "correlation_id": correlation_id,
            "timestamp_ns": time.time_ns(),
        }
        try:
            if self._is_closed or stream is None:
                raise ValueError("there is nowhere to write")
            stream.write(_json_of(event) + "\n")  # one call: lines do not mix
            stream.flush()
        except (OSError, ValueError, TypeError, RecursionError):
            self.dropped_count += 1

    def close(self) -> None:
        """Write no more; the stream stays open, it is somebody else's."""
        self._is_closed = True

    @property
    def stream(self) -> "StderrBackend":
        """Itself: the count is looked for here too."""
        return self


class MemoryBackend:
    """Keeps events in a list, for tests; see shmtel.testing for more of them.

    Args:
        limit: how many to keep; later ones are counted as dropped.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self.events: list[tuple[str, Measurements, Metadata, str | None]] = []
        self._limit = limit
        self.dropped_count = 0

    def emit(
        self,
        event_name: str,
        measurements: Measurements,
        metadata: Metadata | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Keep an event."""
        if len(self.events) < self._limit:
            event = (event_name, measurements, metadata or {}, correlation_id)
            self.events.append(event)
        else:
            self.dropped_count += 1

    def close(self) -> None:
        """Keep no more."""
        self._limit = 0

    @property
    def stream(self) -> "MemoryBackend":
        """Itself: the count is looked for here too."""
        return self


def get_backend() -> Any:
    """Return the backend that events go to: a RingBackend unless another is set."""
    return route.backend


def set_backend(backend: Backend | None) -> None:
    """Send the events of this process to a backend, and switch telemetry on.

    `RingBackend()` is the way back to the ring, None switches telemetry off.
    The former backend is not closed.

    Raises:
        TypeError: it has no `emit`.
    """
    if backend is not None and not callable(getattr(backend, "emit", None)):
        raise TypeError(f"a backend has emit(); {type(backend).__name__} has not")
    route.set_backend(backend)


# -- routing ----------------------------------------------------------------


_Listener = Callable[[DecodedEvent], None]


class _Route:
    """Where events go: to those who listen, if any; else to the backend.

    A change never lets an event through to where it should not go, though other
    threads emit meanwhile: off comes before a way to the ring, on comes after.
    """

    def __init__(self) -> None:
        self.backend: Backend | None = RingBackend()
        self.listeners: tuple[_Listener, ...] = ()
        self._was_on = False  # before anybody listened
        self._change = RLock()

    def after_fork(self) -> None:
        """Forget a change that another thread was making when this child was made."""
        self._change = RLock()

    def set_backend(self, backend: Backend | None) -> None:
        """Send events there, also when nobody listens any more."""
        with self._change:
            self.backend = backend
            self._was_on = backend is not None
            self._switch(self._was_on)

    def listen(self, listener: _Listener) -> None:
        """Give every event to a function, in place of backend and ring.

        Telemetry is on for as long as anybody listens.
        """
        with self._change:
            if not self.listeners:
                self._was_on = _ring.is_switched_on()
            self.listeners = (*self.listeners, listener)
            self._switch(True)

    def stop_listening(self, listener: _Listener) -> None:
        """Give it no more events."""
        with self._change:
            self.listeners = tuple(each for each in self.listeners if each != listener)
            is_on = _ring.is_switched_on() if self.listeners else self._was_on
            self._switch(is_on)

    def _switch(self, is_on: bool) -> None:
        if not is_on:
            _ring.disable()
        is_ring = self.backend is None or type(self.backend) is RingBackend
        _ring.divert(None if is_ring and not self.listeners else self.deliver)
        if is_on:
            _ring.enable()

    def deliver(self, name: str, array: bytes) -> bool:
        """Take an event from the core; say whether it has been taken."""
        event = decode(name, array)
        listeners, backend = self.listeners, self.backend
        try:
            for listener in listeners:
                listener(event)
            if not listeners and backend is not None:
                backend.emit(*event[:4])
        except Exception:  # counted by the core as failed
            return False
        return bool(listeners) or backend is not None


def decode(name: str, array: bytes) -> DecodedEvent:
    """Return the event in the array of a record, whose form is in ring_layout.h."""
    _, _, timestamp_ns, _, correlation_id, measurements, metadata, span = (
        msgpack.unpackb(array, strict_map_key=False)
    )
    span = span or bytes(16)
    return DecodedEvent(
        name,
        measurements,
        metadata or {},
        correlation_id,
        _id_of(span[:8]),
        _id_of(span[8:]),
        timestamp_ns,
    )


def _id_of(span_id: bytes) -> str | None:
    return span_id.hex() if any(span_id) else None


route = _Route()
os.register_at_fork(after_in_child=route.after_fork)


def _json_of(event: Metadata) -> str:
    try:
        return json.dumps(event, allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps(_sayable(event))


def _sayable(value: Any) -> Any:
    """Return what JSON can say of a plain value."""
    if isinstance(value, dict):
        return {key: _sayable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sayable(item) for item in value]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
