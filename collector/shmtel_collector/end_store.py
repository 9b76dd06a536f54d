"""What a collector remembers of workers that have ended, in the state database.

An end is written down before the ring goes. It is *pending* until its counters are
final, then *due* until it was told as an event. It is told when the ring is gone, or
the next collector would find the ring and tell it again; and it is marked before it
is told, so that a kill in between costs the event and doubles none.

Those that somebody may ask for are kept, the newest KEPT_MAX of them; all others
are forgotten some time after they have been told. With a hub away and a spool there
may be thousands that wait to be told: of those too only the newest have last words.
"""

import sqlite3
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace

from shmtel.errors import ShmtelError
from shmtel_collector.worker_end import WorkerEnd, from_bytes, to_bytes

KEPT_MAX = 200  # of 64 KiB at most
SCHEMA = """
CREATE TABLE IF NOT EXISTS worker_ends (
    ring_id BLOB PRIMARY KEY,
    ended_ns INTEGER NOT NULL,
    state INTEGER NOT NULL,
    is_kept INTEGER NOT NULL,
    content BLOB NOT NULL,
    words BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS worker_ends_by_state ON worker_ends (state, ended_ns);
CREATE INDEX IF NOT EXISTS worker_ends_kept ON worker_ends (ended_ns) WHERE is_kept;
"""
TOLD, DUE, PENDING = range(3)
# One that was told stays told, should its ring come back.
_NOTE = """
INSERT INTO worker_ends VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (ring_id) DO UPDATE
SET ended_ns = excluded.ended_ns, content = excluded.content, words = excluded.words
"""
_OLDEST_FIRST = "ORDER BY ended_ns, ring_id"
_DUE = f"SELECT ring_id, content FROM worker_ends WHERE state = {DUE} {_OLDEST_FIRST}"
_MARK = f"UPDATE worker_ends SET state = {TOLD} WHERE ring_id = ?"
_PENDING = f"SELECT content FROM worker_ends WHERE ring_id = ? AND state = {PENDING}"
_SETTLE = "UPDATE worker_ends SET state = ?, content = ? WHERE ring_id = ?"
_BEYOND = """
UPDATE worker_ends SET is_kept = 0, words = NULL WHERE is_kept AND ring_id NOT IN
    (SELECT ring_id FROM worker_ends WHERE is_kept
    ORDER BY ended_ns DESC, ring_id LIMIT ?)
"""
_FORGET = f"DELETE FROM worker_ends WHERE state = {TOLD} AND NOT is_kept"
KEPT = f"SELECT content, words FROM worker_ends WHERE is_kept {_OLDEST_FIRST}"


class EndStoreError(ShmtelError):
    """It is not written down, or cannot be read; nothing has changed."""


class EndStore:
    """The part of the state database that is about ends of workers."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def note(self, end: WorkerEnd, state: int, *, is_kept: bool) -> None:
        """Write an end down; a second time tells nothing twice.

        Raises:
            EndStoreError: the disk or the database fails.
        """
        if state == TOLD and not is_kept:
            return
        row = (end.ring_id, end.ended_ns, state, is_kept, *to_bytes(end))
        try:
            with self._database as database:
                database.execute(_NOTE, row)
                database.execute(_BEYOND, (KEPT_MAX,))
                database.execute(_FORGET)
        except (sqlite3.Error, OverflowError) as error:
            raise EndStoreError(f"the end of a worker is not kept: {error}") from error

    def settle(self, ring_id: bytes, counts: Mapping[str, int], state: int) -> None:
        """Give an end that is pending its final counters; another stays as it is.

        Raises:
            EndStoreError: the disk or the database fails.
        """
        try:
            with self._database as database:
                rows = database.execute(_PENDING, (ring_id,)).fetchall()
                for end in readable((row[0], None) for row in rows):
                    content, _ = to_bytes(replace(end, counts=counts))
                    database.execute(_SETTLE, (state, content, ring_id))
        except (sqlite3.Error, OverflowError) as error:
            raise EndStoreError(f"the end of a worker is not kept: {error}") from error

    def has_due(self) -> bool:
        """Say whether anything is to be told, now or when a ring is gone.

        Raises:
            EndStoreError: the database fails.
        """
        try:
            return self._database.execute(f"{_DUE} LIMIT 1").fetchone() is not None
        except sqlite3.Error as error:
            raise EndStoreError(f"ends of workers are not told: {error}") from error

    def take_due(self, present: Container[bytes]) -> list[WorkerEnd]:
        """Return what is to be told, once, of rings that are not present.

        Raises:
            EndStoreError: the disk or the database fails; all of it is still due.
        """
        try:
            with self._database as database:
                rows = [r for r in database.execute(_DUE) if bytes(r[0]) not in present]
                database.executemany(_MARK, [row[:1] for row in rows])
        except sqlite3.Error as error:
            raise EndStoreError(f"ends of workers are not told: {error}") from error
        return readable((row[1], None) for row in rows)


def readable(rows: Iterable[tuple[bytes, bytes | None]]) -> list[WorkerEnd]:
    """Read ends; what is none is left out, for it only informs."""
    result = []
    for content, words in rows:
        try:
            result.append(from_bytes(content, words))
        except (ValueError, TypeError, LookupError):
            continue
    return result
