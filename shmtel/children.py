"""What the parent of worker processes can know of them without asking them.

A page of memory that both share, made before the fork, tells how far a worker has
come and how many requests it is in; it costs a worker one store per change. How a
child has ended is asked of the kernel, which keeps the answer until it is reaped.

Rules: whoever reaps the children goes on doing so, nothing here does; a worker
writes its page, and the parent only reads it.
"""

import mmap
import os
import signal
import threading
import time
from typing import NamedTuple

BOOTING, BOOTED, FAILED = range(3)  # FAILED: it has itself told why


class Page:
    """What one worker shows to its parent."""

    def __init__(self) -> None:
        self.forked_ns = time.monotonic_ns()
        # 32-bit words, aligned, so that each is written and read in one step.
        self._words = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("I")
        self._lock = threading.Lock()

    @property
    def state(self) -> int:
        """BOOTING, BOOTED or FAILED."""
        return self._words[0]

    @state.setter
    def state(self, state: int) -> None:
        self._words[0] = state

    @property
    def requests(self) -> int:
        """How many requests it is in."""
        return self._words[1]

    def add_requests(self, more: int) -> None:
        """Count requests that begin, or that end; from any thread."""
        with self._lock:
            self._words[1] = max(self._words[1] + more, 0)

    def age_ns(self) -> int:
        """Nanoseconds since the fork, which comes right after the making."""
        return time.monotonic_ns() - self.forked_ns


class ChildExit(NamedTuple):
    """How a child has ended: with a status, by a signal, or nobody knows."""

    status: int | None = None
    signal_name: str | None = None

    @property
    def reason(self) -> str:
        """One word for it: `exit`, `signal` or `unknown`."""
        if self.signal_name is not None:
            return "signal"
        return "unknown" if self.status is None else "exit"


def exit_of(pid: int) -> ChildExit | None:
    """Say how a child has ended, and leave it to be reaped; None while it lives."""
    try:
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if ended is None:
        return None
    if ended.si_code == os.CLD_EXITED:
        return ChildExit(status=ended.si_status)
    return ChildExit(signal_name=_name_of(ended.si_status))


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # between SIGRTMIN and SIGRTMAX
        return f"signal {number}"
