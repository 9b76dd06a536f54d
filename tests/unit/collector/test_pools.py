"""The status of a pool: what its rings hold, and what became of those that went."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shmtel_collector.subjects import POOL_REST_NS
from support.emitter import Emitter
from support.memory_line import SECOND_NS, MemoryLine
from support.processes import wait_until
from support.ring_builder import RingBuilder
from support.ring_layout import Identity, ProducerZone

StartWorker = Callable[..., Emitter]
MakeRing = Callable[..., RingBuilder]
PERIOD_NS = 10 * SECOND_NS


@pytest.fixture
def line(namespace: str, tmp_path: Path) -> Iterator[MemoryLine]:
    """A connected collector that tells the status of pools, and looks since now."""
    line = MemoryLine(namespace, tmp_path / "state", status_interval_ns=PERIOD_NS)
    line.connect()
    yield line
    line.close()


def _status(line: MemoryLine, after_ns: int = PERIOD_NS) -> list[dict[str, Any]]:
    """The measurements of each pool after some time."""
    line.journal.events.clear()
    line.step(after_ns)
    events = line.journal.events
    assert {name for name, _, _ in events} <= {"pool.status"}
    return [{**numbers, **metadata} for _, numbers, metadata in events]


def test_status_counts_what_is_here(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """By service and pool; the rate is that of the period."""
    for pool, events in (("a", 30), ("a", 20), ("b", 5)):
        worker = start_worker(SHMTEL_POOL_NAME=pool, SHMTEL_DENY="x")
        worker.emit(events)
    line.step()
    first, second = sorted(_status(line), key=lambda one: one["subject_pool"])
    assert first == {
        "workers": 2,
        "ready": 2,
        "committed": 50,
        "committed_per_second": 5.0,
        "dropped": 0,
        "sampled_out": 0,
        "lost": 0,
        "unread_bytes": 0,
        "subject_pool": "a",
        "service": first["service"],
    }
    assert (second["subject_pool"], second["committed"]) == ("b", 5)
    assert [one["committed_per_second"] for one in _status(line)] == [0.0, 0.0]


def test_counts_go_on_when_a_ring_goes(line: MemoryLine, make_ring: MakeRing) -> None:
    """Nothing is counted twice or forgotten, also of what a worker had left out."""
    ring = make_ring(resource={"pool_name": "p", "service": "s"})
    ring.hold_lock()
    ring.add_name("e")
    for _ in range(4):
        ring.append()
    ring.poke(ProducerZone, sampled_out=3)
    line.step()
    (before,) = _status(line)
    ring.die()
    line.step(SECOND_NS)
    assert not line.fleet.rings
    (after,) = _status(line)
    kept = ("committed", "sampled_out", "dropped", "lost")
    assert [after[key] for key in kept] == [before[key] for key in kept] == [4, 3, 0, 0]
    assert (before["workers"], after["workers"]) == (1, 0)
    assert _status(line, POOL_REST_NS + PERIOD_NS) == []  # it is forgotten


def test_what_was_there_before_is_no_rate(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """A collector that is started anew does not count old events as new ones."""
    worker = start_worker()
    worker.emit(1_000)
    line.now_ns = line.started_ns = time.time_ns()
    line.crash()
    line.connect()
    worker.emit(10)
    (status,) = _status(line)
    assert (status["committed"], status["committed_per_second"]) == (1_010, 1.0)


def test_loss_and_backlog_are_told(line: MemoryLine, make_ring: MakeRing) -> None:
    """A damaged ring's rest is lost; what nobody has read yet is unread."""
    ring = make_ring(resource={"pool_name": "p"})
    ring.hold_lock()
    ring.add_name("e")
    for _ in range(5):
        ring.append()
    bad = make_ring(resource={"pool_name": "p"})
    bad.add_name("e")
    for _ in range(5):
        bad.append()
    bad.write_data(0, b"\xff" * 64)
    bad.poke(ProducerZone, state=2)
    line.step(SECOND_NS)
    line.cut()
    size = ring.tail
    ring.append()
    (status,) = _status(line)
    assert status["lost"] == 5
    assert status["unread_bytes"] >= ring.tail - size > 0


def test_claims_beyond_measure_are_cut(line: MemoryLine, make_ring: MakeRing) -> None:
    """Sums of hostile numbers are still numbers that everybody can read."""
    for _ in range(2):
        ring = make_ring(resource={"pool_name": "p"})
        ring.hold_lock()
        ring.add_name("e")
        ring.append()
        largest = (1 << 64) - 1
        ring.poke(ProducerZone, sampled_out=largest, committed=largest)
    line.step()
    (status,) = _status(line)
    assert status["sampled_out"] == status["committed"] == (1 << 63) - 1


def test_process_in_two_rings_is_one_worker(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """Workers are processes; one without an event is not ready."""
    for start in (5, 5, 6):
        ring = make_ring(resource={"pool_name": "p"})
        ring.poke(Identity, start_time=start)
        ring.hold_lock()
        if start == 5:
            ring.add_name("e")
            ring.append()
    line.step()
    (status,) = _status(line)
    assert (status["workers"], status["ready"]) == (2, 1)


def test_own_ring_is_in_no_pool(line: MemoryLine, make_ring: MakeRing) -> None:
    """What the collector writes must not become a reason to write more."""
    ring = make_ring(resource={"pool_name": "shmtel"})
    ring.hold_lock()
    line.state.policies.note_own_ring(ring.ring_id)
    line.step()
    wait_until(lambda: line.fleet.rings)
    assert _status(line) == []
