"""The file of the spool: segments by ring and seq, in an SQLite database.

Chosen and set so that a SIGKILL at any moment leaves the last transaction whole or
absent, that the file never grows beyond its quota, and that nobody else opens it:

- a write-ahead log, synchronous NORMAL: what the operating system loses is lost with
  the rings, which are in memory;
- `max_page_count` is the quota; the log beside it is kept to LOG_BYTES by
  checkpoints, which no reader can hold up, because the lock is exclusive;
- pages that are freed are used again, and go back when nothing is left.

Rules:
- everything here raises sqlite3.Error, and spool.py decides what that means;
- rows are found by ring and seq alone, so writing one twice changes nothing, and a
  hole is seen by whoever looks for the next one.
"""

import contextlib
import os
import sqlite3
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

from shmtel.wire.frames import Segment
from shmtel_collector.spool_records import (
    SEGMENT_COLUMNS,
    SpooledRing,
    Standing,
    UnsoundRow,
    ring_of,
    ring_text,
    segment_of,
    segment_row,
    standing_text,
)

SCHEMA_VERSION = 1
PAGE_BYTES = 16 << 10
LOG_BYTES = 8 << 20
_OF_A_NEW_FILE = (f"page_size = {PAGE_BYTES}", "auto_vacuum = INCREMENTAL")
_SETTINGS = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    f"wal_autocheckpoint = {LOG_BYTES // 2 // PAGE_BYTES}",
    f"journal_size_limit = {LOG_BYTES}",
)
_TEXTS_MAX = 4 << 20  # what is known of rings, read at a time
_SHRINK = "PRAGMA incremental_vacuum(1024)"  # pages at a time
_TRUNCATE = "PRAGMA wal_checkpoint(TRUNCATE)"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS rings (
    id INTEGER PRIMARY KEY,  -- in the order of their first segments
    ring_id BLOB NOT NULL UNIQUE,
    is_closed INTEGER NOT NULL,
    ring TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS standings (
    ring_id BLOB PRIMARY KEY,
    standing TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (
    id INTEGER PRIMARY KEY,
    ring_id BLOB NOT NULL,
    seq_before INTEGER NOT NULL,
    seq_last INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    counts TEXT NOT NULL,
    events BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS segments_by_seq ON segments (ring_id, seq_last);
"""
_PUT_SEGMENT = (
    f"INSERT OR REPLACE INTO segments (ring_id, {SEGMENT_COLUMNS}) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_NEXT_SEGMENT = (
    f"SELECT id, {SEGMENT_COLUMNS} FROM segments "
    "WHERE ring_id = ? AND seq_last > ? AND seq_last <= ? ORDER BY seq_last LIMIT 1"
)
_PUT_RING = (
    "INSERT INTO rings (ring_id, is_closed, ring) VALUES (?, ?, ?) "
    "ON CONFLICT (ring_id) DO UPDATE SET ring = excluded.ring, "
    "is_closed = excluded.is_closed"
)
_PUT_STANDING = "INSERT OR REPLACE INTO standings VALUES (?, ?)"
_RING_IDS = "SELECT ring_id FROM rings WHERE is_closed = ? ORDER BY id LIMIT ?"
_RING = (
    "SELECT ring, standing FROM rings LEFT JOIN standings USING (ring_id) "
    "WHERE ring_id = ?"
)
_OPEN_AND_EMPTY = (
    "SELECT 1 FROM rings WHERE ring_id = ? AND NOT is_closed AND NOT EXISTS "
    "(SELECT 1 FROM segments WHERE segments.ring_id = rings.ring_id)"
)


class SpoolStore:
    """The open file, for the one collector of its namespace."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Open the file, making it where there is none.

        Raises:
            sqlite3.Error, OSError: it cannot be used.
        """
        self.path = path
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._database = _open(path)
        self.unsound = 0  # rows that were not what they had been
        try:
            self._page_bytes = self._number("page_size")
            self.max_bytes = self._limit(max_bytes)
        except BaseException:
            self.close()
            raise

    def used_bytes(self) -> int:
        """Return how much of the file is in use."""
        pages = self._number("page_count") - self._number("freelist_count")
        return pages * self._page_bytes

    def holds_segments(self) -> bool:
        """Say whether there is any segment."""
        return bool(self._row("SELECT 1 FROM segments LIMIT 1"))

    def append(self, parts: Iterable[tuple[SpooledRing, Sequence[Segment]]]) -> None:
        """Put segments behind those of their rings, all or none."""
        with self._database as database:
            for ring, segments in parts:
                self._put_ring(ring)
                if segments:  # behind its head a ring has nothing that counts
                    self._forget_behind(ring.ring_id, segments[0].seq_before)
                database.executemany(
                    _PUT_SEGMENT,
                    ((ring.ring_id, *segment_row(ring.ring_id, s)) for s in segments),
                )

    def next_segment(
        self, ring_id: bytes, after_seq: int, last_seq: int
    ) -> Segment | None:
        """Return the first sound segment that ends in (after_seq, last_seq]."""
        bounds = (ring_id, after_seq, last_seq)
        while (row := self._row(_NEXT_SEGMENT, *bounds)) is not None:
            try:
                return segment_of(ring_id, row[1:])
            except UnsoundRow:
                with self._database as database:
                    database.execute("DELETE FROM segments WHERE id = ?", row[:1])
                self.unsound += 1
        return None

    def last_seq(self, ring_id: bytes) -> int | None:
        """Return up to where a ring's segments reach; None: there are none."""
        query = "SELECT max(seq_last) FROM segments WHERE ring_id = ?"
        row = self._row(query, ring_id)
        return None if row is None or row[0] is None else int(str(row[0]))

    def tidy(self, ring_id: bytes, settled_seq: int, head_seq: int) -> None:
        """Remove what the ring itself has not released yet, and what is settled.

        Of a ring that has ended nothing is: its segment may be a borrowed one.
        """
        row = self._row("SELECT is_closed FROM rings WHERE ring_id = ?", ring_id)
        if row is None or row[0]:
            return
        with self._database as database:
            self._forget_behind(ring_id, head_seq)
            _release(database, ring_id, settled_seq)

    def release(self, standings: Mapping[bytes, Standing]) -> None:
        """Remove what is settled, and note how far the rings have come."""
        with self._database as database:
            for ring_id, standing in standings.items():
                _release(database, ring_id, standing.settled_seq)
                database.execute(
                    "UPDATE standings SET standing = ? WHERE ring_id = ?",
                    (standing_text(ring_id, standing), ring_id),
                )

    def forget(self, ring_id: bytes) -> None:
        """Remove all of a ring."""
        with self._database as database:
            for table in ("segments", "rings", "standings"):
                database.execute(f"DELETE FROM {table} WHERE ring_id = ?", (ring_id,))

    def has_ring(self, ring_id: bytes) -> bool:
        """Say whether anything is known of a ring."""
        return bool(self._row("SELECT 1 FROM rings WHERE ring_id = ?", ring_id))

    def rings(
        self, are_closed: bool, beside: Container[bytes], limit: int
    ) -> list[SpooledRing]:
        """Return rings, those first that came first; an unsound one is removed.

        Args:
            beside: these are left out.
            limit: how many rings are looked at.
        """
        found = self._database.execute(_RING_IDS, (are_closed, limit)).fetchall()
        rings: list[SpooledRing] = []
        text_length = 0
        for (ring_id,) in found:
            if ring_id in beside:
                continue
            row = self._row(_RING, ring_id)
            if row is None:  # its index is another than the table: no look-up counts
                raise sqlite3.DatabaseError("a ring is not found by its id")
            text_length += len(str(row[0]))
            if rings and text_length > _TEXTS_MAX:
                break
            try:
                rings.append(ring_of(ring_id, *map(str, row)))
            except UnsoundRow:
                self.forget(ring_id)
                self.unsound += 1
        return rings

    def shrink(self) -> bool:
        """Give back some of what is not used; say whether there is more."""
        is_more = self._number("freelist_count") > 0
        # As a script: a statement that yields no rows is left after its first page.
        self._database.executescript(_SHRINK if is_more else _TRUNCATE)
        return is_more

    def is_sound(self) -> bool:
        """Say whether its pages make sense; takes seconds where there are many."""
        row = self._row("PRAGMA quick_check(1)")
        return row is not None and row[0] == "ok"

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _put_ring(self, ring: SpooledRing) -> None:
        ring_id, text = ring.ring_id, ring_text(ring)
        row = self._row("SELECT ring FROM rings WHERE ring_id = ?", ring_id)
        if row is None or row[0] != text:
            is_closed = ring.closing is not None
            self._database.execute(_PUT_RING, (ring_id, is_closed, text))
        standing = standing_text(ring_id, ring.standing)
        self._database.execute(_PUT_STANDING, (ring_id, standing))

    def _forget_behind(self, ring_id: bytes, seq: int) -> None:
        self._database.execute(
            "DELETE FROM segments WHERE ring_id = ? AND seq_last > ?", (ring_id, seq)
        )

    def _limit(self, max_bytes: int) -> int:
        pages = max(max_bytes - LOG_BYTES, 0) // self._page_bytes
        return self._number(f"max_page_count = {pages}") * self._page_bytes

    def _number(self, pragma: str) -> int:
        row = self._row(f"PRAGMA {pragma}")
        assert row is not None
        return int(str(row[0]))

    def _row(self, query: str, *arguments: object) -> Sequence[object] | None:
        with contextlib.closing(self._database.execute(query, arguments)) as cursor:
            row: Sequence[object] | None = cursor.fetchone()
        return row


def _release(database: sqlite3.Connection, ring_id: bytes, settled_seq: int) -> None:
    database.execute(
        "DELETE FROM segments WHERE ring_id = ? AND seq_last <= ?",
        (ring_id, settled_seq),
    )
    if database.execute(_OPEN_AND_EMPTY, (ring_id,)).fetchone():
        for table in ("rings", "standings"):
            database.execute(f"DELETE FROM {table} WHERE ring_id = ?", (ring_id,))


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=0.0)
    try:
        # First of all, or the log would be opened for others to share.
        database.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise OSError(f"it was made by a later version of shmtel ({version})")
        for pragma in (*(_OF_A_NEW_FILE if version == 0 else ()), *_SETTINGS):
            database.execute(f"PRAGMA {pragma}").fetchall()
        database.executescript(_SCHEMA)
        if version == 0:
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        database.close()
        raise
    return database
