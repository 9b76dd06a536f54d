"""How long a change of control takes to act, in each of 64 busy workers.

Every worker emits a probe every two milliseconds. Each round raises the sampling
rate of the probes a little, so that an event tells by its threshold which policy
it was emitted under; a collector never lowers one. The time of a round in a
worker is that from before the call until its first probe under the new policy
was emitted. All clocks are this host's.

The calls are those of an operator, ChangePolicy with a wait for all answers: 200
of the hub, then 200 of the collector's socket, each beside the time until it was
answered. The same again while some of the workers emit other events as fast as
they can, so that their rings are full and the line carries all it can.
"""

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from measure import report, row, size

WORKERS = 64
FLOODING = 4  # of them, for full load
ROUNDS = size(200, 4)  # of each target
LOWEST_RATE = 0.9
WAIT_MS = 5_000
PATIENCE_S = 30.0  # until all are there
SETTLE_S = 2.0  # then, until the line is as busy as it gets
ROUND_S = 10.0  # a worker that has not obeyed by then never will

CHILDREN = """
import os, sys, time
from shmtel import emit
flooding, count, parent = int(sys.argv[1]), int(sys.argv[2]), os.getpid()
for number in range(count):
    if os.fork() == 0:
        break
else:
    sys.stdin.read()
    sys.exit()
floods = number < flooding
while os.getppid() == parent:
    emit("probe", {"n": 1})
    until = time.monotonic() + 0.002
    while floods and time.monotonic() < until:
        for _ in range(100):
            emit("flood", {"n": 1, "bytes": 5000}, {"tool": "predict"})
    time.sleep(0 if floods else 0.002)
"""


class Watch:
    """A batch handler that notes the first probe of each worker under a policy."""

    def __init__(self) -> None:
        self.first_ns: dict[str, int] = {}
        self.events = 0
        self._threshold = 0
        self._changed = threading.Condition()

    def __call__(self, batch: Any, _config: object) -> None:
        """Look at the probes of one worker."""
        with self._changed:
            self.events += len(batch.records)
            if batch.ring_id in self.first_ns:
                return
            for record in batch.records:
                if record.threshold == self._threshold:
                    self.first_ns[batch.ring_id] = record.timestamp_ns
                    self._changed.notify()
                    return

    def expect(self, threshold: int) -> None:
        """Begin to look for probes with a threshold."""
        with self._changed:
            self._threshold = threshold
            self.first_ns = {}

    def wait(self) -> list[int]:
        """Return the times of the first probes, once every worker has had one."""
        with self._changed:
            done = self._changed.wait_for(
                lambda: len(self.first_ns) == WORKERS, ROUND_S
            )
            assert done, f"only {len(self.first_ns)} of {WORKERS} workers obeyed"
            return list(self.first_ns.values())


@dataclass
class Series:
    """The rounds of one target: ms until each worker obeyed, and until the answer."""

    effects_ms: list[list[float]] = field(default_factory=list)
    answers_ms: list[float] = field(default_factory=list)


def _series(client: Any, watch: Watch, first_rate: float) -> Series:
    """Change the rate of the probes again and again, through one target."""
    from shmtel.config import threshold_of
    from shmtel.policy.model import Rule, Sampling, Selector
    from shmtel.wire.control import ChangeRequest, SetRule
    from shmtel.wire.summary import summary

    draws, series = random.Random(1), Series()
    for number in range(ROUNDS):
        rate = first_rate + (1 - LOWEST_RATE) / 2 * number / ROUNDS
        rule = Rule(Selector(), Sampling(rate, ("probe",)))
        time.sleep(draws.uniform(0.0, 0.1))
        watch.expect(threshold_of(rate))
        called_ns = time.time_ns()
        report = client.change(ChangeRequest(SetRule(rule), WAIT_MS))
        series.answers_ms.append((time.time_ns() - called_ns) / 1e6)
        assert summary(report).applied == WORKERS, str(summary(report))
        series.effects_ms.append([(at - called_ns) / 1e6 for at in watch.wait()])
    return series


def _both_series(hub: Any, socket: Path, watch: Watch) -> dict[str, Series]:
    from shmtel.cli.control_client import ControlClient, host_target, hub_target

    with ControlClient(hub_target(hub.address)) as client:
        by_hub = _series(client, watch, LOWEST_RATE)
    with ControlClient(host_target("", socket)) as client:
        by_socket = _series(client, watch, (1 + LOWEST_RATE) / 2)
    return {"hub": by_hub, "socket": by_socket}


def _measure(flooding: int) -> tuple[dict[str, Series], float]:
    """Run a line with 64 workers; return the series, and its load in events/s."""
    from shmtel.hub import Hub

    namespace = f"bench-{os.getpid()}-{flooding}"
    watch, all_events = Watch(), Count()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hub = stack.enter_context(Hub(listen=f"unix:{directory / 'hub'}"))
        hub.attach_batch("watch", "probe", watch)
        hub.attach_batch("count", "flood", all_events)
        socket = directory / "control"
        place = ("--namespace", namespace, "--state-dir", str(directory / "state"))
        verb = ("-P", "-m", "shmtel.cli", "collector", "--hub", hub.address)
        family = ("--parent", str(os.getpid()), "--log-level", "error")
        here = ("--socket", str(socket))
        collector = subprocess.Popen([sys.executable, *verb, *place, *family, *here])
        stack.callback(collector.wait, 20)
        stack.callback(collector.terminate)
        workers = subprocess.Popen(
            [sys.executable, "-P", "-c", CHILDREN, str(flooding), str(WORKERS)],
            env={**os.environ, "SHMTEL_ENABLED": "1", "SHMTEL_NAMESPACE": namespace},
            stdin=subprocess.PIPE,
        )
        stack.callback(workers.wait, 20)
        assert workers.stdin is not None
        stack.callback(workers.stdin.close)
        _wait_for_workers(hub)
        time.sleep(SETTLE_S)
        before, started = watch.events + all_events.events, time.monotonic()
        series = _both_series(hub, socket, watch)
        elapsed = time.monotonic() - started
        load = (watch.events + all_events.events - before) / elapsed
        workers.stdin.close()
        workers.wait(20)
        time.sleep(1.5)  # let the collector finish the rings
    return series, load


def _wait_for_workers(hub: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(hub.list_workers()) < WORKERS:
        assert time.monotonic() < deadline, "not all workers have come"
        time.sleep(0.05)


class Count:
    """A batch handler that counts."""

    def __init__(self) -> None:
        self.events = 0

    def __call__(self, batch: Any, _config: object) -> None:
        """Count a batch; there is one collector, so one thread calls this."""
        self.events += len(batch.records)


def _facts(series: Series) -> dict[str, float]:
    times = [value for times in series.effects_ms for value in times]
    last = [max(times) for times in series.effects_ms]
    return {
        "changes": len(series.effects_ms),
        "p50_ms": round(median(times), 2),
        "p99_ms": round(_p99(times), 2),
        "slowest_ms": round(max(times), 2),
        "last_of_64_p50_ms": round(median(last), 2),
        "last_of_64_p99_ms": round(_p99(last), 2),
        "answer_p50_ms": round(median(series.answers_ms), 2),
        "answer_p99_ms": round(_p99(series.answers_ms), 2),
    }


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]


def main() -> None:
    """Measure, and print the JSON."""
    rows: list[dict[str, Any]] = []
    details: dict[str, Any] = {"workers": WORKERS}
    cases = (("64 busy workers", 0, 50), ("under full load", FLOODING, 100))
    for case, flooding, bar in cases:
        series, load = _measure(flooding)
        details[case] = {"delivered_events_per_s": round(load)}
        for target, rounds in series.items():
            facts = details[case][target] = _facts(rounds)
            name = f"{target}: call to effect, {case}, p99"
            rows.append(row(name, facts["p99_ms"], bar, "ms"))
            name = f"{target}: call to answer, {case}, p99"
            rows.append(row(name, facts["answer_p99_ms"], 50, "ms"))
    report(rows, details)


if __name__ == "__main__":
    main()
