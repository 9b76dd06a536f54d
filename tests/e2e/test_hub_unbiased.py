"""Counts and sums that a hub scales by the sampling probability are the true ones.

Real workers, a real collector and a hub. What is left out is left out at random,
so each bound is that of the estimate: an event that was kept with probability p
stands for 1/p events, with a variance of (1-p)/p. Seven standard deviations are
missed once in 10^11 runs.
"""

import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from shmtel.hub import Hub
from shmtel.hub.events import POOL_NAME as OF_ITS_OWN
from shmtel.hub.handlers import EventBatch
from shmtel.wire.control import WorkerStatus
from shmtel.wire.summary import summary
from support.hubs import running_hub
from support.program import (
    clean_environment,
    fresh_namespace,
    start_shmtel,
    stopped_at_exit,
    worker_program,
)

WAIT_S = 20.0
WORKERS = 2
VALUES = 10  # measurements are 1 to 10
SIGMAS = 7
_PROGRAM = """
def emit(count):
    for n in range(count):
        shmtel.emit("plain", {"value": n % 10 + 1}, None, f"{os.getpid()}-{n}")
        shmtel.emit("alone", {"value": n % 10 + 1})
        if n % 200 == 0:
            time.sleep(0.002)

def spans(count):
    for n in range(count):
        try:
            with shmtel.span("job"):
                if n % 10 == 0:
                    raise ValueError
        except ValueError:
            pass
        if n % 200 == 0:
            time.sleep(0.002)

emit(1)
spans(1)
print("ready", flush=True)
for line in sys.stdin:
    verb, count = line.split()
    {"emit": emit, "spans": spans}[verb](int(count))
    print(sum(shmtel.stats()["dropped"].values()), flush=True)
""".splitlines()


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Scaled:
    """A batch handler that scales what it gets."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.scaled: dict[str, float] = {}
        self.sums: dict[str, float] = {}
        self.probabilities: set[float] = set()

    def __call__(self, batch: EventBatch, _config: object) -> None:
        """Add up a batch of workers' events."""
        if batch.worker.pool_name == OF_ITS_OWN:
            return
        for record in batch.records:
            name = batch.names[record.event_id]
            weight = 1 / record.sampling_probability
            value = record.measurements.get("value", 0)
            self.counts[name] += 1
            self.scaled[name] = self.scaled.get(name, 0) + weight
            self.sums[name] = self.sums.get(name, 0) + weight * value
            self.probabilities.add(round(record.sampling_probability, 6))


class Line:
    """A hub with a collector and workers that do what they are told."""

    def __init__(self, hub: Hub, workers: list[subprocess.Popen[str]]) -> None:
        self.hub = hub
        self.seen = Scaled()
        self._workers = workers
        hub.attach_batch("scaled", "*", self.seen)

    def start(self, verb: str, count: int) -> None:
        """Let all workers do something."""
        for worker in self._workers:
            assert worker.stdin is not None
            worker.stdin.write(f"{verb} {count}\n")
            worker.stdin.flush()

    def finish(self) -> None:
        """Wait until all have done it, and lost nothing by it."""
        for worker in self._workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "0\n"  # dropped

    def change(self, change: Callable[[], object]) -> None:
        """Make a change that all workers have to apply."""
        done = summary(change())  # type: ignore[arg-type]
        assert (done.applied, done.workers) == (WORKERS, WORKERS), str(done)

    def end(self) -> None:
        """End the workers, and wait until their last event is here."""
        places = {one.worker.worker_index for one in self._statuses()}
        assert places == set(range(WORKERS))
        for worker in self._workers:
            worker.communicate()
        wait_until(lambda: all(one.is_closed for one in self._statuses()))

    def _statuses(self) -> list[WorkerStatus]:
        """Return the workers' rings; the collector's own lives on."""
        found = self.hub.list_workers()
        return [one for one in found if one.worker.pool_name != OF_ITS_OWN]


@contextmanager
def running_line(tmp_path: Path) -> Iterator[Line]:
    """Yield a line whose workers are known to the hub."""
    program = worker_program(tmp_path / "worker.py", _PROGRAM)
    with ExitStack() as stack:
        hub = stack.enter_context(running_hub())
        namespace = stack.enter_context(fresh_namespace())
        arguments = ("--namespace", namespace, "--state-dir", str(tmp_path / "state"))
        stack.enter_context(
            stopped_at_exit(start_shmtel("collector", "--hub", hub.address, *arguments))
        )
        workers = [
            stack.enter_context(stopped_at_exit(_start(program, namespace)))
            for _ in range(WORKERS)
        ]
        line = Line(hub, workers)
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        wait_until(lambda: line.seen.counts["job.exception"] == WORKERS)
        yield line


def _start(program: Path, namespace: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, program],
        env=clean_environment(
            SHMTEL_ENABLED="1",
            SHMTEL_NAMESPACE=namespace,
            SHMTEL_RING_SIZE="8MiB",
            SHMTEL_WORKER_ID="worker-{pid}",
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def assert_unbiased(scaled: float, true: float, variance: float) -> None:
    """See that an estimate lies within its bound."""
    bound = SIGMAS * math.sqrt(variance)
    assert abs(scaled - true) <= bound, (scaled, true, bound)
    assert bound < true / 4  # a bound that lets everything through proves nothing


def _variance(rate: float) -> float:
    return (1 - rate) / rate


def test_counts_and_sums_over_a_change_of_rate(tmp_path: Path) -> None:
    """One rate, another one while events flow, and what came before any."""
    count = 25_000
    with running_line(tmp_path) as line:
        line.change(lambda: line.hub.update_sampling("*", 0.5, wait=WAIT_S))
        line.start("emit", count)
        wait_until(lambda: 0.5 in line.seen.probabilities)
        line.change(lambda: line.hub.update_sampling("*", 0.1, wait=WAIT_S))
        line.finish()
        line.start("emit", count)
        line.finish()
        line.end()
    true = WORKERS * (2 * count + 1)
    variance = true * _variance(0.1)  # at most, and where the change falls is open
    square = sum(value**2 for value in range(1, VALUES + 1)) / VALUES
    assert line.seen.probabilities == {1.0, 0.5, 0.1}
    for name in ("plain", "alone"):
        assert line.seen.counts[name] < true / 2
        assert_unbiased(line.seen.scaled[name], true, variance)
        true_sum = WORKERS * (2 * count * (VALUES + 1) / 2 + 1)
        assert_unbiased(line.seen.sums[name], true_sum, variance * square)


@pytest.mark.parametrize("rate", [0.2, 0.0])
def test_kept_errors_count_once(rate: float, tmp_path: Path) -> None:
    """Every exception arrives and stands for itself; the rest is scaled."""
    count = 20_000
    with running_line(tmp_path) as line:
        line.change(
            lambda: line.hub.update_sampling("*", rate, keep_errors=True, wait=WAIT_S)
        )
        line.start("spans", count)
        line.finish()
        line.end()
    true = WORKERS * count
    exceptions = WORKERS * (count // 10 + 1)
    assert line.seen.counts["job.exception"] == exceptions
    assert line.seen.scaled["job.exception"] == exceptions
    if rate == 0.0:
        assert line.seen.counts["job.start"] == WORKERS
        return
    for name, share in (("job.start", 1.0), ("job.stop", 0.9)):
        variance = true * share * _variance(rate)
        assert_unbiased(line.seen.scaled[name], true * share, variance)
