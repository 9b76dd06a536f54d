"""Why the spool did not take something."""

import os
import sqlite3
from pathlib import Path

from shmtel.statefiles import is_damage

FULL = "full"  # by its quota
NO_SPACE = "no_space"  # by the disk
FAILED = "failed"
_SCARCE_BYTES = 4 << 20  # a disk with less is what has failed us


def reason_of(error: sqlite3.Error, path: Path) -> str:
    """Tell a full quota from a full disk: SQLite has one word for both."""
    if is_damage(error):
        return FAILED
    if free_bytes(path) < _SCARCE_BYTES:
        return NO_SPACE
    return FULL if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL else FAILED


def free_bytes(path: Path) -> int:
    """Return how much the disk of a file has left for its owner; 0: nobody knows."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize
