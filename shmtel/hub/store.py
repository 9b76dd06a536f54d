"""What a hub remembers over restarts: its policy, and who has refused which.

One SQLite database in the state directory, or in memory when there is none. The
policy is one row. Its `origin` is a random name, made with the row: collectors
compare versions of one origin only, so a hub that has lost its state can never
be taken for one that says something old.

The policy is on the disk before anybody hears of it, power cuts included:
otherwise a version number could come to mean two things. That costs one sync
per change, and changes are few.

Rules:
- one hub at a time: a lock file beside the database, which ends with its holder;
- a damaged database is set aside, never deleted, and the hub starts anew; one of
  a later version is refused;
- nothing here knows about streams.
"""

import fcntl
import logging
import os
import secrets
import sqlite3
import threading
import weakref
from pathlib import Path

from shmtel.errors import ConfigurationError, ShmtelError
from shmtel.hub.fleet import REJECTED_MAX
from shmtel.policy.model import Policy
from shmtel.statefiles import is_damage, set_aside
from shmtel.wire.codec import decode_policy, encode_policy
from shmtel.wire.errors import RemoteProtocolError

_log = logging.getLogger(__name__)

FILE_NAME = "shmtel.hub.sqlite3"  # no namespace of a collector can be called that
SCHEMA_VERSION = 1
_BUSY_SECONDS = 0.5
_SCHEMA = f"""
CREATE TABLE policy (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    policy BLOB NOT NULL
);
CREATE TABLE rejected (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    host_id TEXT UNIQUE NOT NULL,
    instance BLOB NOT NULL,
    version INTEGER NOT NULL
);
PRAGMA user_version = {SCHEMA_VERSION};
"""
_PUT_POLICY = "INSERT OR REPLACE INTO policy VALUES (0, ?)"
_PUT_REJECTED = (
    "INSERT OR REPLACE INTO rejected (host_id, instance, version) VALUES (?, ?, ?)"
)
_READ_REJECTED = "SELECT number, host_id, instance, version FROM rejected"
_TRIM_REJECTED = (
    "DELETE FROM rejected WHERE number NOT IN "
    "(SELECT number FROM rejected ORDER BY number DESC LIMIT ?)"
)


class StoreError(ShmtelError):
    """The state cannot be written; nothing has changed."""


class Store:
    """The open state of one hub.

    Args:
        state_dir: where it is kept; None: in memory, for as long as the hub.
    """

    def __init__(self, state_dir: Path | None) -> None:
        """Open the state, making it and its directory where needed.

        Raises:
            ConfigurationError: it cannot be used; the text says why.
        """
        self._lock = threading.Lock()
        self.path: Path | None = None
        file = None
        if state_dir is not None:
            self.path = state_dir / FILE_NAME
            file = _locked(state_dir)
        try:
            self._database = _open_or_start_over(self.path)
        except (sqlite3.Error, OSError, StoreError) as error:
            _unlock(file)
            raise ConfigurationError(_directory_text(state_dir, error)) from error
        # Also for a hub that nobody stops.
        self._end = weakref.finalize(self, _release, self._database, file)
        try:
            self.policy = self._stored_policy() or self._first_policy()
        except (sqlite3.Error, StoreError) as error:
            self._end()
            raise ConfigurationError(_directory_text(state_dir, error)) from error

    def save(self, policy: Policy) -> None:
        """Write the policy down.

        Raises:
            StoreError: it is not written, and the one before stays.
        """
        self._execute(
            (_PUT_POLICY, (encode_policy(policy),)), ("DELETE FROM rejected", ())
        )
        self.policy = policy

    def rejected(self) -> dict[str, bytes]:
        """Return the hosts that have refused the policy, by which process."""
        query = (
            "SELECT host_id, instance FROM rejected WHERE version = ? ORDER BY number"
        )
        with self._lock:
            rows = self._database.execute(query, (self.policy.version,)).fetchall()
        return dict(rows)

    def note_rejected(self, host_id: str, instance: bytes, version: int) -> None:
        """Remember that a process of a host has refused a version of the policy.

        Raises:
            StoreError: it is not written; the host will tell again.
        """
        self._execute(
            (_PUT_REJECTED, (host_id, instance, version)),
            (_TRIM_REJECTED, (REJECTED_MAX,)),
        )

    def close(self) -> None:
        """Close the database and let another hub have it."""
        with self._lock:
            self._end()

    def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        try:
            with self._lock, self._database as database:
                for statement, values in statements:
                    database.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"cannot write {self.path}: {error}") from error

    def _stored_policy(self) -> Policy | None:
        row = self._database.execute("SELECT policy FROM policy").fetchone()
        return None if row is None else decode_policy(row[0])

    def _first_policy(self) -> Policy:
        policy = Policy(origin=secrets.token_hex(16))
        self.save(policy)
        return policy


def _release(database: sqlite3.Connection, file: int | None) -> None:
    database.close()
    _unlock(file)


def _unlock(file: int | None) -> None:
    if file is not None:
        os.close(file)


def _locked(state_dir: Path) -> int:
    """Return the lock of a state directory; it ends when it is closed."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(state_dir / f"{FILE_NAME}.lock", flags, 0o600)
    except OSError as error:
        raise ConfigurationError(_directory_text(state_dir, error)) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if not isinstance(error, BlockingIOError):
            raise ConfigurationError(_directory_text(state_dir, error)) from error
        raise ConfigurationError(
            f"another hub keeps its state in {state_dir}; stop it, or choose "
            "another directory with --state-dir"
        ) from error
    return file


def _open_or_start_over(path: Path | None) -> sqlite3.Connection:
    try:
        return _open(path)
    except sqlite3.Error as error:
        if path is None or not is_damage(error):
            raise
        target = set_aside(path)
        _log.error(
            "the hub's state was damaged (%s) and is set aside as %s: its policy is "
            "lost here, and stays in force at the collectors until rules are set",
            *(error, target),
        )
        return _open(path)


def _open(path: Path | None) -> sqlite3.Connection:
    database = sqlite3.connect(
        path or ":memory:", timeout=_BUSY_SECONDS, check_same_thread=False
    )
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StoreError(f"{path} was made by a later version of shmtel")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if version == 0:
            database.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        _check(database)
    except BaseException:
        database.close()
        raise
    return database


def _check(database: sqlite3.Connection) -> None:
    """Read all that the hub will need; damage shows here, not later."""
    verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(str(verdict))
    database.execute(_READ_REJECTED).fetchall()
    for (data,) in database.execute("SELECT policy FROM policy"):
        try:
            origin = decode_policy(data).origin
        except (RemoteProtocolError, TypeError) as error:
            raise sqlite3.DatabaseError(f"unreadable contents: {error}") from error
        if not origin:
            raise sqlite3.DatabaseError("unreadable contents: no origin")


def _directory_text(directory: Path | None, error: Exception) -> str:
    return (
        f"the hub cannot keep its state in {directory}: {error}; choose another "
        "directory with --state-dir"
    )
