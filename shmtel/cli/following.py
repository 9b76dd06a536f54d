"""Events straight from the rings of a namespace, as they come.

Each ring has a follower: an observer, which takes no lock, writes nothing, and
goes on where the worker is when it was overtaken. What it could not read in
time is counted.

Rules:
- events that were taken together are in the order of their times;
- a ring that is new is followed from its first event, one that is gone is let
  go when nothing more is to be read from it;
- what is wrong with a ring is said once, and the others go on.
"""

import heapq
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgpack

from shmtel import _ring
from shmtel.errors import SegmentError
from shmtel.segments import POSIX, Home
from shmtel.wire.frames import Worker
from shmtel_collector.worker import worker_of

_TAKE_BYTES = 120 << 10
_SPAN_ID_BYTES = 8
_NO_SPAN_ID = bytes(_SPAN_ID_BYTES)
_UNFINISHED = "no_magic"  # its maker is about to finish it, or never came to emit


@dataclass(frozen=True, slots=True)
class Event:
    """One event, and who wrote it. Everything but its place is the worker's word."""

    name: str
    worker: Worker
    ring_id: str
    seq: int
    timestamp_ns: int
    threshold: int
    correlation_id: str | None
    measurements: Mapping[str, Any]
    metadata: Mapping[str, Any] | None
    span: bytes | None

    @property
    def span_id(self) -> str | None:
        """The span whose own event this is, in hex; None for a plain event."""
        return None if self.span is None else _hex(self.span[:_SPAN_ID_BYTES])

    @property
    def parent_id(self) -> str | None:
        """The span around this event or span, in hex."""
        return None if self.span is None else _hex(self.span[_SPAN_ID_BYTES:])

    @property
    def sampling_probability(self) -> float:
        """The share of such events that was kept."""
        return 1.0 - self.threshold / 0x1_0000_0000


class RingFollower:
    """One ring: its worker, its names, and what could not be read of it."""

    def __init__(self, fd: int, *, at_end: bool) -> None:
        """Follow the ring behind a descriptor, which is closed with this."""
        self._follower = _ring.Follower(fd, at_end=at_end)
        self._fd = fd
        identity = self._follower.identity
        self.worker = worker_of(identity)
        self.ring_id = identity["ring_id"].hex()
        self.capacity = identity["capacity"]
        self.missed = 0  # overwritten before they could be read
        self.rejected = 0  # records that are no events
        self.is_behind = False  # the last look ended before there was nothing more
        self._names: list[str] = []

    def events(self, limit_bytes: int) -> Iterator[Event]:
        """Take what is there, about so much of it.

        Raises:
            RingError: the ring is damaged.
        """
        while limit_bytes > 0:
            taken = self._follower.take(_TAKE_BYTES)
            self.is_behind = taken is not None
            if taken is None:
                return
            limit_bytes -= max(len(taken.events), 1)
            self.missed += taken.missed
            self.rejected += taken.rejected
            yield from self._decoded(taken)

    def close(self) -> None:
        """Let go of the ring."""
        os.close(self._fd)

    def _decoded(self, taken: "_ring.Taken") -> Iterator[Event]:
        self._names += self._follower.names(len(self._names))
        # C has judged it: shape, types, UTF-8 and that the ids have names.
        for event_id, *fields in msgpack.unpackb(taken.events):
            yield Event(self._names[event_id], self.worker, self.ring_id, *fields)


class Following:
    """All rings of a namespace whose workers are wanted."""

    def __init__(
        self,
        namespace: str,
        worker_glob: str,
        say: Callable[[str], None],
        home: Home = POSIX,
    ) -> None:
        self._home = home
        self._namespace = namespace
        self._worker_glob = worker_glob
        self._say = say
        self._rings: dict[str, RingFollower] = {}
        self._passed_over: set[str] = set()  # not wanted, or not readable
        self._told: dict[str, tuple[int, int]] = {}

    def look(self, *, at_end: bool = False) -> None:
        """Find rings that are new; they are followed from their start, or end."""
        names = self._home.scan(self._namespace)
        for name in sorted(set(names) - self._rings.keys() - self._passed_over):
            self._open(name, at_end)
        self._passed_over &= set(names)

    def poll(self, limit_bytes: int = _TAKE_BYTES) -> Iterator[Event]:
        """Take what is there, about so much of each ring, in the order of times."""
        there = set(self._home.scan(self._namespace))
        gone = {name: ring for name, ring in self._rings.items() if name not in there}
        streams = [self._events(n, r, limit_bytes) for n, r in self._rings.items()]
        yield from heapq.merge(*streams, key=lambda event: event.timestamp_ns)
        for name, ring in self._rings.items():
            self._tell(name, ring)
        for name, ring in gone.items():
            if name in self._rings and not ring.is_behind:
                self._drop(name)

    def close(self) -> None:
        """Let go of all rings."""
        for name in list(self._rings):
            self._drop(name)

    def _open(self, name: str, at_end: bool) -> None:
        try:
            fd = self._home.open(name, writable=False)
        except SegmentError as error:
            if self._home.has(name):
                self._pass_over(name, str(error))
            return  # else it was removed since the scan
        try:
            ring = RingFollower(fd, at_end=at_end)
        except _ring.RingError as error:
            os.close(fd)
            if error.reason != _UNFINISHED:
                self._pass_over(name, str(error))
            return
        if fnmatchcase(ring.worker.worker_id, self._worker_glob):
            self._rings[name] = ring
        else:
            ring.close()
            self._passed_over.add(name)

    def _events(
        self, name: str, ring: RingFollower, limit_bytes: int
    ) -> Iterator[Event]:
        try:
            yield from ring.events(limit_bytes)
        except _ring.RingError as error:
            self._tell(name, ring)
            self._drop(name)
            self._pass_over(name, str(error))

    def _tell(self, name: str, ring: RingFollower) -> None:
        """Say what could not be read since it was said last."""
        missed, rejected = self._told.get(name, (0, 0))
        self._told[name] = ring.missed, ring.rejected
        who = ring.worker.worker_id
        if ring.missed > missed:
            self._say(
                f"missed {ring.missed - missed} events of {who}: they were "
                "overwritten before they could be read"
            )
        if ring.rejected > rejected:
            self._say(f"{ring.rejected - rejected} records of {who} are no events")

    def _pass_over(self, name: str, reason: str) -> None:
        self._passed_over.add(name)
        self._say(f"{name} is not read: {reason}")

    def _drop(self, name: str) -> None:
        self._told.pop(name, None)
        self._rings.pop(name).close()


def _hex(span_id: bytes) -> str | None:
    return None if span_id == _NO_SPAN_ID else span_id.hex()
