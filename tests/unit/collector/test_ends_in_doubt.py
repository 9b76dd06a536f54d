"""Rings that have ended while the disk, or what is known of them, is in doubt."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shmtel.budget import SHARE
from shmtel.errors import SegmentError
from shmtel.segments import Home
from shmtel_collector.census import CensusTaker, OwnEvents
from shmtel_collector.host_counts import HostCounts
from shmtel_collector.ledger import read_ledger
from shmtel_collector.spool_store import SpoolStore
from support.home import HOME
from support.memory_line import SECOND_NS, MemoryLine, seqs_up_to
from support.ring_builder import RingBuilder

MakeRing = Callable[..., RingBuilder]


@pytest.fixture
def line(namespace: str, tmp_path: Path) -> Iterator[MemoryLine]:
    """A collector with a spool, not yet connected."""
    line = MemoryLine(namespace, tmp_path / "state", 64 << 20)
    yield line
    line.close()


@pytest.fixture
def dead(make_ring: MakeRing) -> RingBuilder:
    """A dead worker's ring, so full that no time passes until it is spooled."""
    ring = make_ring()
    ring.add_name("a.b")
    while ring.tail < 0.8 * ring.capacity:
        ring.append(0, None, {}, {"text": "x" * 900})
    ring.die()
    return ring


def test_a_spool_that_cannot_be_read_says_nothing_of_its_rings(
    line: MemoryLine,
    dead: RingBuilder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are not taken for lost, and come with their names when it can be."""
    line.bury()

    def fail(*_arguments: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    with monkeypatch.context() as patch:
        for method in ("rings", "has_ring", "next_segment"):
            patch.setattr(SpoolStore, method, fail)
        line.deliver()
    assert line.fleet.spooled.rings == {}
    for _ in range(2):
        line.step(SECOND_NS)
    entry = line.hub.rings[dead.ring_id]
    assert (entry.names, entry.seqs) == (["a.b"], seqs_up_to(dead.seq))


def test_what_was_delivered_and_not_forgotten_is_not_delivered_again(
    line: MemoryLine,
    dead: RingBuilder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even to a hub that has forgotten the ring: its account is final."""
    line.bury()
    with monkeypatch.context() as patch:
        for method in ("forget", "release"):
            patch.setattr(SpoolStore, method, lambda *_arguments: None)
        line.deliver()
        line.kill()
    assert line.hub.rings.pop(dead.ring_id).seqs == seqs_up_to(dead.seq)
    line.deliver()
    assert line.hub.rings == {}
    assert line.spool.rings(9, are_closed=True) == []


def test_a_spooled_ring_whose_segment_stays_is_counted(
    line: MemoryLine,
    dead: RingBuilder,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No event leaves the sums because a file cannot be removed."""

    def fail(_name: str) -> None:
        raise SegmentError("it stays")

    monkeypatch.setattr(line.fleet._discovery, "remove", fail)
    line.step()
    line.step(SECOND_NS)
    assert list(line.fleet.rings) == [dead.ring_id]
    counts = HostCounts(line.fleet, line.state.tally, line.spool, HOME, namespace)
    census = CensusTaker(
        *(namespace, 1, line.fleet, line.state.tally, counts),
        *(line.session.link, lambda: 0, line.validation.stripped),
        OwnEvents({}, {}),
    ).take()
    (account,) = census.accounts().values()
    assert (account.committed, account.spooled) == (dead.seq, dead.seq)
    total = read_ledger(namespace, line.database_path.parent, HOME).total
    assert total.spooled == dead.seq


def test_nothing_is_remembered_of_a_ring_that_was_spooled(
    line: MemoryLine, dead: RingBuilder
) -> None:
    """However many full rings come and go while the hub is away."""
    line.bury()
    line.step()
    assert line.spooling._full_since_ns == {}


@pytest.mark.parametrize("is_spooled", [False, True])
def test_a_ring_that_the_hub_has_closed_is_not_opened_again(
    line: MemoryLine, dead: RingBuilder, namespace: str, is_spooled: bool
) -> None:
    """It only waits for its account to be written; the hub keeps what it was told."""
    if is_spooled:
        line.bury()
    line.let_disk_fail(True)
    line.deliver()
    assert line.hub.rings[dead.ring_id].closed == "closed"
    line.cut()
    line.deliver()
    assert line.hub._numbers == {}
    line.let_disk_fail(False)
    line.step(SECOND_NS)
    total = read_ledger(namespace, line.database_path.parent, HOME).total
    assert (total.delivered, total.unaccounted) == (dead.seq, 0)
    assert HOME.scan(namespace) == []


def test_a_locked_database_holds_the_loop_up_once(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """However many rings are to be written down, and all are once it is free."""
    rings = [make_ring() for _ in range(30)]
    for ring in rings:
        ring.add_name("a.b")
        ring.append()
        ring.die()
    with closing(sqlite3.connect(line.database_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        line.connect()
        for _ in range(3):
            line.step(SECOND_NS)
        assert time.monotonic() - began < 10.0  # half a second each take minutes
        assert len(line.fleet.rings) == len(rings)
    line.step(SECOND_NS)
    assert HOME.scan(namespace) == []
    total = read_ledger(namespace, line.database_path.parent, HOME).total
    assert (total.delivered, total.unaccounted) == (len(rings), 0)


def test_with_a_spool_that_only_fails_the_dead_are_kept_to_the_budget(
    line: MemoryLine,
    dead: RingBuilder,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk that is mounted read-only has room, and takes nothing."""

    def fail(*_arguments: object) -> None:
        error = sqlite3.OperationalError("attempt to write a readonly database")
        error.sqlite_errorcode = sqlite3.SQLITE_READONLY
        raise error

    monkeypatch.setattr(SpoolStore, "append", fail)
    monkeypatch.setattr(Home, "size_bytes", lambda home: SHARE)
    for _ in range(30):
        line.step(SECOND_NS // 2)
    assert HOME.scan(namespace) == []
    total = read_ledger(namespace, line.database_path.parent, HOME).total
    assert (total.lost, total.unaccounted) == ({"evicted": dead.seq}, 0)


@pytest.mark.parametrize("method", ["rings", "append"])
def test_a_vanished_ring_is_found_once_the_disk_answers(
    line: MemoryLine,
    make_ring: MakeRing,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    """That its spool could not be read or written at the start does not hide it."""
    ring = make_ring()
    ring.hold_lock()
    ring.add_name("a.b")
    while ring.tail < 0.6 * ring.capacity:
        ring.append(0, None, {}, {"text": "x" * 900})
    line.step()
    line.close()
    HOME.unlink(ring.name)

    def fail(*_arguments: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    line._start()
    with monkeypatch.context() as patch:
        patch.setattr(SpoolStore, method, fail)
        line.step()
    line.step(SECOND_NS)
    total = read_ledger(namespace, line.database_path.parent, HOME).total
    assert total.spooled == ring.seq
    line.deliver()
    assert line.hub.rings[ring.ring_id].seqs == seqs_up_to(ring.seq)
    HOME.create(ring.name)  # for the fixture to remove
