"""Dead workers of a namespace: those whose ends were kept, and those found in rings.

A ring whose worker nobody can prove dead is among them as `unproven`: it has no
holder, so its worker has died in another pid namespace, or has lost its lock.

Rules: a ring of a live worker is none of this verb's; whatever a worker wrote is
judged before it is shown.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgpack

from shmtel import _ring
from shmtel.cli.following import Event
from shmtel.cli.removable import verdict_on
from shmtel.errors import SegmentError
from shmtel.liveness import Verdict
from shmtel.procfs import Host, this_host
from shmtel.segments import Home
from shmtel.wire.frames import Worker
from shmtel_collector.config import state_path
from shmtel_collector.finished import FinishedRing
from shmtel_collector.last_words import read_last_words
from shmtel_collector.ledger import account_of_ring
from shmtel_collector.lifeline import CLOSED, VANISHED
from shmtel_collector.state import read_ends, read_finished
from shmtel_collector.worker import worker_of
from shmtel_collector.worker_end import WorkerEnd, counts_of

UNPROVEN = "unproven"
KEPT, RING = "collector", "ring"
# Of an array: event id, seq, timestamp, threshold, correlation id, measurements,
# metadata, span.
_SHAPE: tuple[tuple[type, ...], ...] = (
    *((int,), (int,), (int,), (int,)),
    *((str, type(None)), (dict,), (dict, type(None)), (bytes, type(None))),
)
_PLAIN = (str, bytes, int, float, type(None))


@dataclass(frozen=True, slots=True)
class Death:
    """One worker that has ended, and where that is known from."""

    end: WorkerEnd
    source: str  # KEPT or RING

    @property
    def is_untimely(self) -> bool:
        """Say whether it did not leave in good order, or in the middle of something."""
        words = self.end.words
        return self.end.reason != CLOSED or bool(words and words.open_count)

    def is_of(self, glob: str) -> bool:
        """Say whether the worker's id matches."""
        return fnmatchcase(self.end.worker.worker_id, glob)

    def events(self, last: int) -> list[Event]:
        """Return the last events, the oldest first."""
        words = self.end.words
        arrays = words.events if words is not None else ()
        return list(self._decoded(arrays[-last:] if last else ()))

    def open_spans(self) -> list[Event]:
        """Return the starts of spans that had not ended."""
        words = self.end.words
        return list(self._decoded(words.open_spans if words is not None else ()))

    def _decoded(self, arrays: Sequence[bytes]) -> Iterator[Event]:
        names = self.end.words.names if self.end.words is not None else {}
        for array in arrays:
            fields = _judged(array, names)
            if fields is not None:
                ring_id = self.end.ring_id.hex()
                yield Event(names[fields[0]], self.end.worker, ring_id, *fields[1:])


def find_deaths(
    namespace: str, home: Home, state_dir: Path | None, say: Callable[[str], None]
) -> list[Death]:
    """Return all that is known, those that ended first first; rings stand last.

    Raises:
        StateError: there is a state database, and it cannot be read.
    """
    path = state_path(namespace, state_dir)
    # The rings first: one that is removed meanwhile is kept by then.
    there = {end.ring_id: end for end in _ends_in_rings(namespace, home, say)}
    kept = {end.ring_id: end for end in read_ends(path)}
    for ring in read_finished(path)[0]:
        kept.setdefault(ring.ring_id, _end_of_row(ring))
    ended = sorted(kept.values(), key=lambda end: end.ended_ns)
    left = [end for ring_id, end in there.items() if ring_id not in kept]
    return [*(Death(end, KEPT) for end in ended), *(Death(end, RING) for end in left)]


def _end_of_row(ring: FinishedRing) -> WorkerEnd:
    """Return what is left of an end that is too long ago, or left no words."""
    worker = Worker(ring.worker_id, ring.pool_name, pid=ring.pid)
    return WorkerEnd(
        ring.ring_id, worker, ring.reason, ring.closed_ns, counts=counts_of(ring)
    )


def _ends_in_rings(
    namespace: str, home: Home, say: Callable[[str], None]
) -> Iterator[WorkerEnd]:
    host = this_host()
    for name in sorted(home.scan(namespace)):
        try:
            fd = home.open(name, writable=False)
        except SegmentError as error:
            if home.has(name):
                say(str(error))
            continue
        try:
            end = _end_in_ring(fd, host)
            if end is not None and name.endswith(f".{end.ring_id.hex()}"):
                yield end
        except _ring.RingError as error:
            if error.reason != "no_magic":
                say(f"{name} is not read: {error}")
        finally:
            os.close(fd)


def _end_in_ring(fd: int, host: Host) -> WorkerEnd | None:
    seen = _ring.observe(fd)
    verdict = verdict_on(fd, seen, host)
    if verdict is Verdict.ALIVE:
        return None
    died = CLOSED if seen["counters"]["closed"] else VANISHED
    return WorkerEnd(
        ring_id=seen["identity"]["ring_id"],
        worker=worker_of(seen["identity"]),
        reason=died if verdict is Verdict.DEAD else UNPROVEN,
        ended_ns=0,
        counts=_counts(account_of_ring(seen).to_json()),
        words=read_last_words(fd),
    )


def _counts(account: Mapping[str, Any]) -> dict[str, int]:
    """Return an account in the form of the counts of an end."""
    counts: dict[str, int] = {}
    for word, value in account.items():
        reasons = value if isinstance(value, dict) else {}
        counts[word] = sum(reasons.values()) if isinstance(value, dict) else value
        counts |= {f"{word}.{reason}": n for reason, n in reasons.items() if n}
    return counts


def _judged(array: bytes, names: Iterable[int]) -> list[Any] | None:
    """Decode an array if it is that of an event; else None."""
    try:
        fields = msgpack.unpackb(array, strict_map_key=True)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    if not isinstance(fields, list) or len(fields) != len(_SHAPE):
        return None
    if not all(map(isinstance, fields, _SHAPE)) or fields[0] not in names:
        return None
    is_span = fields[7] is None or len(fields[7]) == 16
    return fields if is_span and _is_plain(fields) else None


def _is_plain(value: Any) -> bool:
    """Say whether there are only values that a worker can emit."""
    match value:
        case dict():
            return all(map(_is_plain, value.values()))
        case list():
            return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)
