"""The line that the demonstration plays on: hub, collector and workers.

The hub is an object in this process, with a batch handler attached, as in any
program that receives events. Collector and workers are processes of their own.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType

from shmtel import segments
from shmtel.cli import children
from shmtel.cli.demonstration.screen import Row, Screen
from shmtel.cli.demonstration.tally import RingTally, Tally
from shmtel.cli.errors import CommandError
from shmtel.cli.observing import RingStat, observe_namespace
from shmtel.hub import Hub

_LOOK_S = 0.05
_RATE_S = 1.0  # over which events per second are taken


class Stage:
    """Everything that runs, and what can be seen of it."""

    def __init__(
        self,
        directory: Path,
        workers: int,
        screen: Screen,
        ring_directory: str | None = None,
    ) -> None:
        self.namespace = f"demo-{os.getpid()}"
        self.home = segments.home_of(ring_directory)
        self._ring_directory = ring_directory
        self.state_dir = directory
        self.screen = screen
        self.tally = Tally()
        self.hub = Hub(f"unix:{directory / 'hub.sock'}")
        self.hub.attach_batch("demonstration", "*", self.tally.take)
        self._worker_count = workers
        self._seen: dict[str, RingStat] = {}  # also of rings that are gone by now
        self._rates: dict[str, tuple[float, int, float]] = {}
        self.pids: list[int] = []

    def __enter__(self) -> "Stage":
        self.hub.start()
        self.collector = children.start_verb(
            *("collector", "--hub", self.hub.address, "--http", "off"),
            *children.ring_flags(self.namespace, self._ring_directory),
            *("--state-dir", str(self.state_dir), "--log-level", "warning"),
            *children.NO_OWN_EVENTS,  # what is counted here is the workers' events
        )
        self._master = self._start_workers()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop_workers()
        children.stop_verb(self.collector)
        self.hub.stop(1.0)

    def _start_workers(self) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            **children.ring_variables(self.namespace, self._ring_directory),
            "SHMTEL_WORKER_ID": "parser-{pid}",
        }
        module = "shmtel.cli.demonstration.workers"
        master = subprocess.Popen(
            [
                *children.interpreter(),
                *("-W", "ignore", "-m", module, str(self._worker_count)),
            ],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert master.stdout is not None
        self.pids = [int(pid) for pid in master.stdout.readline().split()]
        if len(self.pids) != self._worker_count:
            raise CommandError("the workers did not start; their message is above")
        return master

    def stop_workers(self) -> None:
        """Let the workers finish the file they are at, and end."""
        assert self._master.stdin is not None
        self._master.stdin.close()
        try:
            self._master.wait(children.STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._master.pid, signal.SIGKILL)
            self._master.wait()

    def look(self) -> dict[str, RingStat]:
        """Observe the rings; those that were removed stay as last seen."""
        rings, _ = observe_namespace(self.namespace, home=self.home)
        self._seen.update({ring.ring_id: ring for ring in rings})
        return self._seen

    def state(self, ring_id: str) -> str:
        """Say what the ring's worker is: alive, closed, dead, or finished with."""
        name = segments.segment_name(self.namespace, bytes.fromhex(ring_id))
        is_present = name in self.home.scan(self.namespace)
        return self.look()[ring_id].state if is_present else "finished"

    def are_workers_finished(self) -> bool:
        """Say whether the ring of no worker is left."""
        rings = [ring for ring in self.look().values() if ring.pid in self.pids]
        return all(self.state(ring.ring_id) == "finished" for ring in rings)

    def watch(self, seconds: float) -> None:
        """Show the table for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.screen.show(self.rows())
            time.sleep(_LOOK_S)

    def rows(self) -> list[Row]:
        """Put together what the rings say and what has arrived."""
        seen = self.look()
        rows = []
        for ring_id, tally in self.tally.snapshot().items():
            ring = seen.get(ring_id)
            rows.append(
                Row(
                    worker_id=tally.worker_id,
                    state=self.state(ring_id),
                    files=tally.files,
                    events=tally.events,
                    events_per_s=self._rate(ring_id, tally),
                    sampled_out=ring.sampled_out if ring else 0,
                    dropped=sum(ring.dropped.values()) if ring else 0,
                )
            )
        return sorted(rows, key=lambda row: row.worker_id)

    def _rate(self, ring_id: str, tally: RingTally) -> float:
        now_s = time.monotonic()
        since_s, events, rate = self._rates.get(ring_id, (now_s, tally.events, 0.0))
        if now_s - since_s >= _RATE_S:
            rate = (tally.events - events) / (now_s - since_s)
            since_s, events = now_s, tally.events
        self._rates[ring_id] = (since_s, events, rate)
        return rate
