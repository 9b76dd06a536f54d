"""Removes the oldest rings of dead workers, and notes what was in them.

If all rings together are beyond the budget (budget.py), each one's locks are asked
for: what neither a worker nor a collector holds may be dead. If those are beyond the
budget still, the oldest are judged by liveness.py, and only a proven death counts.

Rules:
- a process never opens a ring of its own, nor one that another of its threads is
  making, because to close it would drop the lock that proves the process alive;
- a ring that a collector holds is that collector's business; while this looks at
  one it holds the consumer's lock itself;
- counters are foreign: how many events were left is read from the records, and
  where those are damaged or too many, believed as far as their bytes can hold it.
"""

import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from shmtel import _ring
from shmtel.budget import Segment
from shmtel.errors import SegmentError
from shmtel.evictions import Account, Evictions, add
from shmtel.interruptions import pass_on
from shmtel.liveness import ProcessWatch, Verdict, is_abandoned
from shmtel.procfs import Host, this_host
from shmtel.segments import Home

_NUMBERS = {outcome: number for number, outcome in _ring.OUTCOMES.items()}
_READ_MAX_BYTES = 8 << 20  # some ms; beyond, the worker's own count is judged
# How long a worker's first event may wait for it. Each start removes more than it
# adds, so that the rest goes with the next ones.
_ASKING_S = 0.01  # enough for about a thousand rings
_EVICTING_S = 0.01
_TAKE_BYTES = 120 << 10
_TAKES_MAX = 512  # many times what it takes, should somebody change the ring meanwhile
_LOCK_CONSUMER = 1  # byte; RING_LOCK_CONSUMER in ring_layout.h
_LOCK = struct.Struct("hhqqi4x")  # struct flock: kind, whence, start, length, pid


def remove_beyond(
    budget_bytes: int,
    home: Home,
    namespace: str,
    rings: Sequence[Segment],
    is_own: Callable[[str], bool],
) -> None:
    """Remove dead rings, the first ones first, until the rest is within a budget.

    Raises:
        OSError, SegmentError, DamagedEvictions: they stay; nothing is lost.
    """
    evictions = Evictions.open(home, namespace)
    if evictions is None:  # somebody else is at it
        return
    try:
        loose, excess = _ask(budget_bytes, home, rings, is_own)
        _evict_first(loose, excess, home, evictions)
    finally:
        evictions.close()


def _ask(
    budget_bytes: int,
    home: Home,
    rings: Sequence[Segment],
    is_own: Callable[[str], bool],
) -> tuple[list[Segment], int]:
    """Return the rings that nobody holds, and how much of all is in excess.

    Those that there was no time to ask count as rings that nobody holds.
    """
    excess = sum(ring.bytes for ring in rings) - budget_bytes
    loose: list[Segment] = []
    deadline = time.monotonic() + _ASKING_S
    for ring in rings:
        if excess <= 0:
            break
        if is_own(ring.name) or not _is_loose(home, ring):
            excess -= ring.bytes
        else:
            loose.append(ring)
        if time.monotonic() > deadline:
            break
    return loose, excess


def _evict_first(
    loose: Sequence[Segment], excess: int, home: Home, evictions: Evictions
) -> None:
    host, deadline = this_host(), time.monotonic() + _EVICTING_S
    for ring in loose:
        if excess <= 0:
            return
        # One that is alive all the same was none of the excess.
        excess -= ring.bytes
        _evict_if_dead(home, ring.name, evictions, host)
        if time.monotonic() > deadline:
            return


def _is_loose(home: Home, ring: Segment) -> bool:
    """Say whether neither a worker nor a collector holds a ring."""
    try:
        fd = home.open(ring.name, writable=False)
    except SegmentError as error:  # it went away
        pass_on(error)
        return False
    try:
        return not has_consumer(fd) and _ring.lock_holder(fd) is None
    except (_ring.RingError, OSError) as error:
        pass_on(error)
        return False
    finally:
        os.close(fd)


def _evict_if_dead(home: Home, name: str, evictions: Evictions, host: Host) -> None:
    try:
        fd = home.open(name, writable=True)
    except SegmentError as error:
        pass_on(error)
        return
    try:
        with consumers_place(fd) as is_ours:
            if is_ours and _is_dead(fd, host):
                evictions.evict(name, account_of(fd))
    except SegmentError as error:
        pass_on(error)
        if home.has(name):  # else somebody was faster
            raise
    finally:
        os.close(fd)


def has_consumer(fd: int) -> bool:
    """Say whether a collector holds a ring, or somebody in a consumer's place."""
    asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _LOCK_CONSUMER, 1, 0)
    kind = _LOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))[0]
    is_held: bool = kind != fcntl.F_UNLCK
    return is_held


@contextmanager
def consumers_place(fd: int) -> Iterator[bool]:
    """Take the consumer's place, so that no collector does; say whether it is ours."""
    try:
        _set_lock(fd, fcntl.F_WRLCK)
    except OSError as error:
        pass_on(error)
        yield False
        return
    try:
        yield True
    finally:
        # By hand: a child that was forked meanwhile would keep it.
        _set_lock(fd, fcntl.F_UNLCK)


def _set_lock(fd: int, kind: int) -> None:
    lock = _LOCK.pack(kind, os.SEEK_SET, _LOCK_CONSUMER, 1, 0)
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock)


def _is_dead(fd: int, host: Host) -> bool:
    try:
        seen = _ring.observe(fd)
    except _ring.RingError as error:
        return error.reason == "no_magic" and is_abandoned(fd, time.time())
    if _is_for_a_collector(seen):
        return False
    watch = ProcessWatch(seen["identity"], host)
    try:
        is_closed = seen["counters"]["closed"]
        return watch.probe(fd, lambda: is_closed) is Verdict.DEAD
    finally:
        watch.close()


def _is_for_a_collector(seen: "_ring.Observation") -> bool:
    """Say whether more is known of a ring than is in it.

    What is released and not settled is in a spool. And one from which nothing is to be
    drained any more may be in a collector's state already: it was killed before it
    could remove the ring, which would count twice. They are few: no more than there
    were when a collector ended.
    """
    control = seen["control"]
    is_drained = seen["tail"] == control["head"] and control["collector_epoch"] > 0
    return is_drained or control["head_seq"] > control["settled_seq"]


def account_of(fd: int) -> Account:
    """Return the account of a ring that nobody will drain any more."""
    try:
        seen = _ring.observe(fd)
    except _ring.RingError:  # it never was a ring
        return {"rings": 1}
    counters = seen["counters"]
    last = last_seq(fd, seen)
    totals = {str(n): count for n, count in enumerate(seen["control"]["totals"])}
    lost = {str(n): count for n, count in lost_with(seen, last).items()}
    return {
        "rings": 1,
        "last_seq": last,
        "totals": {n: count for n, count in add(totals, lost).items() if count},
        "claims": {
            "committed": counters["committed"],
            "sampled_out": counters["sampled_out"],
            "filtered": counters["filtered"],
            "disabled": counters["disabled"],
            "dropped": {k: v for k, v in counters["dropped"].items() if v},
        },
    }


def lost_with(seen: "_ring.Observation", last: int) -> dict[int, int]:
    """Return what is lost with a ring, by outcome: gone before, or only now."""
    released = seen["control"]["head_seq"]
    overwritten = max(min(seen["overwritten"], last) - released, 0)
    return {
        _NUMBERS["lost", "overwritten"]: overwritten,
        _NUMBERS["lost", "evicted"]: max(last - released - overwritten, 0),
    }


def last_seq(fd: int, seen: "_ring.Observation") -> int:
    """Return up to which seq events were committed, as the records say."""
    control = seen["control"]
    unread = seen["tail"] - control["head"]
    most = control["head_seq"] + unread // _ring.RING_RECORD_MIN
    known = control["head_seq"]
    if seen["tail"] - seen["oldest"] <= _READ_MAX_BYTES:
        try:
            follower = _ring.Follower(fd)
            for _ in range(_TAKES_MAX):
                taken = follower.take(_TAKE_BYTES)
                if taken is None:
                    return known
                known = taken.seq_last
        except _ring.RingError:  # what follows is as the worker says
            pass
    return max(known, min(seen["counters"]["committed"], most))
