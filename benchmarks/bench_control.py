"""How long a change of control takes to act, in each of 64 busy workers.

Every worker emits a probe every two milliseconds. Each round raises the sampling
rate of the probes a little, so that an event tells by its threshold which policy
it was emitted under; a collector never lowers one. The time of a round in a
worker is that from before the hub is called until its first probe under the new
policy was emitted. All clocks are this host's.

The second row is the same while some of the workers emit other events as fast as
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
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from measure import report, row

WORKERS = 64
FLOODING = 4  # of them, for full load
ROUNDS = 50
SETTLE_S = 3.0  # until all are there, and the line is as busy as it gets
ROUND_S = 10.0  # a worker that has not obeyed by then never will

CHILDREN = """
import os, sys, time
flooding, count = int(sys.argv[1]), int(sys.argv[2])
for number in range(count):
    if os.fork() == 0:
        break
else:
    sys.stdin.read()
    sys.exit()
from shmtel import emit
parent, floods = os.getppid(), number < flooding
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


def _rounds(hub: Any, watch: Watch) -> list[list[float]]:
    """Return for each round the ms that each worker took."""
    from shmtel.config import threshold_of

    draws = random.Random(1)
    rounds = []
    for number in range(ROUNDS):
        rate = 0.5 + 0.4 * (number + 1) / ROUNDS
        time.sleep(draws.uniform(0.0, 0.1))
        watch.expect(threshold_of(rate))
        called_ns = time.time_ns()
        hub.update_sampling("*", rate, ["probe"])
        rounds.append([(first - called_ns) / 1e6 for first in watch.wait()])
    return rounds


def _measure(flooding: int) -> tuple[list[list[float]], float]:
    """Run a line with 64 workers; return the rounds, and its load in events/s."""
    from shmtel.hub import Hub

    namespace = f"bench-{os.getpid()}-{flooding}"
    watch, all_events = Watch(), Count()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hub = stack.enter_context(Hub(listen=f"unix:{directory / 'hub'}"))
        hub.attach_batch("watch", "probe", watch)
        hub.attach_batch("count", "flood", all_events)
        place = ("--namespace", namespace, "--state-dir", str(directory / "state"))
        verb = ("-P", "-m", "shmtel.cli", "collector", "--hub", hub.address)
        family = ("--parent", str(os.getpid()), "--log-level", "error")
        collector = subprocess.Popen([sys.executable, *verb, *place, *family])
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
        time.sleep(SETTLE_S)
        before, started = watch.events + all_events.events, time.monotonic()
        rounds = _rounds(hub, watch)
        elapsed = time.monotonic() - started
        load = (watch.events + all_events.events - before) / elapsed
        workers.stdin.close()
        workers.wait(20)
        time.sleep(1.5)  # let the collector finish the rings
    return rounds, load


class Count:
    """A batch handler that counts."""

    def __init__(self) -> None:
        self.events = 0

    def __call__(self, batch: Any, _config: object) -> None:
        """Count a batch; there is one collector, so one thread calls this."""
        self.events += len(batch.records)


def _facts(rounds: list[list[float]], load: float) -> dict[str, float]:
    times = [value for times in rounds for value in times]
    return {
        "rounds": len(rounds),
        "p50_ms": round(median(times), 2),
        "p99_ms": round(quantiles(times, n=100)[98], 2),
        "slowest_ms": round(max(times), 2),
        "last_of_64_p50_ms": round(median(max(times) for times in rounds), 2),
        "delivered_events_per_s": round(load),
    }


def main() -> None:
    """Measure, and print the JSON."""
    busy = _facts(*_measure(0))
    full = _facts(*_measure(FLOODING))
    report(
        [
            row("call to effect in 64 busy workers, p99", busy["p99_ms"], 50, "ms"),
            row("the same under full data load, p99", full["p99_ms"], 100, "ms"),
        ],
        {"workers": WORKERS, "busy": busy, "full_load": full},
    )


if __name__ == "__main__":
    main()
