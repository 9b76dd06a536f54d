"""Finds rings as they appear, and leaves alone what is not one.

The directory's time of change is looked at on each tick: one system call. When
it has moved the directory is listed, and once more a moment later, because that
time is coarse. It is listed again in any case: each second while something is there
that may yet become a ring, else each five.

What a segment can be:
- a ring: its consumer is made and handed over, once;
- not a ring yet (no magic): looked at again on each listing; removed when
  nobody holds its lock and it has been like that for a minute, by our own watch:
  when the wall clock jumps, the file of a ring in the making is suddenly old;
- out of reach (locked by another consumer, no permission, no descriptor left):
  looked at again, and logged once a minute;
- refused (damaged, another version, a link, a second name of another ring):
  counted by reason, logged once, and left alone for as long as it is there;
- the ring of this very process: consumed through the descriptor that the worker
  side holds.

Rules: rings of this very process are never opened, because closing any other
descriptor would drop the lock that proves the process alive.
"""

import os
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass

from shmtel import _ring, segments
from shmtel.errors import SegmentError
from shmtel.liveness import ABANDONED_SECONDS
from shmtel_collector.logs import ConditionLog

RESCAN_NS = 1_000_000_000
REST_NS = 5_000_000_000
SETTLE_NS = 20_000_000  # the kernel stamps directories once per clock tick


@dataclass(frozen=True, slots=True)
class Found:
    """A ring that has appeared.

    Attributes:
        is_own: it is the ring of this very process.
    """

    name: str
    consumer: "_ring.Consumer"
    is_own: bool = False


class Discovery:
    """Looks for the rings of one namespace."""

    def __init__(
        self, namespace: str, log: ConditionLog, home: segments.Home = segments.POSIX
    ) -> None:
        self._namespace = namespace
        self._log = log
        self._home = home
        self._attached: set[str] = set()
        self._refused: set[str] = set()
        self._gone: Container[bytes] = ()
        self._unfinished: dict[str, int] = {}  # without magic, since when
        self._now_ns = 0
        self._changed_ns = -1
        self._next_scan_ns = 0
        self._has_open_cases = False
        self.refusals: Counter[str] = Counter()

    def poll(self, now_ns: int, gone: Container[bytes] = ()) -> Iterator[Found]:
        """Yield each ring that has appeared, with its consumer.

        Args:
            gone: ids of rings without a segment, which no segment may borrow.
        """
        self._gone = gone
        if not self._is_due(now_ns):
            return
        self._now_ns = now_ns
        kinds = self._home.scan_kinds(self._namespace)
        present = set(kinds)
        self._refused &= present
        for name in self._unfinished.keys() - present:
            del self._unfinished[name]
        own = {
            segments.segment_name(self._namespace, ring_id)
            for ring_id in _ring.own_rings()
        }
        for name in sorted(present - self._attached - self._refused):
            is_own = name in own
            if self._is_no_segment(name, kinds[name], is_own=is_own):
                continue
            consumer = self._open_own(name) if is_own else self._open(name)
            if consumer is not None:
                self._attached.add(name)
                yield Found(name, consumer, is_own)
        self._has_open_cases = bool(present - self._attached - self._refused)

    def awaits(self, ring_id: bytes) -> bool:
        """Say whether the segment of a ring is there, and is not refused."""
        name = segments.segment_name(self._namespace, ring_id)
        return name not in self._refused and self._home.has(name)

    def remove(self, name: str) -> None:
        """Remove the segment of a ring that is finished, and forget it.

        Raises:
            SegmentError: it stays.
        """
        self._home.unlink(name)
        self.forget(name)

    def forget(self, name: str) -> None:
        """Drop a ring that was finished and removed."""
        self._attached.discard(name)

    def refuse(self, name: str, reason: str) -> None:
        """Leave a segment alone from now on."""
        self._attached.discard(name)
        self._refused.add(name)
        self.refusals[reason] += 1

    def _is_due(self, now_ns: int) -> bool:
        changed_ns = self._home.changed_ns()
        if changed_ns != self._changed_ns:
            self._changed_ns = changed_ns
            self._next_scan_ns = now_ns + SETTLE_NS
            return True
        if now_ns >= self._next_scan_ns:
            pause_ns = RESCAN_NS if self._has_open_cases else REST_NS
            self._next_scan_ns = now_ns + pause_ns
            return True
        return False

    def _is_no_segment(self, name: str, fault: str, *, is_own: bool) -> bool:
        """Refuse what must not be opened: what is no file, and our own ring again."""
        own_fd = None if is_own else _ring.own_descriptor()
        if not fault and own_fd is not None and self._home.is_at(name, own_fd):
            fault = "wrong_name"
        if fault:
            self._log.warning(f"refused {name}", "%s is refused: %s", name, fault)
            self.refuse(name, fault)
        return bool(fault)

    def _open(self, name: str) -> _ring.Consumer | None:
        try:
            fd = self._home.open(name, writable=True)
        except SegmentError as error:
            if self._home.has(name):
                self._log.warning(f"open {name}", "%s", error)
            return None
        try:
            return self._check_name(name, _ring.Consumer(fd))
        except _ring.RingLocked:
            self._judge_locked(name, fd)
        except _ring.RingError as error:
            self._judge(name, fd, error)
        os.close(fd)
        return None

    def _open_own(self, name: str) -> _ring.Consumer | None:
        """Consume the ring of this process; one that it has left stays as it is."""
        fd = _ring.own_descriptor()
        if fd is None:
            return None
        try:
            consumer = _ring.Consumer(fd, owns_fd=False)
        except _ring.RingError as error:
            self._log.warning(f"own {name}", "the collector's own ring: %s", error)
            return None
        ring_id = consumer.identity["ring_id"]
        if segments.segment_name(self._namespace, ring_id) == name:
            return consumer
        consumer.close()
        return None

    def _check_name(self, name: str, consumer: _ring.Consumer) -> _ring.Consumer | None:
        """Refuse a ring under another ring's name: ids must not be borrowed.

        One that was evicted between our open and our lock has no name any more.
        """
        if not self._home.is_at(name, consumer.fileno()):
            consumer.close()
            return None
        if self._is_named(name, consumer.identity["ring_id"]):
            return consumer
        consumer.close()
        return None

    def _is_named(self, name: str, ring_id: bytes) -> bool:
        if ring_id in self._gone:
            fault = "has the id of a ring that has ended"
        elif segments.segment_name(self._namespace, ring_id) != name:
            fault = "has another id inside"
        else:
            return True
        self._log.warning(f"refused {name}", "ring %s %s", name, fault)
        self.refuse(name, "wrong_name")
        return False

    def _judge_locked(self, name: str, fd: int) -> None:
        """Another collector's ring, or one of ours under a second name."""
        try:
            ring_id = _ring.observe(fd)["identity"]["ring_id"]
        except _ring.RingError as error:
            self._judge(name, fd, error)
            return
        if self._is_named(name, ring_id):
            self._log.warning(f"locked {name}", "ring %s has another consumer", name)

    def _judge(self, name: str, fd: int, error: _ring.RingError) -> None:
        if error.reason != "no_magic":
            self._log.warning(f"refused {name}", "ring %s is refused: %s", name, error)
            self.refuse(name, error.reason)
        elif self._is_abandoned(name, fd):
            self._log.info("removing %s: its maker never finished it", name)
            self._remove(name)

    def _is_abandoned(self, name: str, fd: int) -> bool:
        """Say of a segment without magic whether its maker never came to finish it."""
        since_ns = self._unfinished.setdefault(name, self._now_ns)
        is_old = self._now_ns - since_ns > ABANDONED_SECONDS * 1e9
        return is_old and _ring.lock_holder(fd) is None

    def _remove(self, name: str) -> None:
        try:
            self._home.unlink(name)
        except SegmentError as error:
            self._log.warning(f"remove {name}", "%s", error)
            self.refuse(name, "not_removable")
