"""The spool's file: order, quota, full disks, and who may use it."""

import contextlib
import os
from pathlib import Path

import pytest

from shmtel.wire.frames import Segment, SegmentCount
from shmtel_collector.spool_file import REOPEN_NS, SpoolUnreadable
from shmtel_collector.spool_records import Closing
from shmtel_collector.spool_store import LOG_BYTES, PAGE_BYTES
from support.spools import (
    FIVE,
    MAX_BYTES,
    OTHER,
    RING,
    OpenedSpool,
    fill,
    segment,
    spooled_ring,
    standing,
    take_all,
)
from support.tiny_disk import tiny_disk


def test_segments_come_back_as_they_were_and_in_order(opened: OpenedSpool) -> None:
    """Each ring for itself, whatever else is in there, also after a restart."""
    spool = opened.spool
    first = Segment(0, 0, 3, 2, b"\xdd\0\0\0\x02ab", (SegmentCount(4, 2, 1),))
    assert spool.append(
        [(spooled_ring(), [first]), (spooled_ring(OTHER), [segment(5, 9)])]
    )
    assert spool.append([(spooled_ring(), [segment(3, 4)])])
    for take in (lambda: spool, opened.again):
        each = take()
        assert each.next_segment(RING, 0, 4) == first
        assert each.next_segment(RING, 3, 4) == segment(3, 4)
        assert each.next_segment(RING, 4, 4) is None
        assert each.next_segment(OTHER, 5, 9) == segment(5, 9)


def test_writing_twice_is_writing_once(opened: OpenedSpool) -> None:
    """What a killed collector had put in is replaced, in whatever bounds it was."""
    last = fill(opened.spool)
    opened.spool.append([(spooled_ring(), [segment(4, 5), segment(5, 10)])])
    assert take_all(opened.spool, RING, last) == [(0, 2), (2, 4), (4, 5), (5, 10)]


def test_what_is_settled_is_removed(opened: OpenedSpool) -> None:
    """And with the last of it all that is known of a ring that is in memory."""
    last = fill(opened.spool)
    opened.spool.release(RING, standing(5))
    opened.spool.flush()
    assert take_all(opened.spool, RING, last) == FIVE[2:]
    assert opened.spool.has_ring(RING)
    opened.spool.release(RING, standing(last))
    opened.spool.flush()
    assert not opened.spool.has_ring(RING)


def test_a_ring_that_has_ended_stays_until_it_is_forgotten(opened: OpenedSpool) -> None:
    """Its end is to be told, also when no event of it is left."""
    closing = Closing("vanished", 4, events=[{"name": "a"}], left_out="{}")
    opened.spool.append([(spooled_ring(closing=closing), [segment(0, 4)])])
    opened.spool.release(RING, standing(4, sent=4))
    opened.spool.flush()
    (ring,) = opened.again().rings(9, are_closed=True)
    assert (ring.closing, ring.standing) == (closing, standing(4, sent=4))
    assert (ring.worker, list(ring.names)) == (spooled_ring().worker, ["a.b", "ä"])
    opened.spool.forget(RING)
    assert opened.spool.rings(9, are_closed=True) == []


def test_rings_are_read_some_at_a_time_the_first_ones_first(
    opened: OpenedSpool,
) -> None:
    """The first ones first; those that are known already are passed over."""
    ids = [bytes([n]) * 16 for n in range(9, 0, -1)]
    for ring_id in ids:
        opened.spool.append([(spooled_ring(ring_id, Closing("closed", 0)), ())])
    found = opened.spool.rings(4, are_closed=True, beside=set(ids[:3]))
    assert [ring.ring_id for ring in found] == ids[3:7]


def test_numbers_of_rows_do_not_end(opened: OpenedSpool) -> None:
    """Behind the largest there is, SQLite finds another; order does not follow it."""
    fill(opened.spool, segments=1)
    store = opened.spool._file.store
    assert store is not None
    for table in ("segments", "rings"):
        store._database.execute(f"UPDATE {table} SET id = {2**63 - 1}")
    store._database.commit()
    opened.spool.append(
        [(spooled_ring(), [segment(2, 4)]), (spooled_ring(OTHER), [segment(0, 2)])]
    )
    assert take_all(opened.again(), RING, 4) == FIVE[:2]
    assert take_all(opened.spool, OTHER, 2) == FIVE[:1]


def test_the_quota_holds_and_space_is_used_again(opened: OpenedSpool) -> None:
    """File and log stay within it; what leaves makes room for what comes."""
    spool, seq = opened.spool, 0
    while spool.room_bytes():
        assert spool.append([(spooled_ring(), [segment(seq, seq + 2)])])
        seq += 2
    assert spool.is_full()
    size = opened.path.stat().st_size + Path(f"{opened.path}-wal").stat().st_size
    assert size <= MAX_BYTES
    for _ in range(300):  # many times the quota goes through
        spool.release(RING, standing(seq - 200))
        spool.flush()
        assert spool.append([(spooled_ring(), [segment(seq, seq + 2)])])
        seq += 2
    assert opened.path.stat().st_size <= MAX_BYTES - LOG_BYTES
    assert Path(f"{opened.path}-wal").stat().st_size <= LOG_BYTES
    assert not spool.refused


def test_a_quota_that_is_hit_refuses_and_keeps_all(opened: OpenedSpool) -> None:
    """It is counted by its reason, and asked again a second later."""
    last = fill(opened.spool)
    pages = opened.path.stat().st_size // PAGE_BYTES + 20
    spool = opened.again(LOG_BYTES + pages * PAGE_BYTES)
    assert not spool.append(
        [(spooled_ring(), [segment(last + n, last + n + 1) for n in range(9)])]
    )
    assert spool.refused == {"full": 1}
    assert take_all(spool, RING, last) == FIVE
    assert spool.is_patient()
    opened.now_ns += 1_000_000_000
    assert not spool.is_patient()
    assert any("full" in line for line in opened.log.lines)


@pytest.mark.skipif(os.getuid() != 0, reason="only the superuser may mount a disk")
def test_a_full_disk_refuses_and_keeps_all() -> None:
    """The disk is smaller than the quota: another reason, the same manners."""
    with tiny_disk(40 << 20) as directory:
        opened = OpenedSpool(directory / "n.spool.sqlite3")
        spool, seq = opened.again(1 << 30), 0
        while spool.room_bytes():
            spool.append([(spooled_ring(), [segment(seq, seq + 2)])])
            seq += 2
        spool.refuse(3)
        assert spool.refused == {"no_space": 3}
        _fill_up(directory / "filler")
        assert not spool.append(
            [(spooled_ring(), [segment(seq + n, seq + n + 1) for n in range(99)])]
        )
        assert spool.refused == {"no_space": 4}
        assert len(take_all(spool, RING, seq)) == seq // 2 > 100
        spool.release(RING, standing(seq - 8))
        spool.flush()  # nothing can be written, and nothing breaks
        assert len(take_all(opened.again(1 << 30), RING, seq)) >= 4
        (directory / "filler").unlink()
        opened.spool.release(RING, standing(seq - 8))
        opened.spool.flush()
        assert len(take_all(opened.spool, RING, seq)) == 4
        assert opened.spool.append([(spooled_ring(), [segment(seq, seq + 2)])])
        assert opened.spool.damages == 0
        opened.spool.abandon()


def _fill_up(path: Path) -> None:
    """Leave not a byte of a disk."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(64 << 10)) == 64 << 10:
            pass


def test_a_directory_that_cannot_be_used_is_one_warning(tmp_path: Path) -> None:
    """No spool then, the line names the cure, and the cure is noticed."""
    (tmp_path / "file").write_text("")
    opened = OpenedSpool(tmp_path / "file" / "n.spool.sqlite3")
    assert (opened.spool.is_open, opened.spool.max_bytes) == (False, 0)
    assert opened.spool.is_full()
    assert not opened.spool.append([(spooled_ring(), [segment(0, 2)])])
    with pytest.raises(SpoolUnreadable):  # it may be there all the same
        opened.spool.next_segment(RING, 0, 2)
    (line,) = opened.log.lines
    assert "--spool-dir" in line
    (tmp_path / "file").unlink()
    opened.now_ns += REOPEN_NS
    opened.spool.flush()
    assert opened.spool.append([(spooled_ring(), [segment(0, 2)])])
    opened.spool.abandon()


def test_a_second_collector_finds_it_taken(opened: OpenedSpool) -> None:
    """It has no spool then, and touches nothing of the first one's."""
    last = fill(opened.spool)
    second = OpenedSpool(opened.path)
    assert not second.spool.is_open
    assert "--spool-dir" in second.log.lines[0]
    assert take_all(opened.spool, RING, last) == FIVE


def test_nobody_else_reads_it(opened: OpenedSpool) -> None:
    """Events are their user's: file and directory say so."""
    fill(opened.spool)
    assert opened.path.parent.stat().st_mode & 0o77 == 0
    for suffix in ("", "-wal"):
        assert Path(f"{opened.path}{suffix}").stat().st_mode & 0o77 == 0


def test_what_comes_and_goes_is_said_once_a_minute(opened: OpenedSpool) -> None:
    """Beside a slow hub the spool may begin and end all the time."""
    for _ in range(20):
        last = fill(opened.spool)
        opened.spool.release(RING, standing(last))
        opened.spool.flush()
    assert len(opened.log.lines) == 1
    opened.now_ns += 60_000_000_000
    fill(opened.spool)
    assert len(opened.log.lines) == 2


def test_a_spool_that_only_held_rings_that_ended_is_empty_again(
    opened: OpenedSpool,
) -> None:
    """Its space is given back, and the next use is said, as with rings that live."""
    many = [segment(seq, seq + 2) for seq in range(0, 200, 2)]
    closing = Closing("vanished", 200, left_out="{}")
    assert opened.spool.append([(spooled_ring(closing=closing), many)])
    opened.spool.release(RING, standing(200, sent=200))
    opened.spool.forget(RING)
    used = _pages(opened.path)
    for _ in range(3):
        opened.spool.flush()
    assert _pages(opened.path) < used
    opened.now_ns += 60_000_000_000
    fill(opened.spool)
    assert len(opened.log.lines) == 2


def _pages(path: Path) -> int:
    """The file's header is in its log until a checkpoint."""
    sizes = [Path(f"{path}{suffix}").stat().st_size for suffix in ("", "-wal")]
    return sum(sizes) // PAGE_BYTES
