"""How long a change of control takes to act, in each of 64 busy workers.

Every worker emits a probe every two milliseconds. Each round raises the sampling
rate of the probes a little, so that an event tells by its threshold which policy
it was emitted under; a collector never lowers one. The time of a round in a
worker is that from before the call until its first probe under the new policy
was emitted. All clocks are this host's.

The calls are those of an operator, ChangePolicy with a wait for all answers: 200
of the hub, then 200 of the collector's socket, each beside the time until it was
answered. The same again while some of the workers emit other events as well: as
many as the line carries, for they wait while their ring is half full; and as fast
as they can, so that they take all the CPU there is and most is dropped.

Hub, collector, operator and each worker are processes of their own.
"""

import gc
import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import processes
from line import running_line
from measure import report, row, size

WORKERS = 64
FLOODING = 4  # of them
CASES = (  # workers that flood, whether they wait for room, bar in ms
    ("64 busy workers", 0, False, 50),
    ("under full load", FLOODING, True, 50),
    ("starved of CPU", FLOODING, False, None),
)
ROUNDS = size(200, 4)  # of each target
LOWEST_RATE = 0.9
WAIT_MS = 5_000
SETTLE_S = 2.0  # then, until the line is as busy as it gets
ROUND_S = 10.0  # a worker that has not obeyed by then never will

CHILDREN = """
import os, sys, time
from shmtel import emit, stats
flooding, waits, count, parent = *map(int, sys.argv[1:]), os.getpid()
for number in range(count):
    if os.fork() == 0:
        break
else:
    sys.stdin.read()
    sys.exit()
emit("probe", {"n": 1})
half = stats()["capacity_bytes"] // 2
floods = number < flooding
while os.getppid() == parent:
    emit("probe", {"n": 1})
    until = time.monotonic() + 0.002
    while floods and time.monotonic() < until:
        for _ in range(100):
            emit("flood", {"n": 1, "bytes": 5000}, {"tool": "predict"})
        if waits and stats()["used_bytes"] > half:
            break
    time.sleep(0.0 if floods and not waits else 0.002)
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
        """Return the times of the first probes, of all workers if they all obey."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.first_ns) == WORKERS, ROUND_S)
            return list(self.first_ns.values())


class Count:
    """A batch handler that counts."""

    def __init__(self) -> None:
        self.events = 0

    def __call__(self, batch: Any, _config: object) -> None:
        """Count a batch; there is one collector, so one thread calls this."""
        self.events += len(batch.records)


def _hub(directory: str) -> None:
    """Be a hub, with a collector, that is told what to look for and asked for it."""
    from shmtel.cli.hub import SWITCH_S
    from shmtel.hub import Hub

    gc.freeze()  # as `shmtel hub` does; so is the interval
    sys.setswitchinterval(SWITCH_S)
    watch, flood, socket = Watch(), Count(), str(Path(directory, "control"))
    with Hub(listen=f"unix:{Path(directory, 'hub')}") as hub, ExitStack() as stack:
        hub.attach_batch("watch", "probe", watch)
        hub.attach_batch("count", "flood", flood)
        place = ("--namespace", os.environ["SHMTEL_NAMESPACE"], "--socket", socket)
        verb = ("-P", "-m", "shmtel.cli", "collector", "--hub", hub.address)
        family = ("--parent", str(os.getpid()), "--log-level", "error")
        state = ("--state-dir", str(Path(directory, "state")))
        collector = subprocess.Popen([sys.executable, *verb, *place, *family, *state])
        stack.callback(collector.wait, 20)
        stack.callback(collector.terminate)
        answers: dict[str, Any] = {
            "expect": watch.expect,
            "wait": watch.wait,
            "events": lambda: watch.events + flood.events,
            "workers": lambda: len(hub.list_workers()),
            "places": lambda: [hub.address, socket],
        }
        print(json.dumps([hub.address, [collector.pid]]), flush=True)
        for line in sys.stdin:
            question, *arguments = json.loads(line)
            print(json.dumps(answers[question](*arguments)), flush=True)


def _ask(hub: Any, *question: Any) -> Any:
    assert hub.stdin is not None
    print(json.dumps(question), file=hub.stdin, flush=True)
    return processes.hear(hub)


@dataclass
class Series:
    """The rounds of one target: ms until each worker obeyed, and until the answer."""

    effects_ms: list[list[float]] = field(default_factory=list)
    answers_ms: list[float] = field(default_factory=list)


def _series(client: Any, hub: Any, first_rate: float) -> Series:
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
        _ask(hub, "expect", threshold_of(rate))
        called_ns = time.time_ns()
        report = client.change(ChangeRequest(SetRule(rule), WAIT_MS))
        series.answers_ms.append((time.time_ns() - called_ns) / 1e6)
        assert summary(report).applied == WORKERS, str(summary(report))
        obeyed = _ask(hub, "wait")
        assert len(obeyed) == WORKERS, f"only {len(obeyed)} of {WORKERS} obeyed"
        series.effects_ms.append([(at - called_ns) / 1e6 for at in obeyed])
    return series


def _both_series(hub: Any) -> dict[str, Series]:
    from shmtel.cli.control_client import ControlClient, host_target, hub_target

    address, socket = _ask(hub, "places")
    with ControlClient(hub_target(address)) as client:
        by_hub = _series(client, hub, LOWEST_RATE)
    with ControlClient(host_target("", Path(socket))) as client:
        by_socket = _series(client, hub, (1 + LOWEST_RATE) / 2)
    return {"hub": by_hub, "socket": by_socket}


def _measure(flooding: int, *, waits: bool) -> tuple[dict[str, Series], float]:
    """Run a line with 64 workers; return the series, and its load in events/s."""
    workers = ("-P", "-c", CHILDREN, str(flooding), str(int(waits)), str(WORKERS))
    with (
        running_line(__file__, "--hub") as line,
        processes.running(*workers, **line.variables()),
    ):
        hub = line.hub
        is_there = lambda: _ask(hub, "workers") == WORKERS  # noqa: E731
        processes.wait_for(is_there, "not all workers have come")
        time.sleep(SETTLE_S)
        before, started = _ask(hub, "events"), time.monotonic()
        series = _both_series(hub)
        elapsed = time.monotonic() - started
        load = (_ask(hub, "events") - before) / elapsed
    return series, load


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
    if sys.argv[1:2] == ["--hub"]:
        return _hub(sys.argv[2])
    rows: list[dict[str, Any]] = []
    details: dict[str, Any] = {"workers": WORKERS}
    for case, flooding, waits, bar in CASES:
        series, load = _measure(flooding, waits=waits)
        details[case] = {"delivered_events_per_s": round(load)}
        for target, rounds in series.items():
            facts = details[case][target] = _facts(rounds)
            for what, key in (("effect", "p99_ms"), ("answer", "answer_p99_ms")):
                name = f"{target}: call to {what}, {case}, p99"
                rows.append(row(name, facts[key], bar, "ms"))
    return report(rows, details)


if __name__ == "__main__":
    main()
