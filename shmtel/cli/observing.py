"""The rings of a namespace as an observer sees them: counters, fill and state.

Needs no collector and disturbs none: an observer takes no lock and writes
nothing. The counters are the workers' own claims; `shmtel ledger` sets them
against what was delivered.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from shmtel import _ring
from shmtel.errors import SegmentError
from shmtel.segments import POSIX, Home
from shmtel_collector.worker import worker_of

_MAGIC_BYTES = 8  # at the start, stored last
_MAKING_S = 1.0  # a maker takes microseconds from the segment to its lock


@dataclass(frozen=True, slots=True)
class RingStat:
    """One ring as an observer sees it. Counts are of events."""

    worker_id: str
    pool_name: str
    service: str
    pid: int
    ring_id: str
    state: str  # alive, closed (the worker said good-bye) or dead
    committed: int
    committed_bytes: int
    dropped: dict[str, int]
    sampled_out: int
    filtered: int
    disabled: int
    used_bytes: int
    capacity_bytes: int
    high_water_bytes: int

    @property
    def fill(self) -> float:
        """Share of the ring that the collector has not released."""
        return self.used_bytes / self.capacity_bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A segment that is not a ring, or that this user may not read.

    Attributes:
        reason: the word for it, as in the ledger.
    """

    segment: str
    reason: str


def observe_namespace(
    namespace: str, globs: Sequence[str] = (), home: Home = POSIX
) -> tuple[list[RingStat], list[Refused]]:
    """Look at every ring of a namespace, once; with globs at those workers' rings."""
    rings: list[RingStat] = []
    refused: list[Refused] = []
    for seen in _observe_all(home, namespace):
        if isinstance(seen, Refused):
            refused.append(seen)
        elif not globs or any(fnmatchcase(seen.worker_id, glob) for glob in globs):
            rings.append(seen)
    rings.sort(key=lambda ring: (ring.worker_id, ring.pid, ring.ring_id))
    return rings, refused


def _observe_all(home: Home, namespace: str) -> Iterator[RingStat | Refused]:
    for name, fault in home.scan_kinds(namespace).items():
        if fault:
            yield Refused(name, fault)
            continue
        try:
            fd = home.open(name, writable=False)
        except SegmentError:
            if home.has(name):
                yield Refused(name, "not_readable")
            continue  # else it was removed since the scan
        try:
            stat = _observe(fd)
            is_named = name.endswith(f".{stat.ring_id}")
            yield stat if is_named else Refused(name, "wrong_name")
        except _ring.RingError as error:
            if not _is_being_made(fd):
                yield Refused(name, error.reason)
        finally:
            os.close(fd)


def _is_being_made(fd: int) -> bool:
    """Say whether a segment is no ring only because its maker is not done yet."""
    if os.pread(fd, _MAGIC_BYTES, 0).strip(b"\0"):
        return False
    age_s = time.time() - os.fstat(fd).st_mtime
    return _ring.lock_holder(fd) is not None or age_s < _MAKING_S


def _observe(fd: int) -> RingStat:
    seen = _ring.observe(fd)
    identity, counters = seen["identity"], seen["counters"]
    worker = worker_of(identity)
    return RingStat(
        worker_id=worker.worker_id,
        pool_name=worker.pool_name,
        service=worker.service,
        pid=worker.pid,
        ring_id=identity["ring_id"].hex(),
        state=_state(fd, closed=counters["closed"]),
        committed=counters["committed"],
        committed_bytes=counters["bytes"],
        dropped=counters["dropped"],
        sampled_out=counters["sampled_out"],
        filtered=counters["filtered"],
        disabled=counters["disabled"],
        used_bytes=max(seen["tail"] - seen["oldest"], 0),
        capacity_bytes=identity["capacity"],
        high_water_bytes=counters["high_water"],
    )


def _state(fd: int, *, closed: bool) -> str:
    if _ring.lock_holder(fd) is not None:
        return "alive"
    return "closed" if closed else "dead"
