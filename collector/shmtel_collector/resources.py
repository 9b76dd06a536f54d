"""What workers take of their host, as events of the collector.

    python.memory.sampled   rss, vms, shared, uss, pss, swap
    python.cpu.sampled      user, system, percent, threads, descriptors,
                            context_switches_voluntary and _involuntary

Each worker has its turn once in an interval, an eighth of them at a time: many at once
would delay events, and each for itself would have an idle collector send all the
time. They are read in a thread, because some files of /proc take the kernel long, and
told when the loop comes by. One that hangs is not waited for: turns that come
meanwhile are counted as late.

A worker is looked at only if the kernel itself has named its process, as the holder
of the ring's lock, and that process was pinned (shmtel/liveness.py). Of others, those
in another pid namespace for instance, nothing is said; they are counted.
"""

import math
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future

from shmtel import daemon_threads
from shmtel_collector.journal import Journal
from shmtel_collector.lifeline import Lifeline
from shmtel_collector.measurements import CPU, MEMORY, ResourceSettings
from shmtel_collector.process_sample import FAILED, Sample, Sampler, Target
from shmtel_collector.subjects import subject_of

MEMORY_SAMPLED = "python.memory.sampled"
CPU_SAMPLED = "python.cpu.sampled"
NAMESPACE = "namespace"
LATE = "late"
SLICES = 8  # of an interval
LEAST_SLICE_NS = 1_000_000_000


class Resources:
    """Has the workers sampled, and tells it.

    Attributes:
        unavailable: how often a worker, or a part of it, could not be looked at.
    """

    def __init__(self, settings: ResourceSettings, journal: Journal) -> None:
        self.unavailable: Counter[str] = Counter()
        self._settings = settings
        self._slice_ns = max(settings.interval_ns // SLICES, LEAST_SLICE_NS)
        self._journal = journal
        self._sampler: Sampler | None = None
        self._running: Future[list[Sample]] | None = None
        self._turns: dict[bytes, Lifeline] = {}  # in the order of their turns
        self._due = 0.0
        self._last_ns: int | None = None  # when the last ones had their turn
        self._before: dict[bytes, tuple[int, int]] = {}  # time on a core, and when

    def tick(self, now_ns: int, lifelines: Iterable[Lifeline]) -> None:
        """Tell what has been read, and have read what is due; monotonic clock."""
        if not self._settings.interval_ns:
            return
        if self._running is not None and self._running.done():
            done, self._running = self._running, None
            for sample in done.result():
                self._tell(sample)
        if self._last_ns is None:
            self._last_ns = now_ns
        passed_ns = now_ns - self._last_ns
        if passed_ns < self._slice_ns:
            return
        self._last_ns = now_ns
        self._queue_up(lifelines)
        due = self._due_now(passed_ns / self._settings.interval_ns)
        if self._running is None:
            self._start(due)
        else:
            self.unavailable[LATE] += due

    def _queue_up(self, lifelines: Iterable[Lifeline]) -> None:
        """Let those that have come join the queue, and those that have gone leave."""
        present = {
            lifeline.process: lifeline
            for lifeline in lifelines
            if lifeline.ring.end is None and not lifeline.ring.is_own
        }
        waiting = {p: present.pop(p) for p in self._turns if p in present}
        self._turns = waiting | present
        self._before = {p: at for p, at in self._before.items() if p in self._turns}

    def _due_now(self, share: float) -> int:
        self._due += len(self._turns) * share
        count = min(math.floor(self._due), len(self._turns))
        self._due %= 1  # what was missed is not made up for
        return count

    def _start(self, count: int) -> None:
        targets = []
        for process in list(self._turns)[:count]:
            lifeline = self._turns[process] = self._turns.pop(process)
            if (target := _target_of(lifeline)) is not None:
                targets.append(target)
            else:
                self.unavailable[NAMESPACE] += 1
        if targets:
            self._submit(targets)

    def _submit(self, targets: list[Target]) -> None:
        try:
            self._running = daemon_threads.start(
                lambda: self._sample(targets), "shmtel-resources"
            )
        except RuntimeError:  # the host has no room for one more thread
            self.unavailable[FAILED] += len(targets)

    def _sample(self, targets: list[Target]) -> list[Sample]:
        if self._sampler is None:
            self._sampler = Sampler(self._settings.measurements)
        return self._sampler.sample(targets)

    def _tell(self, sample: Sample) -> None:
        if sample.unavailable:
            self.unavailable[sample.unavailable] += 1
        lifeline = self._turns.get(sample.target.process)
        if lifeline is None:  # it has ended meanwhile
            return
        ring = lifeline.ring
        metadata = subject_of(ring.worker, ring.ring_id)
        memory = {name: n for name, n in sample.values.items() if name in MEMORY}
        if memory:
            self._journal.record(MEMORY_SAMPLED, memory, metadata)
        if cpu := self._cpu(sample):
            self._journal.record(CPU_SAMPLED, cpu, metadata)

    def _cpu(self, sample: Sample) -> dict[str, int | float]:
        values = sample.values
        cpu: dict[str, int | float] = {
            name: n
            for name, n in values.items()
            if name not in MEMORY and (name not in CPU or self._is_wanted(name))
        }
        if self._is_wanted("percent") and "user" in values:
            percent = self._percent(sample)
            cpu |= {} if percent is None else {"percent": percent}
        return cpu

    def _percent(self, sample: Sample) -> float | None:
        """Return the share of one core since the last sample; None: it is the first."""
        process, taken_ns = sample.target.process, sample.taken_ns
        used_ns = sample.values["user"] + sample.values["system"]
        before = self._before.get(process)
        self._before[process] = used_ns, taken_ns
        if before is None or taken_ns <= before[1]:
            return None
        return round(100 * (used_ns - before[0]) / (taken_ns - before[1]), 2)

    def _is_wanted(self, name: str) -> bool:
        return name in self._settings.measurements


def _target_of(lifeline: Lifeline) -> Target | None:
    """Return the process that the kernel has named; None: it has not, or we cannot."""
    pid = lifeline.pid
    if pid is None:
        return None
    identity = lifeline.ring.source.identity
    return Target(lifeline.process, pid, identity["start_time"], identity["uid"])
