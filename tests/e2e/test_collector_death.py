"""Workers that die in every way, and collectors that were not there."""

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any

from shmtel import segments
from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.home import HOME
from support.processes import run_python, wait_until
from support.ring_builder import RingBuilder
from support.ring_layout import Identity, ProducerZone

PATIENCE_S = 30.0  # on a loaded machine; what is waited for takes a second or two


class Ends:
    """What the hub's handlers hear of workers that have ended."""

    def __init__(self, hub: NotingHub) -> None:
        self.heard: list[tuple[dict[str, Any], dict[str, Any]]] = []
        hub.hub.attach("ends", "pool.worker.terminated", self._hear, None)

    def _hear(
        self, event: str, measurements: Any, metadata: Any, config: object
    ) -> None:
        self.heard.append((dict(measurements), dict(metadata)))

    def reasons(self) -> dict[str, list[str]]:
        """By worker, why its rings have ended."""
        result: dict[str, list[str]] = {}
        for _, metadata in list(self.heard):
            result.setdefault(metadata["subject"], []).append(metadata["reason"])
        return result


def _is_all_delivered(hub: NotingHub, namespace: str, count: int) -> bool:
    return hub.count() == count and HOME.scan(namespace) == []


def _states(collector: CollectorProcess) -> list[str]:
    return [ring.state for ring in collector.ledger().rings]


# -- death, beside a running collector ---------------------------------------------


def test_stopped_worker_is_not_dead(
    collector: CollectorProcess, hub: NotingHub, namespace: str
) -> None:
    """It stands still for seconds, and goes on in the same ring with nothing lost."""
    with Emitter(namespace) as worker:
        worker.emit(100)
        first = worker.ring_id()
        wait_until(lambda: hub.count() == 100, PATIENCE_S)
        worker.process.send_signal(signal.SIGSTOP)
        time.sleep(4)  # much longer than doubt lasts
        assert HOME.scan(namespace) == [segments.segment_name(namespace, first)]
        worker.process.send_signal(signal.SIGCONT)
        worker.emit(100)
        assert worker.ring_id() == first
        wait_until(lambda: hub.count() == 200, PATIENCE_S)
        worker.kill()
        wait_until(lambda: _is_all_delivered(hub, namespace, 200), PATIENCE_S)
    assert [ring.state for ring in collector.ledger().rings] == ["vanished"]


def test_zombie_is_finished_beside_its_parent(
    collector: CollectorProcess, hub: NotingHub, namespace: str
) -> None:
    """A parent that does not wait keeps a corpse, and no ring."""
    with Emitter(namespace) as worker:
        worker.emit(100)
        worker.process.send_signal(signal.SIGKILL)
        wait_until(lambda: _is_all_delivered(hub, namespace, 100), PATIENCE_S)
        state = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2]
        assert state.split()[0] == "Z"


def test_lost_lock_of_a_stopped_worker(
    collector: CollectorProcess, hub: NotingHub, namespace: str
) -> None:
    """It wakes up in a ring that has ended, and emits into a new one."""
    with Emitter(namespace) as worker:
        worker.emit(50)
        first = worker.ring_name()
        wait_until(lambda: hub.count() == 50, PATIENCE_S)
        worker.command("lose_lock")
        worker.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: not HOME.has(first), PATIENCE_S)
        worker.process.send_signal(signal.SIGCONT)
        worker.emit(50)
        assert worker.ring_name() != first
        wait_until(lambda: hub.count() == 100, PATIENCE_S)
        worker.leave()
        wait_until(lambda: HOME.scan(namespace) == [], PATIENCE_S)
    ledger = collector.ledger()
    assert sorted(ring.state for ring in ledger.rings) == ["closed", "retired"]
    assert ledger.total.unaccounted == 0


# -- the end as an event -------------------------------------------------------------


def test_end_of_a_worker_is_an_event(
    namespace: str, hub: NotingHub, tmp_path: Path
) -> None:
    """Handlers hear of it like of any event, with the worker as its subject."""
    ends = Ends(hub)
    line = CollectorProcess(namespace, hub.hub.address, tmp_path, lifecycle=True)
    with line as collector:
        with Emitter(namespace, SHMTEL_WORKER_ID="killed") as worker:
            worker.emit(300)
            pid, ring_id = worker.pid, worker.ring_id().hex()
            wait_until(lambda: len(hub.seqs[ring_id]) == 300, PATIENCE_S)
            worker.kill()
        with Emitter(namespace, SHMTEL_WORKER_ID="closed") as worker:
            worker.emit(1)
            worker.leave()
        wait_until(lambda: len(ends.heard) == 2, PATIENCE_S)
        assert ends.reasons() == {"killed": ["vanished"], "closed": ["closed"]}
        measurements, metadata = ends.heard[0]
        assert (measurements["committed"], measurements["delivered"]) == (300, 300)
        assert measurements["lost"] == measurements["dropped"] == 0
        assert 0 < measurements["lifetime"] < 120e9
        assert metadata["subject_pid"] == pid
        assert metadata["subject_ring"] == ring_id
        assert metadata["subject_index"] == 0
        assert metadata["worker_id"] == "collector"  # who says so
        assert collector.stop()[0] == 0
        # Its own ring ends without an event about itself.
        assert HOME.scan(namespace) == []
        assert len(ends.heard) == 2


def test_ends_are_told_once_whoever_is_killed(
    namespace: str, hub: NotingHub, tmp_path: Path
) -> None:
    """With the collector killed at any step no end is told twice, and it goes on.

    A kill between the mark and the event costs the event, so one may be missing.
    """
    ends = Ends(hub)
    line = CollectorProcess(namespace, hub.hub.address, tmp_path, lifecycle=True)
    with line as collector:
        for number in range(5):
            with Emitter(namespace, SHMTEL_WORKER_ID=f"w-{number}") as worker:
                worker.emit(20)
                worker.kill()
            wait_until(lambda n=number: hub.count() >= 20 * (n + 1), PATIENCE_S)
            if number < 4:
                collector.kill()
                collector.start()
        wait_until(lambda: "w-4" in ends.reasons(), PATIENCE_S)
        # Of the rings its own is left, and no worker's or predecessor's. A segment
        # whose making was killed is no ring, and stays for a minute.
        wait_until(lambda: _states(collector).count("live") == 1, PATIENCE_S)
        assert collector.stop()[0] == 0
    told = {w: why for w, why in ends.reasons().items() if w.startswith("w-")}
    assert set(map(tuple, told.values())) == {("vanished",)}
    assert len(told) >= 3
    workers = [r for r in collector.ledger().rings if r.worker_id.startswith("w-")]
    assert sum(ring.account.delivered for ring in workers) == 100
    assert collector.ledger().total.unaccounted == 0


# -- orphans of a time without a collector ------------------------------------------

_FORKS = (
    "import os, shmtel",
    "for n in range(8):",
    "    if os.fork() == 0:",
    "        for i in range(40 + n): shmtel.emit('e', {'number': i})",
    "        if n % 3 == 1: os.kill(os.getpid(), 9)",
    "        if n % 3 == 2: os._exit(3)",
    "        raise SystemExit",
    "for _ in range(8): os.wait()",
)


def test_orphans_are_found_delivered_and_removed(
    namespace: str, hub: NotingHub, tmp_path: Path
) -> None:
    """What many dead workers left arrives in order, each with its end."""
    ends = Ends(hub)
    for round_ in range(2):
        run_python("\n".join(_FORKS), namespace, SHMTEL_WORKER_ID=f"r{round_}-{{pid}}")
    expected = 2 * sum(40 + n for n in range(8))
    assert len(HOME.scan(namespace)) == 16
    line = CollectorProcess(namespace, hub.hub.address, tmp_path, lifecycle=True)
    with line as collector:
        wait_until(lambda: len(ends.heard) == 16, PATIENCE_S)
        assert collector.stop()[0] == 0
    assert HOME.scan(namespace) == []
    told = sorted(reason for some in ends.reasons().values() for reason in some)
    assert told == ["closed"] * 6 + ["vanished"] * 10
    # Nobody saw them alive, so nobody says how long they lived.
    assert not any("lifetime" in measurements for measurements, _ in ends.heard)
    workers = [r for r in collector.ledger().rings if r.worker_id != "collector"]
    assert sorted(r.state for r in workers) == told
    assert sum(r.account.delivered for r in workers) == expected
    assert collector.ledger().total.unaccounted == 0
    assert hub.count() == expected
    for seqs in (*hub.seqs.values(), *hub.own_seqs.values()):
        assert seqs == list(range(1, len(seqs) + 1))
    assert sum(map(len, hub.own_seqs.values())) >= 3 * 16  # spawned, ready, terminated


def test_orphans_of_every_kind(namespace: str, hub: NotingHub, tmp_path: Path) -> None:
    """Of another boot, cut off in a record, damaged, and what never was a ring."""
    builders = [RingBuilder(namespace=namespace) for _ in range(3)]
    reborn, cut, damaged = builders
    for ring in builders:
        ring.add_name("e")
        for number in range(5):
            ring.append(0, None, {"number": number})
    reborn.poke(Identity, boot_id=(ctypes.c_uint8 * 16)(*b"of another boot."))
    cut.write_data(cut.tail, b"\x40\0\0\0\0\0\0\0\x98\xcd")  # and no tail
    damaged.write_data(damaged.tail, b"\xff" * 64)
    damaged.poke(ProducerZone, tail=damaged.tail + 64, committed=6)
    for ring in (cut, damaged):
        ring.poke(ProducerZone, state=2)
    young = segments.segment_name(namespace, os.urandom(16))
    Path(HOME.path(young)).write_bytes(bytes(8192))
    try:
        with CollectorProcess(namespace, hub.hub.address, tmp_path) as collector:
            wait_until(lambda: HOME.scan(namespace) == [young], PATIENCE_S)
            states = {r.ring_id: r.state for r in collector.ledger().rings}
            total = collector.ledger().total
    finally:
        for ring in builders:
            ring.close()
    assert states == {
        reborn.ring_id.hex(): "vanished",
        cut.ring_id.hex(): "closed",
        damaged.ring_id.hex(): "quarantined",
    }
    assert (hub.count(), total.delivered, total.unaccounted) == (15, 15, 0)
    assert total.lost == {"quarantined": 1}
