"""Is the worker of a ring dead? Proven, or not said.

Theory. A producer holds a POSIX record lock on its segment for life, and the
kernel drops that lock when the process dies, even while its corpse waits for a
parent. While the lock is held the worker is alive, in whatever pid namespace,
stopped or not. A free lock alone proves nothing: a process loses it by closing
any other descriptor of the segment. So the pid that the kernel names as the
holder is pinned once with a pidfd, and death means that the lock is free and
one more thing says so:

- the state says closed: the worker left the ring itself;
- the ring was made before the host last booted;
- the pinned process has exited;
- the pid of the identity is absent, or belongs to a younger process, and the
  identity speaks of the collector's own pid namespace.

Rules: the lock is read first, so that what is found after cannot be older than
the proof; what cannot be proven is UNPROVEN, and the caller retires the ring.
"""

import os
from collections.abc import Callable
from enum import Enum

from shmtel import _ring, procfs
from shmtel.procfs import Host

ABANDONED_SECONDS = 60.0


def is_abandoned(fd: int, now_seconds: float) -> bool:
    """Say of a segment without magic whether its maker never came to finish it."""
    status = os.fstat(fd)
    age_seconds = now_seconds - max(status.st_mtime, status.st_ctime)
    return age_seconds > ABANDONED_SECONDS and _ring.lock_holder(fd) is None


class Verdict(Enum):
    """What is known about the worker of a ring."""

    ALIVE = "alive"
    DEAD = "dead"
    UNPROVEN = "unproven"


class ProcessWatch:
    """Watches the process behind one ring.

    Attributes:
        pidfd: refers to the process for good; None: it could not be pinned.
        pid: of the process that it refers to, in our own pid namespace.
    """

    __slots__ = ("_host", "_identity", "pid", "pidfd")

    def __init__(self, identity: "_ring.Identity", host: Host) -> None:
        self._identity = identity
        self._host = host
        self.pidfd: int | None = None
        self.pid: int | None = None

    def probe(self, fd: int, is_closed: Callable[[], bool]) -> Verdict:
        """Judge now; `fd` is the segment's, `is_closed` reads the ring's state."""
        try:
            holder = _ring.lock_holder(fd)
        except _ring.RingError:  # no answer proves nothing
            return Verdict.ALIVE
        if holder is not None:
            self._pin(holder)
            return Verdict.ALIVE
        if is_closed() or self._is_of_another_boot() or self._is_gone():
            return Verdict.DEAD
        return Verdict.UNPROVEN

    def close(self) -> None:
        """Let go of the process."""
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = self.pid = None

    def _pin(self, pid: int) -> None:
        """Hold on to the holder, so that its pid can be reused without harm."""
        if self.pidfd is not None or pid <= 0:
            return
        try:
            pidfd = procfs.open_pidfd(pid)
        except ProcessLookupError:  # it died just now; the next probe tells
            return
        if pidfd is None:
            return
        if procfs.start_time(pid) != self._identity["start_time"]:
            os.close(pidfd)  # the pid was reused between the two calls
            return
        self.pidfd, self.pid = pidfd, pid

    def _is_of_another_boot(self) -> bool:
        boot_id = self._identity["boot_id"]
        is_known = any(boot_id) and any(self._host.boot_id)
        return is_known and boot_id != self._host.boot_id

    def _is_gone(self) -> bool:
        if self.pidfd is not None:
            return procfs.has_exited(self.pidfd)
        namespace = self._identity["pid_namespace"]
        if namespace == 0 or namespace != self._host.pid_namespace:
            return False
        return self._is_absent(self._identity["pid"])

    def _is_absent(self, pid: int) -> bool:
        """Look the pid up; hidden processes (hidepid) are not absent ones."""
        try:
            pidfd = procfs.open_pidfd(pid)
        except ProcessLookupError:
            return True
        if pidfd is None:
            return False
        try:
            started = procfs.start_time(pid)
            is_another = started not in (None, self._identity["start_time"])
            return is_another or procfs.has_exited(pidfd)
        finally:
            os.close(pidfd)
