"""What a collector remembers of policies over its restarts, in the state database.

- the rules that were in force: the fleet's policy and the local overlays, their
  deadlines by this host's clock, and the policy that was refused last;
- per ring the sampling thresholds that its worker may have been told. They are
  written down before they are stored in the ring, or a later collector would
  take a true event for a forged one.
- the ids of the collector's own rings, which no policy acts on.

Rules:
- one transaction per change, whatever it concerns;
- nothing here judges rules.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from shmtel.errors import ShmtelError
from shmtel.policy.model import Policy, PolicyStatus
from shmtel.wire.codec import (
    decode_collector_frame,
    decode_policy,
    encode_collector_frame,
    encode_policy,
)
from shmtel.wire.errors import RemoteProtocolError

SCHEMA = """
CREATE TABLE IF NOT EXISTS policies (
    place INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS thresholds (
    ring_id BLOB NOT NULL,
    threshold INTEGER NOT NULL,
    UNIQUE (ring_id, threshold)
);
CREATE TABLE IF NOT EXISTS own_rings (ring_id BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_FLEET, _OVERLAY = "fleet", "overlay"
# What this version of the program refuses another one may understand.
_REJECTED = f"rejected by {metadata.version('shmtel')}"
_KEEP = "INSERT INTO policies (kind, content) VALUES (?, ?)"
_KEPT = "SELECT kind, content FROM policies ORDER BY place"
_NOTE = "INSERT OR REPLACE INTO thresholds VALUES (?, ?)"
_NOTED = "SELECT threshold FROM thresholds WHERE ring_id = ? ORDER BY rowid"
_FORGET = "DELETE FROM thresholds WHERE ring_id = ? AND threshold = ?"

NO_POLICY = Policy()


class PolicyStoreError(ShmtelError):
    """It is not written down; nothing has changed."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is remembered of rules.

    Attributes:
        fleet: the last good policy of a hub, its expiries by our own clock.
        rejected: our answer to the policy after that, if it was refused.
        overlays: in their order; `origin` is the name.
    """

    fleet: Policy = NO_POLICY
    rejected: PolicyStatus | None = None
    overlays: tuple[Policy, ...] = ()


class PolicyStore:
    """The part of the state database that is about policies."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def keep(self, kept: Kept) -> None:
        """Replace what is remembered of rules.

        Raises:
            PolicyStoreError: the disk or the database fails.
        """
        rows = [(_FLEET, encode_policy(kept.fleet))]
        rows += [(_OVERLAY, encode_policy(overlay)) for overlay in kept.overlays]
        if kept.rejected is not None:
            rows.append((_REJECTED, encode_collector_frame(kept.rejected)))
        self._write([("DELETE FROM policies", [()]), (_KEEP, rows)])

    def kept(self) -> Kept:
        """Return what is remembered of rules; `check` has read it before."""
        return read_kept(self._database)

    def note_thresholds(self, thresholds: Mapping[bytes, Iterable[int]]) -> None:
        """Write down thresholds, by ring, before they are stored in it.

        Raises:
            PolicyStoreError: the disk or the database fails.
        """
        rows = [(ring_id, word) for ring_id, new in thresholds.items() for word in new]
        self._write([(_NOTE, rows)])

    def forget_thresholds(self, ring_id: bytes, thresholds: Iterable[int]) -> None:
        """Forget some of the thresholds of a ring.

        Raises:
            PolicyStoreError: the disk or the database fails.
        """
        self._write([(_FORGET, [(ring_id, word) for word in thresholds])])

    def thresholds(self, ring_id: bytes) -> list[int]:
        """Return the thresholds of a ring, in the order they were written down.

        Raises:
            PolicyStoreError: the disk or the database fails.
        """
        try:
            rows = self._database.execute(_NOTED, (ring_id,)).fetchall()
        except sqlite3.Error as error:
            raise PolicyStoreError(f"the state cannot be read: {error}") from error
        return [row[0] for row in rows]

    def note_own_ring(self, ring_id: bytes) -> None:
        """Write down that a ring is the collector's own.

        Raises:
            PolicyStoreError: the disk or the database fails.
        """
        self._write([("INSERT OR IGNORE INTO own_rings VALUES (?)", [(ring_id,)])])

    def own_rings(self) -> set[bytes]:
        """Return the ids of rings that collectors of this host have written."""
        try:
            rows = self._database.execute("SELECT ring_id FROM own_rings").fetchall()
        except sqlite3.Error:  # then policies act on them, as on any other
            return set()
        return {bytes(row[0]) for row in rows}

    def _write(self, steps: Sequence[tuple[str, Sequence[tuple[object, ...]]]]) -> None:
        try:
            with self._database as database:
                for statement, rows in steps:
                    database.executemany(statement, rows)
        except (sqlite3.Error, OverflowError) as error:
            raise PolicyStoreError(f"the state cannot be written: {error}") from error


def forget_ring(database: sqlite3.Connection, ring_id: bytes) -> None:
    """Forget a ring that is finished, inside the caller's transaction."""
    for table in ("thresholds", "own_rings"):
        database.execute(f"DELETE FROM {table} WHERE ring_id = ?", (ring_id,))


def read_kept(database: sqlite3.Connection) -> Kept:
    """Read what is remembered of rules.

    Raises:
        ValueError: it is not what `keep` wrote.
    """
    fleet, rejected, overlays = Policy(), None, []
    for kind, content in database.execute(_KEPT):
        if kind == _REJECTED:
            rejected = _decode_status(content)
        elif kind == _OVERLAY:
            overlays.append(_decode_policy(content))
        elif kind == _FLEET:
            fleet = _decode_policy(content)
    return Kept(fleet, rejected, tuple(overlays))


def _decode_policy(content: object) -> Policy:
    try:
        return decode_policy(_bytes(content))
    except RemoteProtocolError as error:
        raise ValueError(f"a policy that cannot be read: {error}") from error


def _decode_status(content: object) -> PolicyStatus:
    try:
        frame = decode_collector_frame(_bytes(content))
    except RemoteProtocolError as error:
        raise ValueError(f"an answer that cannot be read: {error}") from error
    if not isinstance(frame, PolicyStatus) or frame.rejection is None:
        raise ValueError("an answer that is none")
    return frame


def _bytes(content: object) -> bytes:
    if not isinstance(content, bytes):
        raise ValueError("a text where bytes belong")
    return content
