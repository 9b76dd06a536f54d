"""Memory and CPU of workers: what is read, of whom, and how it is told."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from shmtel import procfs
from shmtel_collector.measurements import (
    DEFAULT_MEASUREMENTS,
    MEASUREMENTS,
    ResourceSettings,
)
from shmtel_collector.process_sample import (
    DENIED,
    FAILED,
    OWNER,
    Sample,
    Sampler,
    Target,
)
from shmtel_collector.resources import LATE, NAMESPACE, Resources
from support.measured_worker import ALLOCATED_BYTES, THREADS
from support.memory_line import SECOND_NS, MemoryLine
from support.processes import environment, wait_until
from support.ring_builder import RingBuilder
from support.ring_layout import Identity

MakeRing = Callable[..., RingBuilder]
WAIT_S = 10.0
TICK_NS = 10_000_000  # in which the kernel counts a process's time


class Measured:
    """A worker that waits, and what it said of itself before."""

    def __init__(self, namespace: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.measured_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env=environment(namespace, PYTHONPATH=str(Path(__file__).parents[2])),
        )
        assert self.process.stdout is not None
        self.words: dict[str, int] = json.loads(self.process.stdout.readline())

    def target(self, **others: int) -> Target:
        """Return what a collector knows of it."""
        pid = self.process.pid
        start_time = others.get("start_time", procfs.start_time(pid))
        assert start_time is not None
        return Target(b"p", pid, start_time, others.get("uid", os.geteuid()))


@pytest.fixture
def worker(namespace: str) -> Iterator[Measured]:
    """A worker that waits."""
    worker = Measured(namespace)
    with worker.process as process:
        yield worker
        process.kill()


def _resources(line: MemoryLine, *names: str, interval_s: int = 1) -> Resources:
    settings = ResourceSettings(interval_s * SECOND_NS, names or DEFAULT_MEASUREMENTS)
    resources = Resources(settings, line.journal)
    resources.tick(line.now_ns, line.deathwatch.lifelines())
    return resources


def _turn(line: MemoryLine, resources: Resources, wanted: int = 1) -> None:
    """Let the next slice be read and told, until there are so many events."""
    line.now_ns += SECOND_NS
    line.journal.events.clear()

    def is_told() -> bool:
        resources.tick(line.now_ns, line.deathwatch.lifelines())
        return len(line.journal.events) >= wanted

    wait_until(is_told)


def test_numbers_are_those_of_the_worker_itself(worker: Measured) -> None:
    """What psutil reads from outside is what the process knows from inside."""
    (sample,) = Sampler(MEASUREMENTS).sample([worker.target()])
    values, words = sample.values, worker.words
    assert sample.unavailable == ""
    for name in ("rss", "vms", "shared"):
        assert abs(values[name] - words[name]) < 2 << 20, name
    assert ALLOCATED_BYTES < values["uss"] <= values["pss"] <= values["rss"] + (1 << 20)
    for name in ("user", "system"):
        assert words[name] - 2 * TICK_NS <= values[name] < words[name] + 10 * TICK_NS
    assert values["threads"] == words["threads"] == THREADS
    assert values["descriptors"] == words["descriptors"]
    for kind in ("context_switches_voluntary", "context_switches_involuntary"):
        assert words[kind] <= values[kind] < words[kind] + 100
    assert set(values) >= set(MEASUREMENTS) - {"percent", "context_switches"}


def test_only_what_is_asked_for_is_read(worker: Measured) -> None:
    """A share of the CPU needs the times; nothing else comes along."""
    (sample,) = Sampler(["rss", "threads"]).sample([worker.target()])
    assert set(sample.values) == {"rss", "threads"}
    (sample,) = Sampler(["percent"]).sample([worker.target()])
    assert set(sample.values) == {"user", "system"}


def test_another_process_is_never_measured(worker: Measured) -> None:
    """Not one that has the pid now, nor one of another user, nor a dead one."""
    start_time = worker.target().start_time
    sampler = Sampler(DEFAULT_MEASUREMENTS)
    assert sampler.sample([worker.target(start_time=start_time - 1)]) == []
    (sample,) = sampler.sample([worker.target(uid=os.geteuid() + 1)])
    assert (sample.unavailable, sample.values) == (OWNER, {})
    target = worker.target()
    worker.process.kill()
    wait_until(lambda: sampler.sample([target]) == [])  # a zombie, then nothing
    worker.process.wait()
    assert sampler.sample([target]) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (psutil.AccessDenied(), DENIED),
        (NotImplementedError("no such line"), FAILED),
        (RuntimeError("line 'btime' not found"), FAILED),
    ],
)
def test_what_is_denied_is_left_out(
    worker: Measured, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    """One file that cannot be read does not hide the others."""

    def fail(process: object) -> int:
        raise error

    monkeypatch.setattr(psutil.Process, "num_fds", fail)
    (sample,) = Sampler(["descriptors", "threads"]).sample([worker.target()])
    assert (sample.unavailable, set(sample.values)) == (reason, {"threads"})


def test_samples_are_told_with_their_subject(
    line: MemoryLine, worker: Measured
) -> None:
    """Two events for each worker and turn; a share of the CPU from the second on."""
    line.step()
    resources = _resources(line)
    _turn(line, resources, 2)
    (memory, cpu) = line.journal.events
    assert [memory[0], cpu[0]] == ["python.memory.sampled", "python.cpu.sampled"]
    assert set(memory[1]) == {"rss", "vms", "shared"}
    assert set(cpu[1]) == {
        *("user", "system", "threads", "descriptors"),
        *("context_switches_voluntary", "context_switches_involuntary"),
    }
    assert memory[2] == cpu[2]
    assert memory[2]["subject_pid"] == worker.process.pid
    assert set(memory[2]) > {"subject", "subject_pool", "subject_ring", "service"}
    _turn(line, resources, 2)
    assert 0 <= line.journal.events[1][1]["percent"] < 110
    assert not resources.unavailable


def test_host_without_room_for_a_thread(
    line: MemoryLine, worker: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is measured then, which is counted; the collector goes on."""
    line.step()
    resources = _resources(line)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        line.now_ns += SECOND_NS
        resources.tick(line.now_ns, line.deathwatch.lifelines())
    assert resources.unavailable == {FAILED: 1}
    _turn(line, resources, 2)


def test_a_look_that_hangs_holds_up_nobody(
    line: MemoryLine, worker: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns that come meanwhile are counted, and the end of a process does not wait."""
    line.step()
    resources = _resources(line)
    goes_on, threads = threading.Event(), list[threading.Thread]()

    def hang(sampler: Sampler, targets: list[Target]) -> list[Sample]:
        threads.append(threading.current_thread())
        assert goes_on.wait(WAIT_S)
        return []

    monkeypatch.setattr(Sampler, "sample", hang)
    for _ in range(3):
        line.now_ns += SECOND_NS
        resources.tick(line.now_ns, line.deathwatch.lifelines())
    assert resources.unavailable == {LATE: 2}
    assert [thread.daemon for thread in threads] == [True]
    goes_on.set()
    threads[0].join(WAIT_S)
    line.now_ns += SECOND_NS
    resources.tick(line.now_ns, line.deathwatch.lifelines())
    wait_until(lambda: len(threads) == 2)
    assert resources.unavailable == {LATE: 2}


def test_only_wanted_events_are_told(line: MemoryLine, worker: Measured) -> None:
    """Whoever asks for a share of the CPU gets no times, and no memory."""
    line.step()
    resources = _resources(line, "percent")
    _turn(line, resources, 0)
    time.sleep(0.02)
    _turn(line, resources)
    (event,) = line.journal.events
    assert (event[0], set(event[1])) == ("python.cpu.sampled", {"percent"})


def test_turns_are_spread_over_the_interval(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """Each has one in an interval, some at a time; none is forgotten.

    The kernel names this process, and the rings say another start: so nothing can be
    said of their workers, which is counted at each turn.
    """
    for number in range(20):
        ring = make_ring()
        ring.poke(Identity, start_time=number + 1)
        ring.hold_lock()
    line.step()
    resources = _resources(line, interval_s=10)
    counts = []
    for second in range(20):
        now_ns = line.now_ns + (second + 1) * SECOND_NS
        resources.tick(now_ns, line.deathwatch.lifelines())
        counts.append(resources.unavailable[NAMESPACE])
    assert counts == [4 * (second // 2) for second in range(1, 21)]
    assert line.journal.events == []


def test_foreign_proc_says_nothing(
    line: MemoryLine, worker: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where /proc is of another pid namespace a pid means somebody else."""
    line.step()
    (lifeline,) = line.deathwatch.lifelines()
    assert lifeline.pid == worker.process.pid
    monkeypatch.setattr(lifeline, "_host", procfs.Host(b"", 0))
    assert lifeline.pid is None


def test_own_ring_and_no_interval_are_never_sampled(
    line: MemoryLine, worker: Measured
) -> None:
    """A collector's ring is no worker; 0 switches it all off."""
    line.step()
    (ring,) = line.fleet.rings.values()
    ring.is_own = True
    _turn(line, resources := _resources(line), 0)
    assert not resources._turns
    ring.is_own = False
    _turn(line, resources := _resources(line, interval_s=0), 0)
    assert not resources._turns
