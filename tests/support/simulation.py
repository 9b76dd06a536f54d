"""The uplink in simulated time: both real roles, a network that breaks, one seed.

Everything that happens is drawn from one random generator and happens in one
thread, in the order of a clock that only the simulation moves. So a seed replays a
run to the last frame.

For some seconds events are emitted and faults happen; then all is well again, and
what is left has to arrive: every event handed on once, or counted with a reason, or
handed on again and marked so, and both sides' totals the same.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from shmtel.wire.frames import Outcome
from support.simulation_faults import FAULTS
from support.simulation_host import MILLISECOND, SECOND, Host, Link
from support.simulation_report import line
from support.wire_hub import ModelHub, ModelStream
from support.wire_rings import Flaw, ModelRing, Oracle

FAULTS_UNTIL_NS = 4 * SECOND
NOTICED_NS = SECOND // 5  # by then whoever lost a hub has heard of it
END_NS = 90 * SECOND
STEPS_SHOWN = 50


@dataclass(frozen=True)
class Parts:
    """What a run is made of; a broken part must make it fail."""

    hub: type[ModelHub] = ModelHub
    ring: type[ModelRing] = ModelRing


class SimulationFailed(AssertionError):
    """A run of a seed has shown a flaw."""


class Simulation:
    """One run."""

    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        parts = parts or Parts()
        self.seed = seed
        self.faults_until_ns = FAULTS_UNTIL_NS
        self.random = Random(seed)
        self.now_ns = 0
        self.seen: Counter[str] = Counter()
        self.links: dict[ModelStream, Link] = {}
        self.is_hub_up = True
        self.hub_frozen_until_ns = 0
        self.wedged_until_ns: dict[ModelStream, int] = {}
        self.oracle = Oracle()
        self.hub = parts.hub(self.oracle, lambda: self.now_ns)
        # Few kinds at a time: all at once would hide what two do to each other.
        self.faults = self.random.sample(FAULTS, self.random.randint(2, 5))
        self._flush_ms = self.random.choice((20, 200, 2_000))
        self._work_ms = self.random.choice((5, 10, 200))
        self._steps: deque[tuple[int, tuple[Any, ...]]] = deque(maxlen=STEPS_SHOWN)
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()
        self._scheduled: set[ModelStream] = set()
        self.hosts = [
            Host(self, f"host-{number}", self._make_rings(parts, number))
            for number in range(self.random.randint(1, 2))
        ]

    def run(self) -> None:
        """Run to the end.

        Raises:
            SimulationFailed: something is not as it must be.
        """
        try:
            self._run()
        except Exception as error:
            steps = (line(at_ns, step) for at_ns, step in self._steps)
            text = "\n".join((f"seed {self.seed}: {error}", *steps))
            raise SimulationFailed(text) from error

    # -- for its parts -------------------------------------------------------

    def at(self, moment_ns: int, act: Callable[..., None], *arguments: Any) -> None:
        """Have something happen at a moment."""
        heapq.heappush(self._heap, (moment_ns, next(self._order), act, arguments))

    def after(self, delay_ns: int, act: Callable[..., None], *arguments: Any) -> None:
        """Have something happen after a while."""
        self.at(self.now_ns + delay_ns, act, *arguments)

    def note(self, what: str, *about: Any) -> None:
        """Remember a step, for the report."""
        self._steps.append((self.now_ns, (what, *about)))

    def connect(self) -> ModelStream:
        """Open a stream at the hub."""
        return self.hub.connect()

    def work(self, stream: ModelStream) -> None:
        """Have a stream work on what has come in."""
        if stream not in self._scheduled:
            self._scheduled.add(stream)
            delay_ms = self.random.randint(1, self._work_ms)
            self.after(delay_ms * MILLISECOND, self._work, stream)

    def pump(self) -> None:
        """Send what the streams of the hub have to say."""
        for stream in self.hub.streams:
            stream.settle()
            link = self.links.get(stream)
            for data in stream.outgoing():
                if link is not None:  # a rival has none
                    link.send_down(data)
        for stream in [s for s in self.hub.streams if s.stopped.is_set()]:
            self.seen[stream.ended_with] += 1
            self.hub.streams.remove(stream)
            link = self.links.get(stream)
            if link is not None:
                link.close_down()

    def kill_hub(self, down_ns: int) -> None:
        """Kill the hub, with all that it has not made durable."""
        self.is_hub_up = False
        self.hub_frozen_until_ns = 0
        for stream in self.hub.streams:
            stream.stopped.set()
            link = self.links.get(stream)
            if link is not None:
                link.close_down()
        self.hub.streams.clear()
        self.after(down_ns, self._start_hub)

    # -- what happens --------------------------------------------------------

    def _run(self) -> None:
        for host in self.hosts:
            self.after(self.random.randrange(300) * MILLISECOND, host.dial)
            self.after(0, host.step)
        self.after(0, self._flush)
        self.after(0, self._beat)
        self.after(0, self._emit)
        self.after(self.random.randrange(1, 900) * MILLISECOND, self._break)
        self._go_on(lambda: self.now_ns > FAULTS_UNTIL_NS + NOTICED_NS)
        self._go_on(self._is_settled)
        for host in self.hosts:  # a fresh event gets through
            for ring in host.collector.rings:
                ring.emitted += not ring.is_dead
        self._go_on(self._is_settled)
        self._check_end()

    def _go_on(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            for _ in range(20):
                self.now_ns, _, act, arguments = heapq.heappop(self._heap)
                act(*arguments)
            if self.now_ns > END_NS:
                raise Flaw("it does not come to rest")

    def _check_end(self) -> None:
        for host in self.hosts:
            for ring in host.collector.rings:
                position = self.hub.durable.get((host.name, ring.ring_id))
                self.oracle.check_end(ring, position)
                for outcome, events in ring.settled.totals.items():
                    self.seen[Outcome(outcome).name] += events
                self.seen["closed"] += ring.is_closed
        self.seen["redelivered"] += self.oracle.redelivered

    def _is_settled(self) -> bool:
        return all(host.collector.is_settled() for host in self.hosts)

    def _work(self, stream: ModelStream) -> None:
        self._scheduled.discard(stream)
        resumes_ns = max(self.hub_frozen_until_ns, self.wedged_until_ns.get(stream, 0))
        if self.now_ns < resumes_ns:
            self._scheduled.add(stream)
            self.at(resumes_ns, self._work, stream)
            return
        has_worked = stream.step()
        link = self.links.get(stream)
        if stream.error is not None and (link is None or not link.is_lossy):
            raise Flaw(f"the collector broke the protocol: {stream.error}")
        self.seen["discarded"] += stream.protocol.take_discarded()
        self.pump()
        if not stream.stopped.is_set() and (has_worked or stream.inbox):
            self.work(stream)

    def _flush(self) -> None:
        """Commit a group, at the hub's own pace."""
        delay_ms = self.random.randint(1, self._flush_ms)
        self.after(delay_ms * MILLISECOND, self._flush)
        is_working = self.is_hub_up and self.now_ns >= self.hub_frozen_until_ns
        if is_working and self.hub.has_news:
            self.hub.flush()
            self.pump()

    def _beat(self) -> None:
        self.after(250 * MILLISECOND, self._beat)
        if self.now_ns >= self.hub_frozen_until_ns:
            for stream in self.hub.streams:
                stream.protocol.tick(self.now_ns)
            self.pump()

    def _emit(self) -> None:
        if self.now_ns < FAULTS_UNTIL_NS:
            self.after(self.random.randrange(10, 80) * MILLISECOND, self._emit)
            host = self.random.choice(self.hosts)
            ring = self.random.choice(host.collector.rings)
            if not ring.is_dead:
                ring.emitted += self.random.choice((1, 3, 20))
                ring.is_dead = self.random.random() < 0.03

    def _break(self) -> None:
        if self.now_ns < FAULTS_UNTIL_NS:
            soon_ms = self.random.choice((40, 800))  # faults come in clusters
            self.after(self.random.randrange(1, soon_ms) * MILLISECOND, self._break)
            fault = self.random.choice(self.faults)
            self.seen[fault.__name__] += 1
            self.note("fault", fault.__name__)
            fault(self)
            self.pump()

    def _start_hub(self) -> None:
        if not self.is_hub_up:
            self.note("the hub starts")
            self.hub.start()
            self.is_hub_up = True

    def _make_rings(self, parts: Parts, host: int) -> list[ModelRing]:
        numbers = range(self.random.randint(1, 4))
        return [parts.ring(bytes([host, number]) + bytes(14)) for number in numbers]
