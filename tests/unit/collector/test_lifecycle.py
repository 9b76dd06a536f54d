"""The end of a worker as an event of the collector: what it says, and how often."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shmtel.errors import SegmentError
from shmtel.segments import Home
from shmtel_collector.discovery import Discovery
from shmtel_collector.end_store import EndStore
from shmtel_collector.hoard import PATIENCE_NS
from shmtel_collector.lifecycle import EVENT
from shmtel_collector.state import read_ends
from support.emitter import Emitter
from support.home import HOME
from support.memory_line import SECOND_NS, MemoryLine
from support.processes import wait_until
from support.ring_builder import RingBuilder
from support.ring_layout import ProducerZone

MakeRing = Callable[..., RingBuilder]
StartWorker = Callable[..., Emitter]


def _closed_ring(make_ring: MakeRing, events: int = 3) -> RingBuilder:
    ring = make_ring(resource={"worker_id": "w", "pool_name": "p", "worker_index": 4})
    ring.add_name("e")
    for _ in range(events):
        ring.append()
    ring.poke(ProducerZone, state=2)
    return ring


def _subjects(line: MemoryLine) -> list[str | int]:
    return [
        metadata["subject_ring"]
        for name, _, metadata in line.journal.events
        if name == EVENT
    ]


def test_end_is_told_with_its_counts(make_ring: MakeRing, line: MemoryLine) -> None:
    """The event names the worker as its subject, and has the final counters."""
    ring = _closed_ring(make_ring)
    ring.poke(ProducerZone, sampled_out=5, filtered=6, disabled=7)
    line.connect()
    line.step(SECOND_NS)
    (event,) = line.journal.events
    assert event == (
        "pool.worker.terminated",
        {
            "committed": 3,
            "delivered": 3,
            "dropped": 0,
            "rejected": 0,
            "lost": 0,
            "sampled_out": 5,
            "filtered": 6,
            "disabled": 7,
        },
        {
            "subject": "w",
            "subject_pool": "p",
            "subject_pid": os.getpid(),
            "subject_ring": ring.ring_id.hex(),
            "subject_index": 4,
            "service": "",
            "reason": "closed",
        },
    )
    assert read_ends(line.database_path) == []  # nobody will ask for its last words


def test_killed_worker_has_a_lifetime_and_last_words(
    start_worker: StartWorker, line: MemoryLine
) -> None:
    """One that was seen alive lived as long as that; its words are kept."""
    worker = start_worker()
    worker.emit(3)
    line.now_ns = 1 << 62  # far beyond the worker's clock
    line.connect()
    line.step()
    worker.kill()
    wait_until(lambda: line.step(SECOND_NS) and line.journal.events)
    (event,) = line.journal.events
    assert event[2]["reason"] == "vanished"
    (end,) = read_ends(line.database_path)
    assert event[1]["lifetime"] == end.ended_ns - end.worker.created_ns > 0
    assert end.words is not None
    assert (len(end.words.events), end.words.last_seq) == (3, 3)


def test_end_that_nobody_saw_has_no_lifetime(
    start_worker: StartWorker, line: MemoryLine
) -> None:
    """How long a worker lived that was dead when it was found is not guessed."""
    worker = start_worker()
    worker.emit(3)
    worker.kill()
    line.connect()
    wait_until(lambda: line.step(SECOND_NS) and line.journal.events)
    assert "lifetime" not in line.journal.events[0][1]


def test_nothing_is_told_twice_over_a_restart(
    make_ring: MakeRing, line: MemoryLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the row and the removal, and any number of retries: one event."""
    ring = _closed_ring(make_ring)
    with monkeypatch.context() as patch:

        def fail(discovery: Discovery, name: str) -> None:
            raise SegmentError("no")

        patch.setattr(Discovery, "remove", fail)
        line.connect()
        for _ in range(3):
            line.step(SECOND_NS)
        assert line.fleet.rings
        assert _subjects(line) == []  # it could come back, and be told again
    line.crash()
    line.connect()
    for _ in range(3):
        line.step(SECOND_NS)
    assert HOME.scan(ring.name.split(".")[1]) == []
    line.crash()
    line.connect()
    line.step(SECOND_NS)
    assert _subjects(line) == [ring.ring_id.hex()]


def test_what_a_closed_journal_missed_the_next_one_tells(
    make_ring: MakeRing, line: MemoryLine
) -> None:
    """A worker that ends while the collector does is told by its successor."""
    ring = _closed_ring(make_ring)
    line.journal.is_open = False
    line.connect()
    line.step(SECOND_NS)
    assert not line.fleet.rings
    assert _subjects(line) == []
    line.journal.is_open = True
    line.crash()
    line.connect()
    line.step(SECOND_NS)
    assert _subjects(line) == [ring.ring_id.hex()]


def test_end_of_a_spooled_ring_waits_for_its_counters(
    namespace: str, make_ring: MakeRing, tmp_path: Path
) -> None:
    """Its ring is gone at once; the event comes when the hub has all of it."""
    line = MemoryLine(namespace, tmp_path / "state", 64 << 20)
    ring = _closed_ring(make_ring, events=50)
    for _ in range(3):
        line.step(SECOND_NS)
    assert not HOME.has(ring.name)
    assert line.journal.events == []
    line.crash()
    line.connect()
    line.step(SECOND_NS)
    line.step(SECOND_NS)
    assert _subjects(line) == [ring.ring_id.hex()]
    measurements = line.journal.events[0][1]
    assert (measurements["committed"], measurements["delivered"]) == (50, 50)
    assert "spooled" not in measurements
    line.close()


def test_own_rings_have_no_lifecycle(make_ring: MakeRing, line: MemoryLine) -> None:
    """What an earlier collector wrote ends without a word, or there were no end."""
    ring = _closed_ring(make_ring)
    line.state.policies.note_own_ring(ring.ring_id)
    line.connect()
    line.step(SECOND_NS)
    assert line.fleet.finished == 1
    assert line.journal.events == []


def test_evicted_and_quarantined_are_reasons(
    namespace: str,
    make_ring: MakeRing,
    line: MemoryLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What became of the ring is told, with what was lost."""
    _closed_ring(make_ring)
    line.step()
    monkeypatch.setattr(Home, "size_bytes", lambda home: 4)
    line.step(PATIENCE_NS)
    monkeypatch.undo()
    bad = _closed_ring(make_ring, events=5)
    bad.write_data(0, b"\xff" * 64)
    line.connect()
    line.step(SECOND_NS)
    line.step(SECOND_NS)
    told = [(e[2]["reason"], e[1]["lost"]) for e in line.journal.events]
    assert told == [("evicted", 3), ("quarantined", 5)]
    assert [end.reason for end in read_ends(line.database_path)] == [
        "evicted",
        "quarantined",
    ]


def test_disk_that_fails_keeps_nobody_waiting(
    namespace: str, make_ring: MakeRing, line: MemoryLine
) -> None:
    """While nothing can be written the ring stays; the end is told when it goes."""
    _closed_ring(make_ring)
    line.let_disk_fail(True)
    line.connect()
    line.step(SECOND_NS)
    assert line.journal.events == []
    line.let_disk_fail(False)
    line.step(SECOND_NS)
    assert len(line.journal.events) == 1
    assert HOME.scan(namespace) == []


def test_untold_where_it_is_not_wanted(
    make_ring: MakeRing, line: MemoryLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without lifecycle events nothing is due, also not for a later collector."""
    monkeypatch.setattr(line.fleet._lifecycle, "_is_told", False)
    ring = _closed_ring(make_ring)
    ring.poke(ProducerZone, state=1, tail=ring.tail)
    ring.write_data(0, b"\xff" * 64)
    ring.poke(ProducerZone, state=2)
    line.connect()
    line.step(SECOND_NS)
    line.crash()
    line.step(SECOND_NS)
    assert line.journal.events == []
    assert isinstance(line.state.ends, EndStore)
    assert [end.reason for end in read_ends(line.database_path)] == ["quarantined"]
