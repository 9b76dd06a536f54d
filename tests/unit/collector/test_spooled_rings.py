"""Rings of which only the spool, or its loss, has something to say."""

import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shmtel import budget
from shmtel.accounting.accounts import Account
from shmtel.budget import keep_budget
from shmtel.evictions import read_evictions
from shmtel.segments import Home
from shmtel.wire.frames import Outcome
from shmtel_collector.hoard import PATIENCE_NS
from shmtel_collector.host_counts import HostCounts
from shmtel_collector.ledger import read_ledger
from shmtel_collector.ring import Ring
from shmtel_collector.spooled_rings import LOADED_MAX
from support.home import HOME
from support.memory_line import SECOND_NS, MemoryLine, seqs_up_to
from support.ring_builder import RingBuilder, fill_ring
from support.ring_layout import Identity

MakeRing = Callable[..., RingBuilder]


@pytest.fixture
def line(namespace: str, tmp_path: Path) -> Iterator[MemoryLine]:
    """A collector with a spool, not yet connected."""
    line = MemoryLine(namespace, tmp_path / "state", 64 << 20)
    yield line
    line.close()


def _dead(make_ring: MakeRing, share: float = 0.2) -> RingBuilder:
    ring = make_ring()
    fill_ring(ring, share)
    ring.die()
    return ring


def _total(namespace: str, line: MemoryLine) -> Account:
    total = read_ledger(namespace, line.database_path.parent, HOME).total
    assert total.unaccounted == 0
    return total


def _destroy(line: MemoryLine) -> None:
    assert line.spool_path is not None
    line.close()
    shutil.rmtree(line.spool_path.parent)
    line._start()


def test_a_lost_spool_is_told_to_the_hub(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """Of rings that were in it alone the state database knows how much that was."""
    ring = make_ring(resource={"worker_id": "w5", "pool_name": "web"})
    last = fill_ring(ring, 0.2)
    ring.die()
    line.bury()
    _destroy(line)
    assert _total(namespace, line).spooled == last
    line.deliver()
    entry = line.hub.rings[ring.ring_id]
    assert (entry.seqs, entry.closed, entry.worker_id) == ([], "closed", "w5")
    assert entry.position.totals == {Outcome.LOST_SPOOL_DAMAGED: last}
    total = _total(namespace, line)
    assert (total.lost, total.spooled) == ({"spool_damaged": last}, 0)


def test_a_lost_spool_is_counted_for_a_live_ring(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """The hole is in front of what is still in the ring, and that arrives."""
    ring = make_ring()
    ring.hold_lock()
    gone = fill_ring(ring, 0.6)
    line.step()
    _destroy(line)
    ring.hold_lock()
    last = fill_ring(ring, 0.2)
    line.deliver()
    entry = line.hub.rings[ring.ring_id]
    assert entry.seqs == list(range(gone + 1, last + 1))
    assert _total(namespace, line).lost == {"spool_damaged": gone}


def test_a_missing_row_is_a_hole_and_the_rest_arrives(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """In the middle, at the front and at the end: counted, and in order."""
    ring = make_ring()
    ring.hold_lock()
    bounds = [0]
    for _ in range(5):
        bounds.append(fill_ring(ring, 0.6))
        line.step()
    store = line.spool._file.store
    assert store is not None
    for index in (1, 3, 5):
        seq = (bounds[index],)
        store._database.execute("DELETE FROM segments WHERE seq_last = ?", seq)
    store._database.commit()
    line.deliver()
    kept = [s for i in (2, 4) for s in range(bounds[i - 1] + 1, bounds[i] + 1)]
    entry = line.hub.rings[ring.ring_id]
    assert entry.seqs == kept
    lost = bounds[-1] - len(kept)
    assert entry.position.totals == {
        Outcome.DELIVERED: len(kept),
        Outcome.LOST_SPOOL_DAMAGED: lost,
    }
    assert _total(namespace, line).lost == {"spool_damaged": lost}


def test_damage_at_run_time_does_not_end_the_collector(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """What was announced already is closed with its loss, and new events arrive."""
    for _ in range(20):
        _dead(make_ring)
    ring = make_ring()
    ring.hold_lock()
    fill_ring(ring, 0.6)
    line.step()
    line.step(SECOND_NS)
    assert line.spool_path is not None
    store = line.spool._file.store
    assert store is not None
    store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    store._database.execute("PRAGMA cache_size = 0")
    with line.spool_path.open("r+b") as file:
        for page in range(1, 200):
            file.seek(page * (16 << 10))
            file.write(b"\xff" * 512)
    last = fill_ring(ring, 0.2)
    line.deliver()
    assert line.spool.damages > 0
    total = _total(namespace, line)
    assert total.lost["spool_damaged"] > 0
    assert total.spooled == total.in_ring == 0
    assert line.hub.rings[ring.ring_id].seqs[-1] == last
    assert sum(entry.closed == "closed" for entry in line.hub.rings.values()) == 20


def test_what_a_restarted_host_had_spooled_is_delivered(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """Its shared memory is empty; the worker counts as vanished, with what is known."""
    ring = make_ring(resource={"worker_id": "w7"})
    ring.hold_lock()
    spooled = fill_ring(ring, 0.6)
    line.step()
    fill_ring(ring, 0.2)
    line.close()
    HOME.unlink(ring.name)
    line._start()
    line.step()
    assert _total(namespace, line).spooled == spooled
    line.crash()
    line.deliver()
    entry = line.hub.rings[ring.ring_id]
    assert (entry.seqs, entry.closed) == (seqs_up_to(spooled), "vanished")
    assert (entry.worker_id, entry.names) == ("w7", ["a.b"])
    assert _total(namespace, line).delivered == spooled
    HOME.create(ring.name)  # for the fixture to remove


def test_a_host_that_goes_down_in_good_order_loses_nothing(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """What is still in rings when the collector is stopped is spooled then."""
    rings = [make_ring() for _ in range(3)]
    for ring in rings:
        ring.hold_lock()
        fill_ring(ring, 0.3)
    line.step()
    line.spooling.save()
    line.close()
    for ring in rings:
        HOME.unlink(ring.name)
    line._start()
    line.deliver()
    for ring in rings:
        entry = line.hub.rings[ring.ring_id]
        assert (entry.seqs, entry.closed) == (seqs_up_to(ring.seq), "vanished")
        HOME.create(ring.name)  # for the fixture to remove


def test_a_ring_that_is_refused_later_keeps_what_is_spooled(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """A worker that spoils its segment spoils what is in there, and no more."""
    ring = make_ring()
    ring.hold_lock()
    spooled = fill_ring(ring, 0.6)
    line.step()
    line.close()
    ring.poke(Identity, capacity=3)
    line._start()
    line.deliver()
    entry = line.hub.rings[ring.ring_id]
    assert (entry.seqs, entry.closed) == (seqs_up_to(spooled), "vanished")
    assert _total(namespace, line).delivered == spooled


def test_thousands_are_on_disk_and_few_in_memory(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """Without a hub none of them is held; with one some at a time."""
    for _ in range(LOADED_MAX + 40):
        _dead(make_ring, 0.02)
    line.bury()
    gc.collect()
    assert not [o for o in gc.get_objects() if type(o) is Ring]
    line.hub.is_holding = True
    line.connect()
    line.step(SECOND_NS)
    assert len(line.fleet.spooled.rings) == LOADED_MAX
    line.cut()
    assert line.fleet.spooled.rings == {}
    line.hub.is_holding = False
    line.deliver()
    closed = [entry.closed for entry in line.hub.rings.values()]
    assert closed == ["closed"] * (LOADED_MAX + 40)


def test_accounts_of_spooled_rings_are_never_folded(
    namespace: str, tmp_path: Path, make_ring: MakeRing
) -> None:
    """They are written once more; a sum could not be taken back."""
    line = MemoryLine(namespace, tmp_path / "state", 64 << 20)
    line.state._max_rows = 2
    lasts = [_dead(make_ring).seq for _ in range(6)]
    line.bury()
    assert _total(namespace, line).spooled == sum(lasts)
    line.deliver()
    total = _total(namespace, line)
    assert (total.delivered, total.committed) == (sum(lasts), sum(lasts))
    rings = read_ledger(namespace, line.database_path.parent, HOME).rings
    assert [ring.state for ring in rings] == ["folded", "closed", "closed"]
    line.close()


def test_a_disk_that_fails_at_the_end_is_tried_again(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """A ring that is delivered stays in the spool until its account is written."""
    last = _dead(make_ring).seq
    line.bury()
    line.let_disk_fail(True)
    line.deliver()
    assert len(line.spool.rings(9, are_closed=True)) == 1
    line.let_disk_fail(False)
    line.step(SECOND_NS)
    assert line.spool.rings(9, are_closed=True) == []
    assert _total(namespace, line).delivered == last


def test_with_room_in_the_spool_nothing_is_evicted(
    line: MemoryLine,
    make_ring: MakeRing,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The budget of shared memory is for what has no other place."""
    monkeypatch.setattr(Home, "size_bytes", lambda home: budget.SHARE)
    last = _dead(make_ring).seq
    line.step()
    line.step(PATIENCE_NS)
    line.deliver()
    total = _total(namespace, line)
    assert (total.delivered, total.lost) == (last, {})


def test_a_full_spool_gives_up_only_what_it_does_not_have(
    line: MemoryLine,
    make_ring: MakeRing,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was spooled of an evicted ring is delivered; the rest is evicted."""
    ring, fresh = make_ring(), make_ring()
    ring.hold_lock()
    spooled = fill_ring(ring, 0.6)
    line.step()
    last = fill_ring(ring, 0.2)
    evicted = fill_ring(fresh, 0.2)
    ring.die()
    fresh.die()
    monkeypatch.setattr(Home, "size_bytes", lambda home: budget.SHARE)
    monkeypatch.setattr(line.spool, "room_bytes", lambda: 0)
    line.step()
    line.step(PATIENCE_NS)
    assert HOME.scan(namespace) == []
    assert line.fleet.evicted == 2
    total = _total(namespace, line)
    assert (total.spooled, total.lost) == (last, {"evicted": evicted})
    line.deliver()
    entry = line.hub.rings[ring.ring_id]
    assert (entry.seqs, entry.closed) == (seqs_up_to(spooled), "evicted")
    total = _total(namespace, line)
    assert total.lost == {"evicted": evicted + last - spooled}
    assert total.delivered == spooled
    counts = HostCounts(line.fleet, line.state.tally, line.spool, HOME, namespace)
    told = counts.frame()  # of the other one its own segments tell
    assert (told.evicted_rings, sum(told.evicted.values())) == (1, evicted)


def test_no_worker_evicts_what_a_spool_has_the_beginning_of(
    line: MemoryLine,
    make_ring: MakeRing,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its account would be written twice: by the worker, and by the next collector."""
    ring = make_ring()
    ring.hold_lock()
    fill_ring(ring, 0.6)
    line.step()
    last = fill_ring(ring, 0.2)
    line.close()
    ring.die()
    with monkeypatch.context() as patch:
        patch.setattr(Home, "size_bytes", lambda home: budget.SHARE)
        keep_budget(HOME, namespace, lambda name: False)
    assert HOME.scan(namespace) == [ring.name]
    assert read_evictions(HOME, namespace) == {}
    line._start()
    line.deliver()
    assert line.hub.rings[ring.ring_id].seqs == seqs_up_to(last)


def test_a_borrowed_id_does_not_break_the_stream(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """A segment under the id of a ring that is being delivered is left alone."""
    ring, good = make_ring(), make_ring()
    good.hold_lock()
    last = fill_ring(ring, 0.2)
    content = ring.path.read_bytes()
    ring.die()
    line.step()
    line.step(SECOND_NS)
    assert HOME.scan(namespace) == [good.name]
    line.hub.is_holding = True
    line.connect()
    line.step()
    assert list(line.fleet.spooled.rings) == [ring.ring_id]
    ring.path.write_bytes(content)
    line.step(SECOND_NS)
    line.hub.release()
    seq = fill_ring(good, 0.1)
    for _ in range(3):
        line.step(SECOND_NS)
    assert line.hub.rings[ring.ring_id].seqs == seqs_up_to(last)
    assert line.hub.rings[good.ring_id].seqs == seqs_up_to(seq)
    assert line.fleet.refusals().refused == {"wrong_name": 1}
