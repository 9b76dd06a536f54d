"""Where every ring stands, over restarts: the hub's second database.

It lies beside the one of the policy and not in it. It is written hundreds of times
a second and may be lost with little harm, for collectors know where their rings
stand; the policy is neither.

One group of batches is one statement. SQLite runs without the interpreter lock,
and every return from it waits for that lock, for up to 5 ms while streams decode:
a statement per ring would make a group take seconds. So the rows of a group go in
as one JSON object, row by key, and SQLite takes it apart.

`synchronous` is NORMAL. What is committed survives the death of the process, as
what the JSON-lines sink has written does. A power cut may take the last moments
of both; collectors then count what they had released as `lost_hub_state_lost`.

Rules:
- the lock of the state directory is the store's;
- what is read is judged, as all that comes from outside: rows that do not decode
  are damage, and a damaged database is set aside, never deleted.
"""

import logging
import sqlite3
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from shmtel.errors import ConfigurationError, ShmtelError
from shmtel.hub.measures.rows import SeriesRow
from shmtel.statefiles import is_damage, set_aside
from shmtel.wire.frames import (
    RING_ID_BYTES,
    Counters,
    HostCounters,
    Worker,
    WorkerCounters,
)
from shmtel.wire.limits import counters_flaw
from shmtel.wire.protocol import totals_flaw

_log = logging.getLogger(__name__)

FILE_NAME = "shmtel.hub.rings.sqlite3"  # no namespace of a collector can be called that
SCHEMA_VERSION = 3  # 2: series of metrics; 3: folded rings by host
_BUSY_SECONDS = 0.5
_CLOSE_SECONDS = 0.1  # for a disk that does not answer
_SCHEMA = f"""
CREATE TABLE kept (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION};
"""
_PUT = (
    "INSERT OR REPLACE INTO kept"
    " SELECT key, value FROM json_each(?) WHERE type = 'object'"
)
_REMOVE = (
    "DELETE FROM kept WHERE key IN (SELECT key FROM json_each(?) WHERE type = 'null')"
)
_RING, _MARK, _SERIES, _FOLDED = "ring:", "mark:", "series:", "folded"
_OF_HOST = "folded_host:"


@dataclass(frozen=True, slots=True)
class RingState:
    """What is kept of a ring.

    Attributes:
        counters: what its worker claims; final, once the ring is closed.
        gone: its host has told of all rings, and this one was not there.
    """

    host_id: str
    node: str
    ring_id: bytes
    worker: Worker
    last_seq: int
    totals: Mapping[int, int]
    closed_reason: str | None = None
    counters: WorkerCounters | None = None
    seen_s: int = 0
    namespace: str = ""  # of before version 3: not known
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Folded:
    """The sum of rings that are no longer kept one by one."""

    rings: int = 0
    totals: Mapping[int, int] = field(default_factory=dict)
    unclosed: int = 0  # of them, never closed and not seen any more


@dataclass(frozen=True, slots=True)
class FoldedHost:
    """The part of it that is one host's, and what that has told of itself.

    Attributes:
        told: None: nothing yet.
        gone_events: events that were in rings which went without a word.
    """

    host_id: str
    node: str
    namespace: str
    rings: int
    committed: int
    totals: Mapping[int, int]
    counters: WorkerCounters
    told: HostCounters | None = None
    gone_events: int = 0


@dataclass(frozen=True, slots=True)
class SinkMark:
    """How far a sink had come when everything before was committed."""

    mark: str


Row = RingState | Folded | FoldedHost | SinkMark | SeriesRow


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that was kept."""

    rings: tuple[RingState, ...] = ()
    folded: Folded = field(default_factory=Folded)
    folded_hosts: tuple[FoldedHost, ...] = ()
    marks: Mapping[str, str] = field(default_factory=dict)  # by handler
    series: Mapping[str, SeriesRow] = field(default_factory=dict)  # by key


class PositionError(ShmtelError):
    """A group cannot be written; nothing of it is."""


class Positions(Protocol):
    """Where groups are written."""

    def read(self) -> Kept:
        """Return what was there at the start."""

    def write(self, rows: Mapping[str, Row | None]) -> None:
        """Write a group, all of it or nothing.

        Raises:
            PositionError: nothing of it is written.
        """

    def close(self) -> None:
        """Write no more."""


def ring_key(host_id: str, ring_id: bytes) -> str:
    """Return the key of a ring: in hex, whatever a host calls itself."""
    return f"{rings_of_host(host_id)}{ring_id.hex()}"


def rings_of_host(host_id: str) -> str:
    """Return what the keys of all rings of a host begin with."""
    return f"{_RING}{host_id.encode().hex()}:"


def folded_row(folded: Folded) -> dict[str, Row | None]:
    """Return the row of the folded sum, by its key."""
    return {_FOLDED: folded}


def folded_host_key(host_id: str) -> str:
    """Return the key of a host's part of the folded sum."""
    return f"{_OF_HOST}{host_id.encode().hex()}"


def mark_row(handler_id: str, mark: str) -> dict[str, Row | None]:
    """Return the row of a sink's mark, by its key."""
    return {f"{_MARK}{handler_id.encode().hex()}": SinkMark(mark)}


class NoPositions:
    """Keeps nothing, for a hub without a state directory."""

    def read(self) -> Kept:
        """Nothing was there."""
        return Kept()

    def write(self, rows: Mapping[str, Row | None]) -> None:
        """Forget a group."""

    def close(self) -> None:
        """Nothing is open."""


class PositionStore:
    """The open database of one hub."""

    def __init__(self, state_dir: Path) -> None:
        """Open it, making it where needed.

        Raises:
            ConfigurationError: it cannot be used; the text says why.
        """
        self.path = state_dir / FILE_NAME
        self._lock = threading.Lock()
        try:
            self._database, self._kept = _open_or_start_over(self.path)
        except (sqlite3.Error, OSError, PositionError) as error:
            raise ConfigurationError(
                f"the hub cannot keep its table of rings in {state_dir}: {error}; "
                "choose another directory with --state-dir"
            ) from error
        self._end = weakref.finalize(self, self._database.close)

    def read(self) -> Kept:
        """Return what was there at the start."""
        return self._kept

    def write(self, rows: Mapping[str, Row | None]) -> None:
        """Write a group, all of it or nothing.

        Raises:
            PositionError: nothing of it is written.
        """
        document = msgspec.json.encode(rows).decode()
        try:
            with self._lock:
                if all(rows.values()):
                    self._database.execute(_PUT, (document,))
                else:
                    self._replace(document)
        except sqlite3.Error as error:
            raise PositionError(f"cannot write {self.path}: {error}") from error

    def _replace(self, document: str) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.execute(_REMOVE, (document,))
            self._database.execute(_PUT, (document,))
            self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                self._database.rollback()

    def close(self) -> None:
        """Close the database, unless the disk does not answer."""
        if self._lock.acquire(timeout=_CLOSE_SECONDS):
            try:
                self._end()
            finally:
                self._lock.release()


def _open_or_start_over(path: Path) -> tuple[sqlite3.Connection, Kept]:
    try:
        return _open(path)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        target = set_aside(path)
        _log.error(
            "the hub's table of rings was damaged (%s) and is set aside as %s: each "
            "ring goes on where its collector has settled it, and what handlers had "
            "of it before may be handed to them again, marked",
            *(error, target),
        )
        return _open(path)


def _open(path: Path) -> tuple[sqlite3.Connection, Kept]:
    database = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None
    )
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise PositionError(f"{path} was made by a later version of shmtel")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            database.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        elif version < SCHEMA_VERSION:  # there are more kinds of rows, and no others
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        return database, _read(database)
    except BaseException:
        database.close()
        raise


def _read(database: sqlite3.Connection) -> Kept:
    """Read all of it; damage shows here, not later."""
    verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(str(verdict))
    rings: list[RingState] = []
    marks: dict[str, str] = {}
    series: dict[str, SeriesRow] = {}
    folded, hosts = Folded(), list[FoldedHost]()
    try:
        for key, value in database.execute("SELECT key, value FROM kept"):
            if key.startswith(_RING):
                rings.append(_judged(key, _ring_decoder.decode(value)))
            elif key.startswith(_MARK):
                handler_id = bytes.fromhex(key.removeprefix(_MARK)).decode()
                marks[handler_id] = _mark_decoder.decode(value).mark
            elif key.startswith(_SERIES):
                series[key] = _series_decoder.decode(value)
            elif key == _FOLDED:
                folded = _folded_decoder.decode(value)
            elif key.startswith(_OF_HOST):
                hosts.append(_judged_host(key, _folded_host_decoder.decode(value)))
            else:
                raise ValueError(f"a row {key!r}")
    except (msgspec.MsgspecError, ValueError, TypeError, AttributeError) as error:
        raise sqlite3.DatabaseError(f"unreadable contents: {error}") from error
    return Kept(tuple(rings), folded, tuple(hosts), marks, series)


def _judged(key: str, state: RingState) -> RingState:
    """Return a ring that a hub may have written.

    Raises:
        ValueError: it is not.
    """
    if key != ring_key(state.host_id, state.ring_id):
        raise ValueError(f"a ring under the name of another, {key}")
    if len(state.ring_id) != RING_ID_BYTES or state.last_seq < 0:
        raise ValueError(f"no ring: {key}")
    flaw = totals_flaw(state.last_seq, state.totals)
    if flaw is not None:
        raise ValueError(f"{key}: {flaw}")
    return state


def _judged_host(key: str, host: FoldedHost) -> FoldedHost:
    """Return a host's sum that a hub may have written, or raise ValueError."""
    if key != folded_host_key(host.host_id):
        raise ValueError(f"a host under the name of another, {key}")
    flaw = totals_flaw(sum(host.totals.values()), host.totals)
    if flaw is None and host.told is not None:
        flaw = counters_flaw(Counters(host=host.told))
    if flaw is not None or min(host.rings, host.committed, host.gone_events) < 0:
        raise ValueError(f"{key}: {flaw or 'less than nothing'}")
    return host


_ring_decoder = msgspec.json.Decoder(RingState)
_mark_decoder = msgspec.json.Decoder(SinkMark)
_series_decoder = msgspec.json.Decoder(SeriesRow)
_folded_decoder = msgspec.json.Decoder(Folded)
_folded_host_decoder = msgspec.json.Decoder(FoldedHost)
