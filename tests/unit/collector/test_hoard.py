"""Rings of the dead while the hub is away: kept to the budget and counted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shmtel import budget
from shmtel.accounting.accounts import Account
from shmtel.errors import SegmentError
from shmtel.segments import Home
from shmtel_collector.discovery import Discovery
from shmtel_collector.hoard import PATIENCE_NS
from shmtel_collector.ledger import read_ledger
from support.emitter import Emitter
from support.home import HOME
from support.memory_line import SECOND_NS, MemoryLine
from support.processes import run_python
from support.ring_builder import RingBuilder
from support.ring_layout import ProducerZone

MakeRing = Callable[..., RingBuilder]


def _dead_ring(make_ring: MakeRing, events: int) -> RingBuilder:
    ring = make_ring()
    ring.add_name("e")
    for _ in range(events):
        ring.append()
    ring.poke(ProducerZone, state=2)
    return ring


def _allow(monkeypatch: pytest.MonkeyPatch, ring: RingBuilder, count: float) -> None:
    size = int(ring.file_size * count * budget.SHARE)
    monkeypatch.setattr(Home, "size_bytes", lambda home: size)


def _total(namespace: str, line: MemoryLine) -> Account:
    return read_ledger(namespace, line.database_path.parent, HOME).total


def test_without_a_hub_the_dead_are_kept_to_the_budget(
    namespace: str,
    line: MemoryLine,
    make_ring: MakeRing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What goes is counted as lost by eviction; what stays the hub gets later."""
    rings = [_dead_ring(make_ring, events) for events in (1, 2, 4, 8)]
    _allow(monkeypatch, rings[0], 2.0)
    line.step()
    assert len(HOME.scan(namespace)) == 4  # a hub may only be restarting
    line.step(PATIENCE_NS)
    assert len(HOME.scan(namespace)) == 2
    total = _total(namespace, line)
    assert total.lost["evicted"] + total.in_ring == total.committed == 15
    line.connect()
    line.step(SECOND_NS)
    after = _total(namespace, line)
    assert after.delivered == total.in_ring
    assert after.lost == total.lost
    assert after.unaccounted == total.unaccounted == 0
    assert HOME.scan(namespace) == []


def test_flight_recorder_loses_for_two_reasons(
    namespace: str, line: MemoryLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was overwritten before is not called evicted."""
    run_python(
        "import shmtel\nfor i in range(5_000): shmtel.emit('e', {'i': i})",
        namespace,
        SHMTEL_OVERFLOW="overwrite",
        SHMTEL_RING_SIZE="64KiB",
    )
    before = _total(namespace, line)
    assert before.lost["overwritten"] > 0 < before.in_ring
    monkeypatch.setattr(Home, "size_bytes", lambda home: budget.SHARE)
    line.step(SECOND_NS)
    line.step(PATIENCE_NS)
    total = _total(namespace, line)
    assert total.lost == {**before.lost, "evicted": before.in_ring}
    assert (total.committed, total.unaccounted) == (5_000, 0)


def test_with_a_hub_everything_is_drained(
    namespace: str,
    line: MemoryLine,
    make_ring: MakeRing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However much there is: draining comes before eviction."""
    for events in (1, 2, 4):
        ring = _dead_ring(make_ring, events)
    _allow(monkeypatch, ring, 0.5)
    line.hub.is_holding = True
    line.connect()
    line.step(10 * PATIENCE_NS)
    line.hub.release()
    line.step(SECOND_NS)
    assert (_total(namespace, line).delivered, _total(namespace, line).lost) == (7, {})


def test_a_hub_that_leaves_may_still_answer(
    namespace: str,
    line: MemoryLine,
    make_ring: MakeRing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it was sent is not given up as long as its answer may come."""
    ring = _dead_ring(make_ring, 3)
    _allow(monkeypatch, ring, 0.5)
    line.hub.is_holding = True
    line.connect()
    line.hub.drain("the hub is shutting down", 250, 30_000)
    line.step()
    assert not line.session.is_welcome()
    line.step(2 * PATIENCE_NS)
    line.step(2 * PATIENCE_NS)
    line.hub.release()
    line.step()
    total = _total(namespace, line)
    assert (total.delivered, total.lost, total.unaccounted) == (3, {}, 0)
    assert HOME.scan(namespace) == []


def test_rings_of_the_living_are_no_hoard(
    namespace: str,
    line: MemoryLine,
    start_worker: Callable[..., Emitter],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker keeps its ring, however long the hub is away."""
    worker = start_worker(SHMTEL_RING_SIZE="64KiB")
    worker.emit(3)
    monkeypatch.setattr(Home, "size_bytes", lambda home: budget.SHARE)
    line.step()
    line.step(PATIENCE_NS)
    assert HOME.scan(namespace) == [worker.ring_name()]


def test_damaged_ring_is_evicted_as_far_as_it_is_plausible(
    namespace: str,
    line: MemoryLine,
    make_ring: MakeRing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wild positions and claims neither keep it nor count beyond its bytes."""
    ring = _dead_ring(make_ring, 3)
    _allow(monkeypatch, ring, 0.5)
    line.step()
    ring.poke(ProducerZone, tail=2**60 + 8, committed=2**64 - 1)
    line.step(PATIENCE_NS)
    assert HOME.scan(namespace) == []
    total = _total(namespace, line)
    assert 3 <= total.lost["evicted"] <= ring.capacity // 40
    assert total.unaccounted == 0


def test_kill_before_the_removal_leaves_a_ring_that_is_drained(
    namespace: str,
    line: MemoryLine,
    make_ring: MakeRing,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What was written down is replaced by what came true."""
    ring = _dead_ring(make_ring, 3)
    _allow(monkeypatch, ring, 0.5)
    with monkeypatch.context() as patch:

        def fail(discovery: Discovery, name: str) -> None:
            raise SegmentError("no")

        patch.setattr(Discovery, "remove", fail)
        line.step()
        line.step(PATIENCE_NS)
    assert HOME.scan(namespace) == [ring.name]
    assert _total(namespace, line).lost == {"evicted": 3}
    line.crash()
    line.connect()
    line.step(SECOND_NS)
    total = _total(namespace, line)
    assert (total.committed, total.delivered, total.lost) == (3, 3, {})
    assert HOME.scan(namespace) == []
