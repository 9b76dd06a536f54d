"""Workers, collector and hub killed at random: nothing lost, nothing twice.

What a killed hub had written and not acknowledged comes again, and only that.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support import burst
from support.processes import environment, wait_until
from support.program import fresh_namespace, shmtel, start_shmtel, stopped_at_exit

pytestmark = pytest.mark.stress

RING_SIZES = ("1MiB", "64KiB")  # by seed; the small one is full at times
SEEDS = range(int(os.environ.get("SEEDS", "1")))


class Line:
    """Hub, collector and burst as programs."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self.directory = directory
        self.namespace = stack.enter_context(fresh_namespace())
        self.jsonl = directory / "events.jsonl"
        self.state = str(directory / "state")
        self.hub = f"unix:{directory / 'hub.sock'}"
        self._stack = stack
        self.hub_process = self.start_hub()
        self.collector = self.start_collector()

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return self._stack.enter_context(stopped_at_exit(start_shmtel(*arguments)))

    def start_hub(self) -> subprocess.Popen[str]:
        """Start a hub; address and file are the line's."""
        sink = ("--jsonl", str(self.jsonl))
        self.hub_process = self._start("hub", "--listen", self.hub, *sink)
        return self.hub_process

    def kill_hub(self) -> None:
        """End the hub as the kernel would."""
        self.hub_process.send_signal(signal.SIGKILL)
        self.hub_process.wait()

    def start_collector(self) -> subprocess.Popen[str]:
        """Start a collector; the hub and the namespace are the line's."""
        place = ("--namespace", self.namespace, "--state-dir", self.state)
        self.collector = self._start("collector", "--hub", self.hub, *place)
        return self.collector

    def kill_collector(self) -> None:
        """End the collector as the kernel would."""
        self.collector.send_signal(signal.SIGKILL)
        self.collector.wait()

    def ledger(self) -> dict[str, Any]:
        """Return the ledger as the tool prints it."""
        place = ("--namespace", self.namespace, "--state-dir", self.state)
        done = shmtel("ledger", "--json", *place)
        assert done.returncode == 0, done.stderr
        ledger: dict[str, Any] = json.loads(done.stdout)
        return ledger

    def settled_ledger(self, rings: int) -> dict[str, Any]:
        """Wait until every ring is finished, and return the ledger of the end."""

        def when_finished() -> dict[str, Any] | None:
            ledger = self.ledger()
            finished = [ring for ring in ledger["rings"] if ring["state"] != "live"]
            return ledger if len(finished) == rings else None

        found: dict[str, Any] = wait_until(when_finished, seconds=30)
        return found


def run(
    seed: int,
    directory: Path,
    disturb: Callable[[Line], None] = lambda _: None,
    may_repeat: bool = False,
    ring_size: str = "1MiB",
) -> None:
    """Run one burst, disturb the line meanwhile, and let the oracle judge."""
    task = burst.Burst(seed)
    with ExitStack() as stack:
        line = Line(stack, directory)
        arguments = [str(value) for value in (task.seed, task.workers, task.events)]
        workers = subprocess.Popen(
            [sys.executable, burst.__file__, *arguments, str(task.killed)],
            env=environment(line.namespace, SHMTEL_RING_SIZE=ring_size),
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.enter_context(stopped_at_exit(workers))
        disturb(line)
        outcome = json.loads(workers.communicate(timeout=60)[0])
        ledger = line.settled_ledger(task.workers)
        totals = burst.check(task, outcome, ledger, line.jsonl, may_repeat)
    assert totals["delivered"] > totals["returned"] // 4, "too little arrived"
    print(f"seed {seed}: {totals}, unaccounted 0")


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_workers_lose_nothing(seed: int, tmp_path: Path) -> None:
    """Every emit that returned arrives exactly once, in order, or is counted."""
    run(seed, tmp_path, ring_size=RING_SIZES[seed % 2])


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_collector_loses_nothing(seed: int, tmp_path: Path) -> None:
    """The same, while the collector is killed and started again three times."""
    draws = random.Random(seed)

    def kill_and_restart(line: Line) -> None:
        for _ in range(3):
            time.sleep(draws.uniform(0.1, 0.6))
            line.kill_collector()
            time.sleep(draws.uniform(0.0, 0.1))
            line.start_collector()

    run(seed, tmp_path, kill_and_restart, ring_size=RING_SIZES[seed % 2])


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_hub_loses_nothing(seed: int, tmp_path: Path) -> None:
    """The same with the hub, while batches are under way, and once with both."""
    draws = random.Random(seed)

    def kill_and_restart(line: Line) -> None:
        for round_ in range(3):
            time.sleep(draws.uniform(0.2, 0.6))
            line.kill_hub()
            if round_ == 1:
                line.kill_collector()
                line.start_collector()
            time.sleep(draws.uniform(0.0, 0.2))
            line.start_hub()

    run(seed, tmp_path, kill_and_restart, may_repeat=True)
