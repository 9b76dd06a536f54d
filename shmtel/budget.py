"""The budget of a namespace: how much the rings of dead workers may hold.

What nobody drains stays until somebody does, and workers that die again and again
would fill the file system. So all rings of the dead together may take a quarter of
it. A worker that is about to make a ring removes the oldest ones beyond that; those
that a collector holds and cannot get rid of, the collector removes.

Rules: this is the cheap look, which nearly always is the only one: one listing with
sizes. Who is dead is asked, and all that this takes imported, beyond the budget.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from shmtel.segments import Home

SHARE = 4  # a quarter of the file system


class Segment(NamedTuple):
    """One ring's file; those with the oldest times, which began first, come first."""

    changed_ns: int
    name: str
    bytes: int


def keep_budget(home: Home, namespace: str, is_own: Callable[[str], bool]) -> None:
    """Remove the oldest dead rings of this user beyond the budget.

    Args:
        is_own: says whether a segment is this process's, or about to be.

    Raises:
        OSError, ShmtelError: they stay; nothing is lost.
    """
    budget_bytes = home.size_bytes() // SHARE
    rings = [
        Segment(status.st_mtime_ns, name, used_bytes(status))
        for name, status in home.stat_all(namespace).items()
        # A ring of this process under another ring's name, a hard link, must not be
        # opened, for to close it would drop the lock that proves the process alive.
        if status.st_uid == os.geteuid() and status.st_nlink == 1
    ]
    if budget_bytes == 0 or sum(ring.bytes for ring in rings) <= budget_bytes:
        return
    from shmtel.dead_rings import remove_beyond

    remove_beyond(budget_bytes, home, namespace, sorted(rings), is_own)


def used_bytes(status: os.stat_result) -> int:
    """Return what a file takes of its file system."""
    return status.st_blocks * 512
