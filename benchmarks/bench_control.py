"""How long a change of control takes to act in a busy worker.

A worker emits without pause. The hub toggles it off and on again; what counts
is the effect on the events: how long after the call the last one was emitted,
and how long after the second call the first one. Both clocks are this host's.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from measure import report, row

ROUNDS = 30
QUIET_S = 0.3  # without an event for so long, a worker is off

WORKER = """
from shmtel import emit
while True:
    emit("busy", {"n": 1})
    for _ in range(2000): pass
"""


class Watch:
    """A batch handler that remembers the times of the events."""

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self._lock = threading.Lock()

    def __call__(self, batch: Any, config: object) -> None:
        """Take the times of one batch."""
        with self._lock:
            self.times_ns += [event.timestamp_ns for event in batch.records]

    def take(self) -> list[int]:
        """Return the times since the last call."""
        with self._lock:
            times_ns, self.times_ns = self.times_ns, []
            return times_ns

    def wait_for_event(self) -> int:
        """Return the time of the next event that arrives."""
        while not (times_ns := self.take()):
            time.sleep(0.001)
        return times_ns[0]

    def last_before_quiet(self, last: int) -> int:
        """Return the time of the last event before the worker falls silent.

        That is `last`, where none arrives any more.
        """
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < QUIET_S:
            if times_ns := self.take():
                last, quiet_since = times_ns[-1], time.monotonic()
            time.sleep(0.005)
        return last


def _round(hub: Any, watch: Watch) -> tuple[float, float]:
    """Toggle off and on; ms until each acted."""
    watch.take()
    watch.wait_for_event()
    called_ns = time.time_ns()
    hub.toggle("*", False)
    off_ns = watch.last_before_quiet(called_ns) - called_ns
    watch.take()
    called_ns = time.time_ns()
    hub.toggle("*", True)
    on_ns = watch.wait_for_event() - called_ns
    return off_ns / 1e6, on_ns / 1e6


def main() -> None:
    """Measure, and print the JSON."""
    from shmtel.hub import Hub

    namespace = f"bench-{os.getpid()}"
    watch = Watch()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hub = stack.enter_context(Hub(listen=f"unix:{directory / 'hub'}"))
        hub.attach_batch("watch", "busy", watch)
        place = ("--namespace", namespace, "--state-dir", str(directory / "state"))
        verb = ("-P", "-m", "shmtel.cli", "collector", "--hub", hub.address)
        family = ("--parent", str(os.getpid()))
        collector = subprocess.Popen([sys.executable, *verb, *place, *family])
        stack.callback(collector.wait, 10)
        stack.callback(collector.terminate)
        environment = {"SHMTEL_ENABLED": "1", "SHMTEL_NAMESPACE": namespace}
        worker = subprocess.Popen(
            [sys.executable, "-P", "-c", WORKER], env={**os.environ, **environment}
        )
        stack.callback(worker.wait, 10)
        stack.callback(worker.kill)
        rounds = [_round(hub, watch) for _ in range(ROUNDS)]
        worker.kill()
        time.sleep(1)  # let the collector finish the ring
    off = [times[0] for times in rounds]
    on = [times[1] for times in rounds]
    report(
        [
            row("toggle off, slowest of the rounds", max(off), 100, "ms"),
            row("toggle on, slowest of the rounds", max(on), 100, "ms"),
        ],
        {"rounds": ROUNDS, "median_off_ms": median(off), "median_on_ms": median(on)},
    )


if __name__ == "__main__":
    main()
