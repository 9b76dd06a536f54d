"""Finished rings in the state database: a row each, and the sum of the oldest.

A ring whose events are still in the spool has ended and is not delivered yet: its
row says how many they are, and is never folded, because it will be written again.

Rules: one transaction of the caller's; sqlite3.Error is the caller's to name.
"""

import sqlite3

from shmtel_collector.finished import (
    FinishedRing,
    FoldedRings,
    folded_from_json,
    folded_to_json,
    ring_from_json,
    ring_to_json,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS finished (
    ring_id BLOB PRIMARY KEY,
    closed_ns INTEGER NOT NULL,
    ring TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS finished_by_age ON finished (closed_ns);
CREATE TABLE IF NOT EXISTS spooled (ring_id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folded (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    rings TEXT NOT NULL
);
"""
_COLUMNS = "SELECT ring_id, closed_ns, ring FROM finished"
_ORDER = "ORDER BY closed_ns, ring_id"
_FOLDABLE = f"{_COLUMNS} WHERE ring_id NOT IN (SELECT ring_id FROM spooled) {_ORDER}"
_SPOOLED = (
    "SELECT ring_id, closed_ns, json_remove(ring, '$.events') "
    "FROM spooled JOIN finished USING (ring_id)"
)
_EXCESS = "SELECT (SELECT count(*) FROM finished) - (SELECT count(*) FROM spooled)"


def write(database: sqlite3.Connection, ring: FinishedRing, max_rows: int) -> None:
    """Write down a ring; a second time changes nothing."""
    database.execute(
        "INSERT OR REPLACE INTO finished VALUES (?, ?, ?)",
        (ring.ring_id, ring.closed_ns, ring_to_json(ring)),
    )
    note = "INSERT OR REPLACE INTO spooled VALUES (?)"
    forget = "DELETE FROM spooled WHERE ring_id = ?"
    database.execute(note if ring.spooled else forget, (ring.ring_id,))
    _fold(database, max_rows)


def read(database: sqlite3.Connection) -> list[FinishedRing]:
    """Read all rings that have a row, the oldest first."""
    rows = database.execute(f"{_COLUMNS} {_ORDER}").fetchall()
    return [ring_from_json(*row) for row in rows]


def read_one(database: sqlite3.Connection, ring_id: bytes) -> FinishedRing | None:
    """Read the row of a ring."""
    row = database.execute(f"{_COLUMNS} WHERE ring_id = ?", (ring_id,)).fetchone()
    return None if row is None else ring_from_json(*row)


def read_spooled(database: sqlite3.Connection) -> list[bytes]:
    """Read the ids of the rings whose events are still in the spool."""
    return [bytes(row[0]) for row in database.execute("SELECT ring_id FROM spooled")]


def read_spooled_rings(database: sqlite3.Connection) -> list[FinishedRing]:
    """Read these rings, without counts by event: there may be thousands of them."""
    return [ring_from_json(*row) for row in database.execute(_SPOOLED)]


def read_folded(database: sqlite3.Connection) -> FoldedRings:
    """Read the sum of the rings that have no row any more."""
    row = database.execute("SELECT rings FROM folded").fetchone()
    return FoldedRings() if row is None else folded_from_json(row[0])


def _fold(database: sqlite3.Connection, max_rows: int) -> None:
    excess = database.execute(_EXCESS).fetchone()[0] - max_rows
    if excess <= 0:
        return
    folded = read_folded(database)
    for row in database.execute(f"{_FOLDABLE} LIMIT ?", (excess,)).fetchall():
        folded = folded.plus(ring_from_json(*row))
        database.execute("DELETE FROM finished WHERE ring_id = ?", (row[0],))
    database.execute(
        "INSERT OR REPLACE INTO folded VALUES (0, ?)", (folded_to_json(folded),)
    )
