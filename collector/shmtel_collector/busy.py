"""A connection to a database that somebody else may have locked.

It waits for that once, and then no more until it was let in: its owner is a loop
with many things to write, and would do nothing else but wait.

Rules: what is written is written within `with`.
"""

import sqlite3
from types import TracebackType
from typing import Literal

BUSY_SECONDS = 0.5  # a reader never holds it for long


class Connection(sqlite3.Connection):
    """A connection that is patient once; made by `sqlite3.connect(factory=...)`."""

    _is_locked_out = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        """Commit or roll back, and note whether somebody was in the way."""
        super().__exit__(kind, error, traceback)
        is_locked_out = _is_busy(error)
        if is_locked_out != self._is_locked_out:
            self._is_locked_out = is_locked_out
            seconds = 0.0 if is_locked_out else BUSY_SECONDS
            self.execute(f"PRAGMA busy_timeout = {seconds * 1e3:.0f}").fetchall()
        return False


def _is_busy(error: BaseException | None) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY
