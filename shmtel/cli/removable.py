"""Which segments of a namespace may go, and why; and how each of them goes.

Every name in the home that begins like ours gets a finding: removable or kept, with
the reason. A ring is removable when its worker is proven dead, nobody holds it, and
nothing in it is still to be delivered; with events in it only if its removal is
forced, and then they are counted as evicted, as those that a starting worker
removes are.

Rules:
- what somebody holds is never touched: while a ring is judged and removed, this
  holds the consumer's lock itself;
- what is not ours is named and left alone, whatever it is.
"""

import os
import re
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace

from shmtel import _ring, config
from shmtel.dead_rings import (
    account_of,
    consumers_place,
    has_consumer,
    last_seq,
    lost_with,
)
from shmtel.errors import SegmentError, ShmtelError
from shmtel.evictions import Evictions
from shmtel.liveness import ProcessWatch, Verdict, is_abandoned
from shmtel.procfs import Host
from shmtel.segments import Home
from shmtel_collector.worker import worker_of

_NAMESPACE = re.compile(rf"shmtel\.({config.NAMESPACE_PATTERN})\..+")
_PATIENCE_S = 1.0  # for somebody else who evicts, which takes some ms
# A ring is made in microseconds. When the wall clock jumps, what is being made is
# suddenly old, and it is a ring when it is looked at again.
_SECOND_LOOK_S = 1.0

# What a finding says, by reason. Of the first ones the segment may go.
REMOVABLE = {
    "drained": "its worker is dead, and all of it was acknowledged",
    "written_down": "it has ended, and its account is in the collector's state",
    "abandoned": "it is no ring, and its maker never came to finish it",
}
KEPT = {
    "undrained": "its worker is dead, and a collector would deliver what is in it",
    "spooled": "its worker is dead, and some of it is in a collector's spool",
    "alive": "its worker holds it",
    "held": "a collector holds it",
    "unproven": "nobody holds it, but the death of its worker cannot be proven here",
    "in_making": "it is no ring yet, and its maker may still finish it",
    "another_user": "it belongs to another user",
    "link": "it is a symbolic link",
    "not_a_file": "it is a directory, a pipe or a socket",
    "wrong_name": "it has no ring's name, or another ring's id is inside",
    "damaged": "it is damaged, or of another version",
    "service": "the lock file of a collector, or the account of what was evicted",
}
WHY = REMOVABLE | KEPT


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one name.

    Attributes:
        undrained: events that would be lost with it.
        failure: why it could not be removed, though it should have been.
    """

    segment: str
    reason: str
    worker_id: str = ""
    pid: int = 0
    bytes: int = 0
    undrained: int = 0
    is_removed: bool = False
    failure: str = ""

    def may_go(self, *, is_forced: bool = False) -> bool:
        """Say whether it is removable."""
        return self.reason in REMOVABLE or (is_forced and self.reason == "undrained")


def namespaces_in(home: Home) -> list[str]:
    """Return the namespaces of which something is there."""
    matches = (_NAMESPACE.fullmatch(name) for name in _names(home))
    return sorted({match[1] for match in matches if match})


class Inspection:
    """Judges what is there of one namespace."""

    def __init__(
        self, home: Home, namespace: str, host: Host, written_down: Container[bytes]
    ) -> None:
        """Prepare; `written_down` are the rings that a collector has finished."""
        self._home = home
        self._namespace = namespace
        self._host = host
        self._written_down = written_down

    def findings(self) -> Iterator[Finding]:
        """Judge everything that bears the namespace's name."""
        kinds = self._home.scan_kinds(self._namespace)
        prefix = f"shmtel.{self._namespace}."
        for name in sorted(n for n in _names(self._home) if n.startswith(prefix)):
            if name in kinds:
                yield self._judge(name, kinds[name])
            else:
                rest = name.removeprefix(prefix).partition(".")[0]
                is_ours = rest in ("collector", "evicted", "evicting")
                yield Finding(name, "service" if is_ours else "wrong_name")

    def remove(
        self, findings: Sequence[Finding], *, is_forced: bool
    ) -> Iterator[Finding]:
        """Remove what may go, if that is still so; yield what is known of each."""
        if any(finding.reason == "abandoned" for finding in findings):
            time.sleep(_SECOND_LOOK_S)
        for finding in findings:
            may_go = finding.may_go(is_forced=is_forced)
            yield self._remove_one(finding, is_forced) if may_go else finding

    def _remove_one(self, finding: Finding, is_forced: bool) -> Finding:
        try:
            fd = self._home.open(finding.segment, writable=True)
        except SegmentError as error:
            if not self._home.has(finding.segment):
                return replace(finding, is_removed=True)
            return replace(finding, failure=str(error))
        try:
            with consumers_place(fd) as is_ours:
                if not is_ours:
                    return replace(finding, reason="held")
                again = self._judge_ring(finding.segment, fd, is_held=False)
                if not again.may_go(is_forced=is_forced):
                    return again
                return self._remove(again, fd)
        finally:
            os.close(fd)

    def _remove(self, finding: Finding, fd: int) -> Finding:
        is_counted = _ring_id(finding.segment) in self._written_down
        try:
            if finding.reason == "abandoned" or is_counted:
                self._home.unlink(finding.segment)
            else:
                self._evict(finding.segment, fd)
        except (ShmtelError, OSError) as error:
            return replace(finding, failure=str(error))
        return replace(finding, is_removed=True)

    def _evict(self, name: str, fd: int) -> None:
        """Remove a ring, and add its account to the sum, so that the ledger holds."""
        deadline = time.monotonic() + _PATIENCE_S
        while (evictions := Evictions.open(self._home, self._namespace)) is None:
            if time.monotonic() > deadline:
                raise SegmentError("somebody else is evicting; try again")
            time.sleep(0.01)
        try:
            evictions.evict(name, account_of(fd))
        finally:
            evictions.close()

    def _judge(self, name: str, fault: str) -> Finding:
        if fault:
            return Finding(name, fault)
        try:
            fd = self._home.open(name, writable=False)
        except SegmentError:
            return Finding(name, "another_user")
        try:
            if os.fstat(fd).st_uid != os.geteuid() != 0:
                return Finding(name, "another_user")
            return self._judge_ring(name, fd, is_held=has_consumer(fd))
        finally:
            os.close(fd)

    def _judge_ring(self, name: str, fd: int, *, is_held: bool) -> Finding:
        size = os.fstat(fd).st_blocks * 512
        try:
            seen = _ring.observe(fd)
        except _ring.RingError as error:
            return Finding(name, _reason_of_no_ring(fd, error), bytes=size)
        worker = worker_of(seen["identity"])
        finding = Finding(name, "", worker.worker_id, worker.pid, size)
        if _ring_id(name) != seen["identity"]["ring_id"]:
            return replace(finding, reason="wrong_name")
        verdict = verdict_on(fd, seen, self._host)
        if verdict is Verdict.ALIVE:
            return replace(finding, reason="alive")
        if is_held:
            return replace(finding, reason="held")
        if verdict is Verdict.UNPROVEN:
            return replace(finding, reason="unproven")
        return self._judge_dead(fd, seen, finding)

    def _judge_dead(
        self, fd: int, seen: "_ring.Observation", finding: Finding
    ) -> Finding:
        control, undrained = seen["control"], _undrained(fd, seen)
        if control["head_seq"] != control["settled_seq"]:
            reason = "spooled"
        elif undrained:
            reason = "undrained"
        elif seen["identity"]["ring_id"] in self._written_down:
            reason = "written_down"
        else:
            reason = "drained"
        return replace(finding, reason=reason, undrained=undrained)


def verdict_on(fd: int, seen: "_ring.Observation", host: Host) -> Verdict:
    """Judge once whether the worker of a ring lives."""
    watch = ProcessWatch(seen["identity"], host)
    try:
        return watch.probe(fd, lambda: seen["counters"]["closed"])
    finally:
        watch.close()


def _ring_id(name: str) -> bytes:
    return bytes.fromhex(name.rpartition(".")[2])


def _undrained(fd: int, seen: "_ring.Observation") -> int:
    """Return what would be lost now; not what was overwritten before."""
    lost = lost_with(seen, last_seq(fd, seen))
    return sum(
        events
        for outcome, events in lost.items()
        if _ring.OUTCOMES[outcome] == ("lost", "evicted")
    )


def _reason_of_no_ring(fd: int, error: _ring.RingError) -> str:
    if error.reason != "no_magic":
        return "damaged"
    return "abandoned" if is_abandoned(fd, time.time()) else "in_making"


def _names(home: Home) -> list[str]:
    try:
        return [name for name in os.listdir(home.directory) if name[:7] == "shmtel."]
    except OSError:
        return []
