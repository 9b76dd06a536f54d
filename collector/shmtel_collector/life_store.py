"""What a collector remembers of workers while they live, in the state database.

A *life* is a process of which it was told that it has begun, and perhaps that it is
ready: what is written here is told, and is told no second time, by whichever
collector. A *seat* is what a restarted worker takes over: its index in its pool. It
says how many have had it, who has it, and how that one ended. The pool as a whole has
a row of the same kind, which counts all that were ever spawned in it.

Rules:
- what is told is written first, in one transaction for all that is told at once;
- both tables are bounded. Those that were touched last are kept, and what is present
  counts as touched when it matters.
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass

from shmtel.errors import ShmtelError

ROWS_MAX = 8_192  # of each table; half of them go when there are more
POOL = -1  # the place of a whole pool among its seats
UNKNOWN = "unknown"
SCHEMA = """
CREATE TABLE IF NOT EXISTS lives (
    process BLOB PRIMARY KEY,
    is_ready INTEGER NOT NULL,
    touched_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seats (
    service TEXT NOT NULL,
    pool TEXT NOT NULL,
    seat INTEGER NOT NULL,
    spawns INTEGER NOT NULL,
    process BLOB NOT NULL,
    created_ns INTEGER NOT NULL,
    ended_ns INTEGER NOT NULL,
    reason TEXT NOT NULL,
    touched_ns INTEGER NOT NULL,
    PRIMARY KEY (service, pool, seat)
) WITHOUT ROWID;
"""
_IS_READY = "SELECT is_ready FROM lives WHERE process = ?"
_NOTE_LIFE = "INSERT OR REPLACE INTO lives VALUES (?, ?, ?)"
_TOUCH = "UPDATE lives SET touched_ns = ? WHERE process = ?"
_SEAT = (
    "SELECT spawns, process, created_ns, ended_ns, reason, touched_ns FROM seats"
    " WHERE service = ? AND pool = ? AND seat = ?"
)
_NOTE_SEAT = "INSERT OR REPLACE INTO seats VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_END = (
    "UPDATE seats SET ended_ns = ?, reason = ?, touched_ns = ?"
    " WHERE service = ? AND pool = ? AND seat = ? AND process = ?"
)
_TOUCH_POOL = (
    f"UPDATE seats SET touched_ns = ? WHERE service = ? AND pool = ? AND seat = {POOL}"
)

Place = tuple[str, str, int]  # service, pool, and index or POOL


class LifeStoreError(ShmtelError):
    """It is not written down; nothing has changed."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Who has a seat, and how many have had it.

    Attributes:
        created_ns: when its ring was made, by the wall clock.
        ended_ns: when its end was seen; 0: nobody has seen it.
        reason: of its end; empty: it is not known to have ended.
    """

    spawns: int
    process: bytes
    created_ns: int
    ended_ns: int
    reason: str
    touched_ns: int


class LifeRows:
    """Both tables, within one transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def is_ready(self, process: bytes) -> bool | None:
        """Say whether it was told that a process is ready; None: not even its life."""
        row = self._database.execute(_IS_READY, (process,)).fetchone()
        return None if row is None else bool(row[0])

    def note(self, process: bytes, *, is_ready: bool, now_ns: int) -> None:
        """Write down what is told of a process."""
        self._database.execute(_NOTE_LIFE, (process, is_ready, now_ns))

    def seat(self, place: Place) -> Seat | None:
        """Return who has a seat; None: nobody ever had."""
        row = self._database.execute(_SEAT, place).fetchone()
        return None if row is None else Seat(*row)

    def take(self, place: Place, seat: Seat) -> None:
        """Write down who has a seat."""
        self._database.execute(_NOTE_SEAT, (*place, *astuple(seat)))

    def end(
        self, place: Place, process: bytes, *, reason: str, ended_ns: int, now_ns: int
    ) -> None:
        """Write down how a process has ended, if it still has that seat."""
        self._database.execute(_END, (ended_ns, reason, now_ns, *place, process))
        self._database.execute(_TOUCH_POOL, (now_ns, *place[:2]))

    def prune(self, present: Collection[bytes], now_ns: int) -> None:
        """Forget half of what is remembered if it is too much."""
        for table in ("lives", "seats"):
            count = self._database.execute(f"SELECT count(*) FROM {table}").fetchone()
            if count[0] <= ROWS_MAX:
                continue
            if table == "lives":
                rows = [(now_ns, process) for process in present]
                self._database.executemany(_TOUCH, rows)
            self._database.execute(
                f"DELETE FROM {table} WHERE touched_ns < (SELECT touched_ns"
                f" FROM {table} ORDER BY touched_ns DESC LIMIT 1 OFFSET ?)",
                (ROWS_MAX // 2 - 1,),
            )


class LifeStore:
    """The part of the state database that is about lives of workers."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @contextmanager
    def writing(self) -> Iterator[LifeRows]:
        """Read and write in one transaction.

        Raises:
            LifeStoreError: the disk or the database fails.
        """
        try:
            with self._database as database:
                yield LifeRows(database)
        except (sqlite3.Error, OverflowError) as error:
            raise LifeStoreError(
                f"the lives of workers are not told: {error}"
            ) from error
