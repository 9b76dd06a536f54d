"""What a host tells of its workers by itself: their lives, pools, memory and CPU."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from support.collector_process import CollectorProcess, NotingHub
from support.measured_worker import work
from support.processes import environment, wait_until

PATIENCE_S = 30.0  # on a loaded machine; what is waited for takes a second or two
SPAWN = multiprocessing.get_context("spawn")


class Heard:
    """What the hub's handlers hear of workers, in order."""

    def __init__(self, hub: NotingHub) -> None:
        self.events: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        for pattern in ("pool.*", "python.*"):
            hub.hub.attach(pattern, pattern, self._hear, None)

    def _hear(
        self, event: str, measurements: Any, metadata: Any, config: object
    ) -> None:
        self.events.append((event, dict(measurements), dict(metadata)))

    def of(self, name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Measurements and metadata of the events of a name."""
        return [event[1:] for event in list(self.events) if event[0] == name]


Start = Callable[[], SpawnProcess]


@pytest.fixture
def start(namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start workers of one pool, each a new interpreter; all end with the test."""
    variables = environment(
        namespace, SHMTEL_POOL_NAME="parsers", SHMTEL_SERVICE_NAME="shop"
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    started: list[SpawnProcess] = []

    def start() -> SpawnProcess:
        process = SPAWN.Process(target=work, daemon=True)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def test_a_pool_and_its_workers(
    namespace: str, hub: NotingHub, tmp_path: Path, start: Start
) -> None:
    """Two workers come, one is killed and replaced, and the collector as well.

    All of it is told once, with who and why; and the ledger balances.
    """
    heard = Heard(hub)
    line = CollectorProcess(
        *(namespace, hub.hub.address, tmp_path),
        config='[resources]\nmeasurements = ["rss", "user", "system", "threads"]',
        lifecycle=True,
        SHMTEL_STATUS_INTERVAL="1s",
        SHMTEL_RESOURCES_INTERVAL="1s",
    )
    with line as collector:
        first, second = start(), start()
        wait_until(lambda: len(heard.of("pool.worker.ready")) == 2, PATIENCE_S)
        ((began, pool),) = heard.of("pool.initialized")
        assert (pool["subject_pool"], pool["service"]) == ("parsers", "shop")
        assert began["workers"] in (1, 2)
        spawned = heard.of("pool.worker.spawned")
        assert {m["subject_pid"] for _, m in spawned} == {first.pid, second.pid}
        assert {m["subject_index"] for _, m in spawned} == {0, 1}
        assert all(0 < numbers["start_up"] < 60e9 for numbers, _ in spawned)

        wait_until(lambda: _status(heard)["ready"] == 2, PATIENCE_S)
        wait_until(lambda: _status(heard)["committed_per_second"] > 0, PATIENCE_S)
        _compare_with_proc(heard, second)

        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        first.join(PATIENCE_S)
        wait_until(lambda: heard.of("pool.worker.terminated"), PATIENCE_S)
        third = start()
        wait_until(lambda: heard.of("pool.worker.restarted"), PATIENCE_S)
        ((again, who),) = heard.of("pool.worker.restarted")
        assert (who["subject_pid"], who["reason"]) == (third.pid, "vanished")
        assert again["restart_count"] == 1
        assert 0 <= again["downtime"] < 60e9

        collector.kill()
        collector.start()
        heard.events.clear()
        wait_until(lambda: _status(heard)["ready"] == 2, PATIENCE_S)
        told = {name for name, _, _ in list(heard.events)}
        assert told <= {"pool.status", "python.memory.sampled", "python.cpu.sampled"}
        assert _status(heard)["workers"] == 2
        assert collector.stop()[0] == 0
        assert collector.ledger().total.unaccounted == 0


def _status(heard: Heard) -> dict[str, Any]:
    """The last status of the pool, and none of another."""
    told = [m for m, who in heard.of("pool.status") if who["subject_pool"] == "parsers"]
    assert len(told) == len(heard.of("pool.status"))
    return told[-1] if told else {"ready": 0, "committed_per_second": 0}


def _compare_with_proc(heard: Heard, worker: SpawnProcess) -> None:
    def sample(name: str) -> dict[str, Any]:
        told = [m for m, who in heard.of(name) if who["subject_pid"] == worker.pid]
        return told[-1] if told else {}

    wait_until(lambda: sample("python.cpu.sampled"), PATIENCE_S)
    memory, cpu = sample("python.memory.sampled"), sample("python.cpu.sampled")
    assert (set(memory), set(cpu)) == ({"rss"}, {"user", "system", "threads"})
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
    rss = pages * os.sysconf("SC_PAGE_SIZE")
    assert rss / 2 < memory["rss"] < rss * 2
    assert 0 < cpu["user"] + cpu["system"] < time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert cpu["threads"] >= 1
