"""Facts about processes, from the kernel: what proves who is alive.

Rules: a fact that cannot be had is None or empty, never a guess; callers treat
"not known" as "not proven".
"""

import os
import select
from typing import NamedTuple

from shmtel import resource
from shmtel.interruptions import pass_on

_STATE_FIELD, _START_TIME_FIELD = 0, 19  # of /proc/PID/stat, after the command
_CORPSE = (b"Z", b"X")


class Host(NamedTuple):
    """What this process knows of its surroundings; empty where it does not."""

    boot_id: bytes
    pid_namespace: int


def this_host() -> Host:
    """Return the boot and the pid namespace that this process lives in.

    Below a /proc of another namespace the second is not known: whom it shows under
    a pid is not whom the kernel means when we name that pid.
    """
    try:
        namespace = resource.pid_namespace() if _shows_our_pids() else 0
        return Host(resource.boot_id(), namespace)
    except (OSError, ValueError) as error:  # no /proc: then nothing can be compared
        pass_on(error)
        return Host(b"", 0)


def _shows_our_pids() -> bool:
    """Say whether /proc is of our own pid namespace: then it sees none inside it."""
    with open("/proc/self/status", "rb") as file:
        pids = [line.split() for line in file if line.startswith(b"NSpid:")]
    return [len(line) for line in pids] == [2]


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks after boot."""
    try:
        return int(_stat(pid)[_START_TIME_FIELD])
    except (OSError, ValueError, IndexError) as error:
        pass_on(error)
        return None


def lives_since(pid: int, start_time: int) -> bool:
    """Say whether the process that started then has the pid now, and is no corpse."""
    try:
        fields = _stat(pid)
        is_corpse = fields[_STATE_FIELD] in _CORPSE
        return not is_corpse and int(fields[_START_TIME_FIELD]) == start_time
    except (OSError, ValueError, IndexError) as error:
        pass_on(error)
        return False


def _stat(pid: int) -> list[bytes]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        # The command, in brackets, may hold anything, brackets too.
        return file.read().rpartition(b")")[2].split()


def open_pidfd(pid: int) -> int | None:
    """Return a descriptor that refers to the process for good; None if refused.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (OSError, OverflowError) as error:
        pass_on(error)
        return None


def has_exited(pidfd: int) -> bool:
    """Say whether the process of a pidfd is gone, a zombie included."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))
