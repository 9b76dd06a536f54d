"""The beginnings of workers as events of the collector: what is told, and how often."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shmtel_collector.life_store import POOL, ROWS_MAX, Seat
from shmtel_collector.subjects import POOL_REST_NS
from support.emitter import Emitter
from support.memory_line import SECOND_NS, MemoryLine
from support.processes import wait_until
from support.ring_builder import RingBuilder
from support.ring_layout import Identity

StartWorker = Callable[..., Emitter]
MakeRing = Callable[..., RingBuilder]
ALL = ["spawned", "ready", "initialized"]


@pytest.fixture
def line(namespace: str, tmp_path: Path) -> Iterator[MemoryLine]:
    """A connected collector that tells of lives, by the clocks of its workers."""
    line = MemoryLine(namespace, tmp_path / "state", tells_lives=True)
    line.now_ns = time.time_ns()
    line.connect()
    yield line
    line.close()


def _told(line: MemoryLine, name: str = "") -> list[str]:
    """The last words of the names of what was told, or who it was about."""
    return [
        str(metadata["subject"]) if name else event.rpartition(".")[2]
        for event, _, metadata in line.journal.events
        if event.endswith(name)
    ]


def _event(line: MemoryLine, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    (found,) = [event for event in line.journal.events if event[0].endswith(name)]
    return dict(found[1]), dict(found[2])


def _make(make_ring: MakeRing, worker: str, index: int = 0, **zone: int) -> RingBuilder:
    """Build the ring of a worker that lives, with one event."""
    ring = make_ring(
        resource={
            "worker_id": worker,
            "pool_name": "p",
            "service": "s",
            "worker_index": index,
        }
    )
    ring.poke(Identity, **{"start_time": 100 + ring.fd, **zone})
    ring.hold_lock()
    ring.add_name("e")
    ring.append()
    return ring


def _end(line: MemoryLine, ring: RingBuilder) -> None:
    line.step(SECOND_NS)  # it is seen alive
    ring.die()
    line.step(SECOND_NS)
    line.step(SECOND_NS)
    assert ring.ring_id not in line.fleet.rings


def test_worker_that_appears_is_spawned_and_ready(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """It is named as the subject, and how long it took to get there is told."""
    began = time.time_ns()
    worker = start_worker(SHMTEL_WORKER_ID="w", SHMTEL_SERVICE_NAME="s")
    worker.emit(1)
    took = time.time_ns() - began
    line.now_ns = time.time_ns()
    line.step()
    measurements, metadata = _event(line, "spawned")
    assert measurements["spawn_count"] == 1
    assert 0 < measurements["start_up"] < took + 10_000_000  # a tick of the kernel's
    assert metadata == {
        "subject": "w",
        "subject_pool": "default",
        "subject_pid": worker.pid,
        "subject_ring": worker.ring_id().hex(),
        "subject_index": 0,
        "service": "s",
    }
    assert _told(line) == ALL
    assert _event(line, "ready")[1] == metadata


def test_pool_begins_once(line: MemoryLine, make_ring: MakeRing) -> None:
    """With its first ready worker; its service and name say which it is."""
    _make(make_ring, "a")
    _make(make_ring, "b", 1)
    line.step()
    assert _event(line, "initialized") == (
        {"workers": 1},
        {"subject_pool": "p", "service": "s"},
    )
    _make(make_ring, "c", 2)
    line.step()
    assert _told(line).count("initialized") == 1
    assert [m["spawn_count"] for e, m, _ in line.journal.events if "spawned" in e] == [
        *(1, 2, 3)
    ]


def test_pool_that_rested_begins_again(line: MemoryLine, make_ring: MakeRing) -> None:
    """A gap between two workers is no rest; a minute without any is."""
    _end(line, _make(make_ring, "a"))
    _end(line, _make(make_ring, "b"))
    assert _told(line).count("initialized") == 1
    line.step(POOL_REST_NS)
    line.step()
    _make(make_ring, "c")
    line.step()
    assert _told(line).count("initialized") == 2


def test_worker_without_an_event_is_not_ready(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """It may have left out what it had to say; ready is told with the first event."""
    ring = make_ring(resource={"worker_id": "w"})
    ring.hold_lock()
    line.step(SECOND_NS)
    assert _told(line) == ["spawned"]
    ring.add_name("e")
    ring.append()
    line.step(SECOND_NS)
    assert _told(line) == ALL


def test_restart_names_the_end_before(line: MemoryLine, make_ring: MakeRing) -> None:
    """A worker in a seat that was another's; also over a restart of the collector."""
    _end(line, _make(make_ring, "a"))
    line.step(5 * SECOND_NS)
    ring = _make(make_ring, "b", realtime_ns=line.now_ns)
    line.step()
    measurements, metadata = _event(line, "restarted")
    assert measurements["restart_count"] == 1
    assert 5 * SECOND_NS <= measurements["downtime"] < 9 * SECOND_NS
    assert (metadata["subject"], metadata["reason"]) == ("b", "closed")
    _end(line, ring)
    line.crash()
    line.connect()
    line.journal.events.clear()
    _make(make_ring, "c", realtime_ns=line.now_ns)
    _make(make_ring, "d", 1, realtime_ns=line.now_ns)
    line.step()
    assert _event(line, "restarted")[0]["restart_count"] == 2
    assert _told(line, "restarted") == ["c"]


def test_restart_waits_until_the_end_before_is_proven(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """One that is found first has no downtime, and its reason all the same."""
    first = _make(make_ring, "a")
    line.step()
    _make(make_ring, "b")
    line.step()
    assert _told(line, "restarted") == []
    _end(line, first)
    measurements, metadata = _event(line, "restarted")
    assert metadata["reason"] == "closed"
    assert measurements == {"restart_count": 1, "downtime": 0}


def test_restart_follows_an_end_at_once(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """The ring of the one before is gone within the second, and its end is known."""
    first = start_worker()
    first.emit(1)
    line.step(SECOND_NS)
    first.kill()
    wait_until(line.watcher.fire)
    wait_until(lambda: line.step() and not line.fleet.rings)
    start_worker().emit(1)
    wait_until(lambda: line.step() and line.fleet.rings)
    measurements, metadata = _event(line, "restarted")
    assert (metadata["reason"], measurements["restart_count"]) == ("vanished", 1)
    assert measurements["downtime"] >= 0


def test_orphans_restart_in_the_order_of_their_making(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """What was dead when it was found is told too, and of no downtime."""
    for number in range(4):
        _make(make_ring, f"w{number}", realtime_ns=number + 1).die()
    line.step(SECOND_NS)
    line.step(SECOND_NS)
    assert _told(line, "spawned") == ["w0", "w1", "w2", "w3"]
    assert _told(line, "restarted") == ["w1", "w2", "w3"]
    assert not any("downtime" in numbers for _, numbers, _ in line.journal.events)


def test_ring_that_replaces_another_is_no_worker(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """A process that was in doubt goes on in another ring, as the worker it was."""
    worker = start_worker()
    worker.emit(1)
    line.step()
    first = worker.ring_name()
    worker.command("lose_lock")
    line.step(SECOND_NS)
    wait_until(lambda: line.step(SECOND_NS) and first not in _names(line))
    worker.emit(1)
    assert worker.ring_name() != first
    line.step(SECOND_NS)
    assert len(line.fleet.rings) == 1
    assert _told(line) == [*ALL, "terminated"]  # of the ring; it says retired
    line.crash()
    line.connect()
    line.step(SECOND_NS)
    assert _told(line) == [*ALL, "terminated"]


def _names(line: MemoryLine) -> list[str]:
    return [ring.name for ring in line.fleet.rings.values()]


def test_nothing_is_told_twice_over_restarts(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """The next collector knows what was told, and tells what was not."""
    start_worker(SHMTEL_WORKER_ID="a").emit(1)
    late = start_worker(SHMTEL_WORKER_ID="late", SHMTEL_DENY="x")
    late.emit(1, "x")
    line.step()
    for _ in range(2):
        line.kill()
        line.connect()
        line.step(SECOND_NS)
    assert sorted(_told(line)) == sorted([*ALL, "spawned"])
    late.emit(1)
    line.kill()
    line.connect()
    line.step(SECOND_NS)
    assert _told(line, "ready") == ["a", "late"]


def test_disk_that_fails_delays_what_is_told(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """Nothing is told that is not written down; it is tried again."""
    line.let_disk_fail(True)
    _make(make_ring, "a")
    line.step(SECOND_NS)
    assert line.journal.events == []
    line.let_disk_fail(False)
    line.step(SECOND_NS)
    assert _told(line) == ALL


def test_own_rings_have_no_lives(line: MemoryLine, make_ring: MakeRing) -> None:
    """Of the collector's own ring, and of its predecessor's, nothing is told."""
    ring = _make(make_ring, "collector")
    line.state.policies.note_own_ring(ring.ring_id)
    line.step(SECOND_NS)
    _end(line, ring)
    assert line.journal.events == []


def test_start_up_is_not_guessed(line: MemoryLine, make_ring: MakeRing) -> None:
    """Of another boot, or without a start, nothing is known of it."""
    _make(make_ring, "a", start_time=0)
    other = _make(make_ring, "b", 1)
    other.write(Identity.boot_id.offset, os.urandom(16))
    line.step()
    assert len(_told(line, "spawned")) == 2
    assert not any("start_up" in numbers for _, numbers, _ in line.journal.events)


def test_hostile_times_silence_nobody(line: MemoryLine, make_ring: MakeRing) -> None:
    """A ring from the end of time is told, and so is whoever comes after it."""
    _make(make_ring, "a", realtime_ns=(1 << 64) - 1, monotonic_ns=(1 << 64) - 1)
    _make(make_ring, "b", 1)
    line.step(SECOND_NS)
    assert sorted(_told(line, "ready")) == ["a", "b"]
    _make(make_ring, "c", start_time=(1 << 64) - 1, realtime_ns=(1 << 64) - 1)
    line.step(SECOND_NS)
    assert _told(line, "spawned")[-1] == "c"
    assert all(
        0 <= number < 1 << 63
        for _, numbers, _ in line.journal.events
        for number in numbers.values()
    )


def test_what_is_remembered_is_bounded(line: MemoryLine) -> None:
    """Of many the oldest are forgotten, and none that is present."""
    with line.state.lives.writing() as rows:
        for number in range(ROWS_MAX + 1):
            rows.note(b"%d" % number, is_ready=True, now_ns=number)
            seat = Seat(1, b"", 0, 0, "", number)
            rows.take(("s", f"p{number}", POOL), seat)
        rows.prune([b"0"], ROWS_MAX + 1)
        assert (rows.is_ready(b"0"), rows.is_ready(b"1")) == (True, None)
        assert rows.is_ready(b"%d" % ROWS_MAX)
        assert rows.seat(("s", "p0", POOL)) is None
        assert rows.seat(("s", f"p{ROWS_MAX}", POOL)) is not None
    database = line.state._database
    for table in ("lives", "seats"):
        (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert count == ROWS_MAX // 2
