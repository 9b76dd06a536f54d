"""State databases that turn out to be damaged, of the hub and of collectors.

A damaged one is set aside and never deleted, and its owner starts anew. What
SQLite keeps beside it goes along: the write-ahead log may hold the last changes.
"""

import sqlite3
from pathlib import Path

# Of the file itself; all else speaks of the directory, the disk or a neighbour.
_DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# The file itself last: one that begins anew must not meet the log of another.
_PARTS = ("-wal", "-shm", "")


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether an error is the file's; else the disk's, or a matter of rights."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in _DAMAGE


def set_aside(path: Path) -> Path:
    """Rename a database and what belongs to it; return its new path.

    Raises:
        OSError: it stays where it is.
    """
    number = 1
    while (target := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in _PARTS:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(target.with_name(target.name + suffix))
    return target
