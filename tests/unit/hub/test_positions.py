"""The table of rings on disk, and what becomes of damage."""

import json
import logging
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shmtel.errors import ConfigurationError
from shmtel.hub.measures.rows import SeriesRow
from shmtel.hub.positions import (
    FILE_NAME,
    Folded,
    FoldedHost,
    Kept,
    NoPositions,
    PositionError,
    PositionStore,
    RingState,
    Row,
    folded_host_key,
    folded_row,
    mark_row,
    ring_key,
)
from shmtel.wire.frames import HostCounters, WorkerCounters
from support.frames import WORKER

BIGGEST = 2**64 - 1
STATE = RingState(
    *("ho\0st", "nöde\u2028", b"\xff" * 16, WORKER, BIGGEST),
    {0: BIGGEST - 1, 31: 1},
    "vanished",
    WorkerCounters(5, dropped={"ring_full": BIGGEST}),
    seen_s=7,
    namespace="ns",
)
HOST = FoldedHost(
    *("ho\0st", "nöde", "ns", 2, 9, {0: 7, 17: 2}, WorkerCounters(9)),
    HostCounters({"li\0nk": BIGGEST}, evicted={19: BIGGEST}),
    BIGGEST,
)


def row(state: RingState) -> dict[str, Row | None]:
    """Return the row of a ring, by its key."""
    return {ring_key(state.host_id, state.ring_id): state}


def kept_after(directory: Path, *groups: Mapping[str, Row | None]) -> Kept:
    """Write groups and return what the next hub finds."""
    with closing(PositionStore(directory)) as store:
        for group in groups:
            store.write(group)
    with closing(PositionStore(directory)) as store:
        return store.read()


def test_a_new_one_is_empty(tmp_path: Path) -> None:
    """There is nothing to go on from."""
    assert kept_after(tmp_path) == Kept() == NoPositions().read()


def test_everything_comes_back(tmp_path: Path) -> None:
    """The greatest numbers and the strangest names too."""
    folded = Folded(2, {17: 3}, 1)
    rows = row(STATE) | folded_row(folded) | mark_row("js\0nl", "1:2:3")
    rows[folded_host_key(HOST.host_id)] = HOST
    kept = kept_after(tmp_path, rows)
    assert kept == Kept((STATE,), folded, (HOST,), {"js\0nl": "1:2:3"})


def test_rows_of_before_hosts_had_told(tmp_path: Path) -> None:
    """They are read, and nothing is known of what was told."""
    kept_after(tmp_path, {HOST_KEY: HOST})
    stored = json.loads(host_document())
    del stored["told"], stored["gone_events"]
    put(tmp_path / FILE_NAME, HOST_KEY, json.dumps(stored))
    before = replace(HOST, told=None, gone_events=0)
    assert kept_after(tmp_path).folded_hosts == (before,)


def test_rows_are_replaced_and_removed(tmp_path: Path) -> None:
    """A group holds what changed, and what went away."""
    other = replace(STATE, host_id="ho")
    later = replace(STATE, last_seq=BIGGEST - 1, totals={0: BIGGEST - 1})
    gone: dict[str, Row | None] = dict.fromkeys(row(other))
    folded = folded_row(Folded(1))
    kept = kept_after(tmp_path, row(STATE) | row(other), row(later) | gone | folded)
    assert kept == Kept((later,), Folded(1))


@pytest.mark.parametrize("is_removing", [False, True])
def test_a_group_is_written_whole_or_not(tmp_path: Path, is_removing: bool) -> None:
    """Where it cannot be written it can be tried again."""
    group = row(STATE) | ({"ring:gone": None} if is_removing else {})
    with closing(PositionStore(tmp_path)) as store:
        with closing(sqlite3.connect(store.path)) as database:
            database.execute("BEGIN IMMEDIATE")
            with pytest.raises(PositionError, match=rf"{FILE_NAME}.*locked"):
                store.write(group)
        store.write(group)
    assert kept_after(tmp_path).rings == (STATE,)


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """Nothing of the group is there, and it is when there is room again."""
    rings = [replace(STATE, ring_id=bytes([n]) * 16) for n in range(100)]
    rows: dict[str, Row | None] = {}
    for ring in rings:
        rows |= row(ring)
    with closing(PositionStore(tmp_path)) as store:
        store.write(row(rings[0]))
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages + 1}")
        for group in (rows, rows | {"ring:gone": None}):
            with pytest.raises(PositionError, match="full"):
                store.write(group)
        assert kept_beside(store) == 1
        store._database.execute("PRAGMA max_page_count = 1000000")
        store.write(rows)
        assert kept_beside(store) == 100


def kept_beside(store: PositionStore) -> int:
    """Count the rows as another process sees them."""
    with closing(sqlite3.connect(store.path)) as database:
        (count,) = database.execute("SELECT count(*) FROM kept").fetchone()
        return int(count)


def put(path: Path, key: str, value: str) -> None:
    """Put a row past the hub."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (key, value))


def document(**changed: Any) -> str:
    """Return the row of the ring as it is stored, with some changes."""
    stored = msgspec.json.decode(msgspec.json.encode(STATE))
    return msgspec.json.encode({**stored, **changed}).decode()


def host_document(**changed: Any) -> str:
    """Return the row of the host's sum in the same way."""
    stored = msgspec.json.decode(msgspec.json.encode(HOST))
    return msgspec.json.encode({**stored, **changed}).decode()


KEY = ring_key(STATE.host_id, STATE.ring_id)
HOST_KEY = folded_host_key(HOST.host_id)
ROWS = {
    "no document": (KEY, "{"),
    "no ring": (KEY, "{}"),
    "a seq before the first": (KEY, document(last_seq=-1, totals={})),
    "a seq too large": (KEY, document(last_seq=2**64)),
    "totals that do not sum": (KEY, document(last_seq=3)),
    "an outcome out of range": (KEY, document(totals={32: BIGGEST})),
    "a ring id too short": (KEY, document(ring_id="AAAA")),
    "the name of another": (KEY[:-1], document()),
    "an unknown kind": ("unknown", "{}"),
    "a handler that is no hex": ("mark:x", '{"mark": "1"}'),
    "a mark that is no text": ("mark:00", '{"mark": 1}'),
    "a sum that is none": ("folded", '{"rings": "1"}'),
    "the sum of another": (f"{HOST_KEY}00", host_document()),
    "a host's sum of an outcome out of range": (
        HOST_KEY,
        host_document(totals={32: 1}),
    ),
    "a host's sum below nothing": (HOST_KEY, host_document(committed=-1)),
    "less than nothing in rings that are gone": (
        HOST_KEY,
        host_document(gone_events=-1),
    ),
    "an outcome out of range that was told": (
        HOST_KEY,
        host_document(told={"evicted": {32: 1}}),
    ),
}


@pytest.mark.parametrize("flaw", ROWS)
def test_a_row_that_no_hub_wrote_is_damage(tmp_path: Path, flaw: str) -> None:
    """What is read is judged: the hub starts anew, and sets it aside."""
    kept_after(tmp_path, row(STATE))
    put(tmp_path / FILE_NAME, *ROWS[flaw])
    assert kept_after(tmp_path) == Kept()
    assert (tmp_path / f"{FILE_NAME}.damaged-1").exists()


def overwrite(path: Path) -> None:
    """Overwrite the file."""
    path.write_bytes(b"noise" * 1_000)


def lose_table(path: Path) -> None:
    """Drop the table."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE kept")


@pytest.mark.parametrize("damage", [overwrite, lose_table])
def test_damage_is_told(
    damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the file went, and what that means."""
    kept_after(tmp_path, row(STATE))
    damage(tmp_path / FILE_NAME)
    with caplog.at_level(logging.ERROR):
        assert kept_after(tmp_path) == Kept()
    assert f"{FILE_NAME}.damaged-1" in caplog.text
    assert "each ring goes on where its collector has settled it" in caplog.text
    assert kept_after(tmp_path, row(STATE)).rings == (STATE,)


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    """Its file is not ours to judge."""
    kept_after(tmp_path, row(STATE))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match=r"later version.*--state-dir"):
        PositionStore(tmp_path)


def test_series_come_back_exactly(tmp_path: Path) -> None:
    """The greatest numbers, and labels of any text, whole or broken."""
    rows = {
        "series:a:1": SeriesRow(
            "a", ("n\u00f6\u2028", ""), 1 << 62, 0.1, (1, 2.5), None
        ),
        "series:a:2": SeriesRow("a", None, sys.float_info.max, rings=("ring:x",)),
        "series:b:1": SeriesRow("b", (), 3, 4, last=-1, updated_s=7),
    }
    assert kept_after(tmp_path, rows).series == rows
    assert kept_after(tmp_path, {"series:a:1": None}).series.keys() == {
        *("series:a:2", "series:b:1")
    }


@pytest.mark.parametrize("version", [1, 2])
def test_the_file_of_an_earlier_version_is_taken_over(
    tmp_path: Path, version: int
) -> None:
    """It has no series, or no namespaces and no sums of hosts.

    An earlier hub then says that it is of a later one.
    """
    document = json.loads(msgspec.json.encode(row(STATE)))
    for ring in document.values():
        del ring["namespace"]
    kept_after(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        rows = [(key, json.dumps(value)) for key, value in document.items()]
        database.executemany("INSERT INTO kept VALUES (?, ?)", rows)
        database.execute(f"PRAGMA user_version = {version}")
    assert kept_after(tmp_path) == Kept((replace(STATE, namespace=""),))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (3,)


def test_a_closed_one_refuses(tmp_path: Path) -> None:
    """What comes too late is not written, and says so."""
    store = PositionStore(tmp_path)
    store.close()
    store.close()
    with pytest.raises(PositionError):
        store.write(row(STATE))
