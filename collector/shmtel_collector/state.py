"""What a collector remembers over restarts: a small SQLite database.

It holds the stable id of this host (per namespace), the epoch of the last
start, and one row per finished ring, so that the ledger still balances when the
ring itself is gone. Beyond MAX_ROWS the oldest rows are folded into one sum, in
the transaction that adds the new row. Of a ring that is not finished it holds what
was left out, by event. Policies are in policy_store.py, sums for metrics in tally.py.

Rules:
- a database that is damaged is set aside, never deleted, and does not keep the
  collector from starting; whoever opens it learns of it from `set_aside`. One of a
  later version is no damage: the collector does not start;
- a ring is written by its id, so writing it twice changes nothing (unless
  MAX_ROWS others were finished in between, and it has been folded);
- nothing here knows about rings or streams.
"""

import contextlib
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from shmtel.errors import ShmtelError
from shmtel.statefiles import is_damage, set_aside
from shmtel_collector import (
    end_store,
    finished_store,
    life_store,
    policy_store,
    refusals,
    tally,
)
from shmtel_collector.busy import BUSY_SECONDS, Connection
from shmtel_collector.finished import FinishedRing, FoldedRings
from shmtel_collector.policy_store import PolicyStore
from shmtel_collector.refusals import Refusals
from shmtel_collector.worker_end import WorkerEnd

MAX_ROWS = 2_000  # with 256 names each some 50 MB
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS left_out (
    ring_id BLOB PRIMARY KEY,
    counts TEXT NOT NULL
) WITHOUT ROWID;
"""
_FACT = "SELECT value FROM facts WHERE name ="
_NOTE_LEFT_OUT = "INSERT OR REPLACE INTO left_out VALUES (?, ?)"
_FORGET_LEFT_OUT = "DELETE FROM left_out WHERE ring_id = ?"
_LEFT_OUT = "SELECT ring_id, counts FROM left_out"


class StateError(ShmtelError):
    """The state cannot be read or written; the text names the cure."""


class State:
    """The open database of one namespace, for its one collector."""

    def __init__(self, path: Path, max_rows: int = MAX_ROWS) -> None:
        """Open the database, making it and its directory where needed.

        Raises:
            StateError: the directory cannot be used.
        """
        self.path = path
        self.set_aside: Path | None = None
        self._max_rows = max_rows
        _make_directory(path.parent)
        try:
            self._database = _open(path)
        except sqlite3.Error as error:
            self._database = self._start_over(error)
        self.policies = PolicyStore(self._database)
        self.tally = tally.Tally(self._database)
        self.ends = end_store.EndStore(self._database)
        self.lives = life_store.LifeStore(self._database)
        self.refusals_before = refusals.from_text(self._fact("refusals"))

    def host_id(self) -> str:
        """Return the id of this host and namespace, made once."""
        stored = self._fact("host_id")
        if stored is None:
            stored = str(uuid.uuid4())
            self._store_fact("host_id", stored)
        return stored

    def next_epoch(self, realtime_ns: int) -> int:
        """Return an epoch beyond every earlier one, and remember it."""
        stored = self._fact("epoch")
        epoch = max(int(stored or -1) + 1, realtime_ns)
        self._store_fact("epoch", str(epoch))
        return epoch

    def finish(self, ring: FinishedRing) -> None:
        """Write down a finished ring; a second time changes nothing.

        Raises:
            StateError: it is not written; nothing has changed.
        """
        try:
            with self._database as database:
                tally.add(database, ring)
                finished_store.write(database, ring, self._max_rows)
                database.execute(_FORGET_LEFT_OUT, (ring.ring_id,))
                policy_store.forget_ring(database, ring.ring_id)
        except sqlite3.Error as error:
            raise StateError(f"cannot write {self.path}: {error}") from error

    def spooled(self) -> list[bytes]:
        """Return the ids of finished rings that have events in the spool."""
        try:
            return finished_store.read_spooled(self._database)
        except sqlite3.Error:  # the next look may find them
            return []

    def finished(self, ring_id: bytes) -> FinishedRing | None:
        """Return the row of a finished ring."""
        try:
            return finished_store.read_one(self._database, ring_id)
        except sqlite3.Error:
            return None

    def left_out(self, ring_id: bytes) -> str | None:
        """Return what is known by event of a ring that is not finished.

        Without it all still counts, only not by name; so no error is raised.
        """
        query = f"{_LEFT_OUT} WHERE ring_id = ?"
        try:
            row = self._database.execute(query, (ring_id,)).fetchone()
        except sqlite3.Error:
            return None
        return None if row is None else str(row[1])

    def note_left_out(self, texts: Mapping[bytes, str]) -> None:
        """Write down what is known by event, of some rings.

        Raises:
            StateError: it is not written; nothing has changed.
        """
        if not texts:
            return
        try:
            with self._database as database:
                database.executemany(_NOTE_LEFT_OUT, texts.items())
        except sqlite3.Error as error:
            raise StateError(f"cannot write {self.path}: {error}") from error

    def note_refusals(self, counts: Refusals) -> None:
        """Write down what was refused up to now, or raise StateError."""
        self._store_fact("refusals", refusals.to_text(counts))

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _fact(self, name: str) -> str | None:
        row = self._database.execute(f"{_FACT} ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _store_fact(self, name: str, value: str) -> None:
        statement = "INSERT OR REPLACE INTO facts VALUES (?, ?)"
        try:
            with self._database as database:
                database.execute(statement, (name, value))
        except sqlite3.Error as error:
            raise StateError(_directory_text(self.path.parent, error)) from error

    def _start_over(self, error: sqlite3.Error) -> sqlite3.Connection:
        try:
            if not is_damage(error):
                raise error
            self.set_aside = set_aside(self.path)
            return _open(self.path)
        except (sqlite3.Error, OSError) as again:
            raise StateError(_directory_text(self.path.parent, again)) from again


def read_finished(path: Path) -> tuple[list[FinishedRing], FoldedRings]:
    """Read the finished rings of a database without changing it.

    Raises:
        StateError: there is a database, and it cannot be read.
    """
    with _reading(path, "finished", "folded") as database:
        if database is None:
            return [], FoldedRings()
        return finished_store.read(database), finished_store.read_folded(database)


def read_left_out(path: Path) -> dict[bytes, str]:
    """Read what is known by event of the rings that are not finished.

    Raises:
        StateError: there is a database, and it cannot be read.
    """
    with _reading(path, "left_out") as database:
        if database is None:
            return {}
        rows = database.execute(_LEFT_OUT).fetchall()
        return {bytes(ring_id): str(counts) for ring_id, counts in rows}


def read_refusals(path: Path) -> Refusals:
    """Read what collectors of a namespace refused.

    Raises:
        StateError: there is a database, and it cannot be read.
    """
    with _reading(path, "facts") as database:
        row = database and database.execute(f"{_FACT} 'refusals'").fetchone()
        return refusals.from_text(row[0] if row else None)


def read_ends(path: Path) -> list[WorkerEnd]:
    """Read what is kept of workers that have ended, or raise StateError."""
    with _reading(path, "worker_ends") as database:
        rows = database.execute(end_store.KEPT).fetchall() if database else []
        return end_store.readable(rows)


@contextlib.contextmanager
def _reading(path: Path, *tables: str) -> Iterator[sqlite3.Connection | None]:
    """Open a database to read some tables; None: there are none yet."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        if not path.exists():
            yield None
            return
        with contextlib.closing(_connect(uri)) as database, database:
            database.execute("BEGIN")  # all reads see the same moment
            yield database if _has_tables(database, *tables) else None
    except (OSError, sqlite3.OperationalError) as error:
        raise StateError(
            f"cannot read {path}: {error}; run this as the collector's user, or name "
            "another directory with --state-dir"
        ) from error
    except (sqlite3.Error, ValueError, TypeError, LookupError) as error:
        raise StateError(
            f"cannot read {path}: {error}; if it is damaged, the next collector that "
            "starts sets it aside"
        ) from error


def _has_tables(database: sqlite3.Connection, *names: str) -> bool:
    """Say whether tables are there: a collector may be about to make them."""
    rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows} >= set(names)


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, factory=Connection)


def _open(path: Path) -> sqlite3.Connection:
    database = _connect(path.absolute().as_uri())
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StateError(
                f"{path} was made by a later version of shmtel ({version}); use that, "
                "or another --state-dir, which begins anew"
            )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        # An older one may lack a table:
        for schema in (
            *(_SCHEMA, finished_store.SCHEMA),
            *(policy_store.SCHEMA, tally.SCHEMA, end_store.SCHEMA, life_store.SCHEMA),
        ):
            database.executescript(schema)
        if version == 0:
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        _check(database)
    except BaseException:
        database.close()
        raise
    return database


def _check(database: sqlite3.Connection) -> None:
    """Read all that a collector will need; damage shows here, not later."""
    verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(str(verdict))
    try:
        finished_store.read_folded(database)
        policy_store.read_kept(database)
        tally.read(database)
        epoch = database.execute("SELECT value FROM facts WHERE name = 'epoch'")
        int((epoch.fetchone() or ["0"])[0])
        finished_store.read(database)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise sqlite3.DatabaseError(f"unreadable contents: {error}") from error


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(_directory_text(directory, error)) from error


def _directory_text(directory: Path, error: Exception) -> str:
    return (
        f"cannot keep state in {directory}: {error}; make it a directory of this "
        "user's with room on its disk. With another --state-dir all begins anew, and "
        "to the hub this is another host"
    )
