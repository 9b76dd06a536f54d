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
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return FAILED
    if disk.f_bavail * disk.f_frsize < _SCARCE_BYTES:
        return NO_SPACE
    return FULL if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL else FAILED
