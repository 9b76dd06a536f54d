"""Reads what this very process emits, for unit tests of the worker's side.

A process must never open its own segment a second time, since closing it would
drop the lock that proves it alive. A test process may: it keeps the second
descriptor until its end, and nobody watches its lock.
"""

import os
from typing import Any, NamedTuple

import msgpack

import shmtel
from shmtel import _ring, segments
from support.home import HOME, VARIABLES


class Event(NamedTuple):
    """One delivered event, its name resolved."""

    name: str
    seq: int
    timestamp_ns: int
    threshold: int
    correlation_id: str | None
    measurements: dict[str, int | float]
    metadata: dict[str, Any] | None
    span: bytes | None

    @property
    def span_id(self) -> str:
        """The id of the span that the event belongs to; zeros for a plain one."""
        return self.span[:8].hex() if self.span else ""

    @property
    def parent_id(self) -> str:
        """The id of the span around it; zeros at a root."""
        return self.span[8:].hex() if self.span else ""


def decode(drained: "_ring.Drained", names: list[str]) -> list[Event]:
    """Decode what one pass of a consumer took."""
    arrays = msgpack.unpackb(drained.events, strict_map_key=False)
    return [Event(names[array[0]], *array[1:]) for array in arrays]


class RingReader:
    """The consumer of one ring, as a test needs it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.consumer = _ring.Consumer(HOME.open(name, writable=True))
        self.totals = [0] * 32

    def events(self) -> list[Event]:
        """Take, release and return every event that is there."""
        events: list[Event] = []
        while (drained := self.consumer.drain(1 << 20)) is not None:
            events += decode(drained, self.consumer.names(0))
            for _, outcome, count in drained.counts:
                self.totals[outcome] += count
            self.totals[0] += drained.delivered
            self.consumer.settle(drained.position, drained.seq_last, self.totals)
        return events


class OwnRing:
    """The ring of this process, made anew where it was retired."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._readers: dict[str, RingReader] = {}

    @property
    def reader(self) -> RingReader:
        """The reader of the ring that the process has now."""
        ring_id = shmtel.stats()["ring_id"]
        assert ring_id is not None
        if ring_id not in self._readers:
            name = segments.segment_name(self.namespace, bytes.fromhex(ring_id))
            self._readers[ring_id] = RingReader(name)
        return self._readers[ring_id]

    @property
    def consumer(self) -> "_ring.Consumer":
        """The consumer of the ring that the process has now."""
        return self.reader.consumer

    def events(self) -> list[Event]:
        """Take and return every event of the ring that the process has now."""
        return self.reader.events()

    def remove(self) -> None:
        """Unlink the segments; the process keeps its mapping."""
        for name in HOME.scan(self.namespace):
            HOME.unlink(name)


def make_own_ring() -> OwnRing:
    """Give this process a ring in a namespace of its own."""
    namespace = f"test-{os.getpid()}"
    os.environ.update(VARIABLES, SHMTEL_NAMESPACE=namespace)
    shmtel.enable()
    shmtel.emit("test.ring.made", {})
    return OwnRing(namespace)
