"""A spool that is damaged is never in the way, and never yields what was not put in."""

import logging
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from shmtel_collector.backlog import Backlog
from shmtel_collector.logs import ConditionLog
from shmtel_collector.spool import Spool
from shmtel_collector.spool_file import SpoolUnreadable
from shmtel_collector.spool_records import Closing
from shmtel_collector.spool_store import PAGE_BYTES, SpoolStore
from support.spools import (
    EVENTS,
    FIVE,
    MAX_BYTES,
    OTHER,
    RING,
    OpenedSpool,
    fill,
    segment,
    spooled_ring,
    take_all,
)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _flip(offset: int) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            old = file.read(64)
            file.seek(offset)
            file.write(bytes(byte ^ 0xFF for byte in old))

    return flip


@pytest.mark.parametrize(
    "damage", [_truncate, _empty, _flip(0), _flip(18), _flip(100), _flip(PAGE_BYTES)]
)
def test_a_damaged_file_is_never_in_the_way(
    opened: OpenedSpool, damage: Callable[[Path], None]
) -> None:
    """What it yields is what was put in; the rest is missing, and new events fit."""
    fill(opened.spool, segments=20)
    opened.spool.close()
    damage(opened.path)
    spool = opened.again()
    found = take_all(spool, RING, 40)
    assert set(found) <= {(n, n + 2) for n in range(0, 40, 2)}
    assert spool.append([(spooled_ring(OTHER), [segment(0, 2)])])
    assert take_all(spool, OTHER, 2) == [(0, 2)]
    asides = list(opened.path.parent.glob("*.damaged-*"))
    assert (len(found) == 20) or spool.damages > 0 or damage is _empty
    assert len(asides) == sum("set aside" in line for line in opened.log.lines)


def test_each_bit_of_a_segment_counts(opened: OpenedSpool) -> None:
    """A disk that changes what was stored makes a hole, not another event."""
    fill(opened.spool)
    opened.spool.close()
    data = opened.path.read_bytes()
    at = data.index(EVENTS[30_000:30_050])
    _flip(at)(opened.path)
    spool = opened.again()
    assert len(take_all(spool, RING, 10)) == 4
    assert spool.damages == 1
    assert list(opened.path.parent.glob("*.damaged-*")) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE segments SET delivered = 2 WHERE seq_last = 4",
        "UPDATE segments SET seq_before = 3 WHERE seq_last = 4",
        "UPDATE segments SET ring_id = x'00' WHERE seq_last = 4",
        "UPDATE segments SET counts = '[]' WHERE seq_last = 4",
        "UPDATE segments SET counts = 5 WHERE seq_last = 4",
        "UPDATE segments SET events = 'text' WHERE seq_last = 4",
        "UPDATE segments SET checksum = checksum + 1 WHERE seq_last = 4",
        "DELETE FROM segments WHERE seq_last = 4",
    ],
)
def test_a_changed_row_is_a_hole(opened: OpenedSpool, change: str) -> None:
    """All that a row says is under its checksum."""
    fill(opened.spool)
    opened.change(change)
    assert take_all(opened.again(), RING, 10) == [FIVE[0], *FIVE[2:]]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE rings SET ring = replace(ring, 'w1', 'w2')",
        "UPDATE rings SET ring = x'00ff'",
        "UPDATE rings SET ring_id = x'00'",
        "UPDATE standings SET standing = replace(standing, '0', '1')",
        "DELETE FROM standings",
    ],
)
def test_a_changed_ring_is_as_good_as_gone(opened: OpenedSpool, change: str) -> None:
    """The state database knows how many events it had."""
    opened.spool.append([(spooled_ring(closing=Closing("closed", 2)), [segment(0, 2)])])
    opened.change(change)
    spool = opened.again()
    assert spool.rings(9, are_closed=True) == []
    assert not spool.has_ring(RING)
    assert spool.damages == 1


def test_an_index_that_disagrees_with_its_table_is_damage(opened: OpenedSpool) -> None:
    """A ring that is listed and not found by its id does not end the collector."""
    opened.spool.append([(spooled_ring(closing=Closing("closed", 2)), [segment(0, 2)])])
    opened.spool.close()
    with closing(sqlite3.connect(opened.path)) as database:
        query = "SELECT rootpage FROM sqlite_schema WHERE name LIKE '%autoindex_rings%'"
        ((page,),) = database.execute(query)
    data = bytearray(opened.path.read_bytes())
    at = data.index(RING, (page - 1) * PAGE_BYTES)
    data[at : at + len(RING)] = OTHER
    opened.path.write_bytes(data)
    spool = opened.again()
    assert spool.rings(9, are_closed=True) == []
    assert spool.damages == 1
    assert not spool.has_ring(RING)
    assert len(list(opened.path.parent.glob("*.damaged-*"))) == 1


def test_a_damaged_log_costs_no_more_than_itself(opened: OpenedSpool) -> None:
    """What is in the file is there; what was in the log alone is missing."""
    fill(opened.spool)
    opened.spool.close()
    opened.again().append([(spooled_ring(), [segment(10, 12)])])
    copies = [Path(f"{opened.path}{suffix}") for suffix in ("", "-wal")]
    kept = [copy.read_bytes() for copy in copies]
    opened.spool.close()
    for copy, data in zip(copies, kept, strict=True):
        copy.write_bytes(data)
    _flip(40)(copies[1])
    spool = opened.again()
    assert take_all(spool, RING, 12) == FIVE
    assert spool.append([(spooled_ring(), [segment(10, 12)])])


def test_damage_that_is_met_later_begins_anew(opened: OpenedSpool) -> None:
    """The collector goes on, and the old file is there for whoever wants it."""
    fill(opened.spool, segments=200)
    opened.spool.close()
    spool = opened.again()
    for page in range(3, 30):
        _flip(page * PAGE_BYTES)(opened.path)
    found = take_all(spool, RING, 400)
    assert len(found) < 200
    assert spool.damages > 0
    assert spool.append([(spooled_ring(OTHER), [segment(0, 2)])])
    assert take_all(spool, OTHER, 2) == [(0, 2)]


def test_one_of_a_later_version_is_left_alone(opened: OpenedSpool) -> None:
    """What nobody here can read waits for who can, and nothing in it is lost."""
    opened.change("PRAGMA user_version = 99")
    spool = opened.again()
    assert not spool.is_open
    assert "a later version of shmtel (99)" in opened.log.lines[-1]
    assert list(opened.path.parent.glob("*.damaged-*")) == []


def test_a_neighbour_is_told_to_have_its_own(
    opened: OpenedSpool, caplog: pytest.LogCaptureFixture
) -> None:
    """Two collectors cannot share a file, and a disk is not the matter."""
    other = Spool(opened.path, MAX_BYTES, ConditionLog(logging.getLogger("x")))
    assert not other.is_open
    assert "another collector uses it" in caplog.text


@pytest.mark.parametrize("seed", range(4))
def test_damage_that_sqlite_takes_for_a_full_disk(
    opened: OpenedSpool, seed: int
) -> None:
    """Pages of random bytes name pages that cannot be. All comes to an end: what was
    put in, or its loss, and each loss is counted once."""
    for _ in range(6):
        fill(opened.spool, segments=300)
    opened.spool.close()
    draws = random.Random(seed)
    pages = opened.path.stat().st_size // PAGE_BYTES
    with opened.path.open("r+b") as file:
        first = draws.randrange(2, pages // 2)
        for page in range(first, min(first + 16, pages)):
            file.seek(page * PAGE_BYTES + draws.choice([0, 4096, 8192]))
            file.write(draws.randbytes(4096))
    spool = opened.again()
    found = take_all(spool, RING, 600)
    assert set(found) <= {(n, n + 2) for n in range(0, 600, 2)}
    damages = spool.damages
    assert damages > 0
    assert take_all(spool, RING, 600) in (found, [])
    assert spool.damages <= damages + 1
    assert spool.append([(spooled_ring(OTHER), [segment(0, 2)])])


def test_a_full_error_of_a_damaged_file_is_damage(
    opened: OpenedSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes nothing needs no room; of a sound file it is the disk's word."""
    fill(opened.spool, segments=3)
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL  # type: ignore[misc]

    def refuse(*_: object) -> None:
        raise full

    monkeypatch.setattr(SpoolStore, "next_segment", refuse)
    with pytest.raises(SpoolUnreadable):
        opened.spool.next_segment(RING, 0, 6)
    assert opened.spool.damages == 0
    monkeypatch.setattr(SpoolStore, "is_sound", lambda _: False)
    assert opened.spool.next_segment(RING, 0, 6) is None
    assert opened.spool.damages == 1


def test_what_is_missing_is_said_once(opened: OpenedSpool) -> None:
    """With the ring, and what may have happened; it need not be damage."""
    backlog = Backlog(opened.spool, RING)
    for _ in range(2):
        assert backlog.peek(0, 7).seq_last == 7
        backlog.drop()
    said = [line for line in opened.log.lines if "7 events of ring" in line]
    assert len(said) == 1
    assert opened.spool.damages == 0


def test_a_store_closes_what_it_could_not_use(tmp_path: Path) -> None:
    """An open that fails leaves no descriptor behind."""
    path = tmp_path / "x.sqlite3"
    path.write_bytes(b"no database" * 1000)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(sqlite3.DatabaseError):
            SpoolStore(path, MAX_BYTES)
    assert len(os.listdir("/proc/self/fd")) == before
