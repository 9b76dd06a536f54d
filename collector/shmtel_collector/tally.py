"""Sums over the rings that are gone, in the state database.

A metric that counts must not go back when a ring goes, nor when the collector is
started anew. So whatever a ring has counted is added here, in the transaction that
writes the ring down, under what tells workers apart for years: their service, and
their stable index.

Rules:
- a ring counts once, also if it is written down twice: one whose events are still in
  the spool will be, and counts when they are delivered;
- the number of rows is bounded; what finds no place counts without a name.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from shmtel.accounting.accounts import Account
from shmtel.accounting.counts import add_counts
from shmtel.accounting.rings import Counted, account_of, closed
from shmtel.errors import ShmtelError
from shmtel.wire.frames import Outcome
from shmtel_collector.finished import EVICTED, FinishedRing
from shmtel_collector.finished_store import read_spooled_rings

KEYS_MAX = 1_024
NAMELESS = ("", "")
SCHEMA = """
CREATE TABLE IF NOT EXISTS tally (
    service TEXT NOT NULL,
    worker TEXT NOT NULL,
    rings TEXT NOT NULL,
    PRIMARY KEY (service, worker)
) WITHOUT ROWID;
"""
_HAS = (
    "SELECT 1 FROM finished WHERE ring_id = ?"
    " AND ring_id NOT IN (SELECT ring_id FROM spooled)"
)
_IS_SPOOLED = "SELECT 1 FROM spooled WHERE ring_id = ?"
_ROW = "SELECT rings FROM tally WHERE service = ? AND worker = ?"
_ROWS = "SELECT service, worker, rings FROM tally"
_UPSERT = "INSERT OR REPLACE INTO tally VALUES (?, ?, ?)"

Key = tuple[str, str]  # service, and a worker's stable index; empty: not known


class TallyError(ShmtelError):
    """The sums cannot be read."""


@dataclass(frozen=True, slots=True)
class GoneRings:
    """The sum of rings that are gone.

    Attributes:
        ended: rings by reason.
        untold: of those that were evicted, `rings` of whose end no hub will hear, and
            the events that were `lost` with them.
    """

    ended: Mapping[str, int] = field(default_factory=dict)
    account: Account = field(default_factory=Account)
    untold: Mapping[str, int] = field(default_factory=dict)

    def plus(self, other: "GoneRings") -> "GoneRings":
        """Return the sum of both."""
        ended = add_counts(self.ended, other.ended)
        untold = add_counts(self.untold, other.untold)
        return GoneRings(ended, self.account.plus(other.account), untold)


def key_of(service: str, worker_index: int | None) -> Key:
    """Return under what a worker's rings are summed up."""
    return service, "" if worker_index is None else str(worker_index)


def account_of_finished(ring: FinishedRing) -> Account:
    """Return the account of a ring that is gone."""
    return account_of(counted_of(ring))


def counted_of(ring: FinishedRing) -> Counted:
    """Return what is known of a ring that is gone."""
    return closed(ring.reason, ring.last_seq, ring.totals, ring.claims, ring.spooled)


def add(database: sqlite3.Connection, ring: FinishedRing) -> None:
    """Add a ring, inside the transaction that is about to write it down."""
    if ring.spooled or database.execute(_HAS, (ring.ring_id,)).fetchone() is not None:
        return
    key = key_of(ring.service, ring.worker_index)
    row = database.execute(_ROW, key).fetchone()
    if row is None and _count(database) >= KEYS_MAX:
        key = NAMELESS
        row = database.execute(_ROW, key).fetchone()
    before = GoneRings() if row is None else _from_json(row[0])
    untold = _untold(database, ring)
    gone = GoneRings({ring.reason: 1}, account_of_finished(ring), untold)
    after = before.plus(gone)
    database.execute(_UPSERT, (*key, json.dumps(asdict(after))))


def read(database: sqlite3.Connection) -> dict[Key, GoneRings]:
    """Return all sums."""
    rows = database.execute(_ROWS).fetchall()
    return {(service, worker): _from_json(text) for service, worker, text in rows}


class Tally:
    """The sums of a collector's state database, to read."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def sums(self) -> dict[Key, GoneRings]:
        """Return all sums.

        Raises:
            TallyError: the disk or the database fails.
        """
        try:
            return read(self._database)
        except (sqlite3.Error, ValueError, TypeError, LookupError) as error:
            raise TallyError(f"the sums cannot be read: {error}") from error

    def spooled(self) -> list[FinishedRing]:
        """Return the rings that are not in them yet: their events are in the spool.

        They have no counts by event.

        Raises:
            TallyError: the disk or the database fails.
        """
        try:
            return read_spooled_rings(self._database)
        except (sqlite3.Error, ValueError, TypeError, LookupError) as error:
            raise TallyError(f"the spooled rings cannot be read: {error}") from error

    def has(self, ring_id: bytes) -> bool:
        """Say whether a ring is in them, which may still be there itself."""
        try:
            row = self._database.execute(_HAS, (ring_id,)).fetchone()
        except sqlite3.Error:  # then it counts twice for as long as it is there
            return False
        return row is not None


def _untold(database: sqlite3.Connection, ring: FinishedRing) -> dict[str, int]:
    """Return what nobody tells a hub; a ring that comes from the spool tells itself."""
    is_told = database.execute(_IS_SPOOLED, (ring.ring_id,)).fetchone() is not None
    if ring.reason != EVICTED or is_told:
        return {}
    return {"rings": 1, "lost": ring.totals.get(Outcome.LOST_EVICTED, 0)}


def _count(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT count(*) FROM tally").fetchone()[0])


def _from_json(text: str) -> GoneRings:
    fields = json.loads(text)
    return GoneRings(**fields | {"account": Account(**fields["account"])})
