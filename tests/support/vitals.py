"""What processes hold while they run, sampled each second, and whether it grows.

Flat is judged over the second half of a run, when caches and tables are warm: the
straight line through the samples may rise no more than a bound from its begin to
its end. So what fluctuates does not count, and what leaks does: the longer the run,
the slower a leak can be and still be found.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import linear_regression
from types import TracebackType

import psutil

PERIOD_S = 1.0
# Rings come and go: a collector holds three descriptors of each, and allocators
# give memory back in steps of some hundred KiB.
RISE_MAX = {
    "descriptors": 12.0,
    "threads": 3.0,
    "memory_kib": 6144.0,
    "segments": 4.0,
}
Vitals = Mapping[str, float]


def vitals_of(pid: int) -> Vitals:
    """Return what a process holds now."""
    process = psutil.Process(pid)
    return {
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "memory_kib": process.memory_info().rss / 1024,
    }


@dataclass
class Samples:
    """Samples of one subject: a process, or the namespace."""

    times_s: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, now_s: float, vitals: Vitals) -> None:
        """Add one sample."""
        self.times_s.append(now_s)
        for kind, value in vitals.items():
            self.values.setdefault(kind, []).append(value)

    def rises(self) -> dict[str, float]:
        """Return by how much each kind rises over the second half."""
        half = len(self.times_s) // 2
        times_s = self.times_s[half:]
        return {
            kind: linear_regression(times_s, values[half:]).slope
            * (times_s[-1] - times_s[0])
            for kind, values in self.values.items()
        }

    def summary(self) -> dict[str, dict[str, float]]:
        """Return first, middle and last value of each kind, its peak and its rise."""
        rises = self.rises()
        return {
            kind: {
                "first": round(values[0], 1),
                "middle": round(values[len(values) // 2], 1),
                "last": round(values[-1], 1),
                "peak": round(max(values), 1),
                "rise": round(rises[kind], 2),
            }
            for kind, values in self.values.items()
        }


class Watch:
    """Samples subjects each second, in a thread of its own, while it is open."""

    def __init__(self, subjects: Mapping[str, Callable[[], Vitals]]) -> None:
        self.samples = {name: Samples() for name in subjects}
        self._subjects = subjects
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def check_flat(
        self, allowed: Mapping[tuple[str, str], float] | None = None
    ) -> None:
        """See that nothing rises by more than its bound.

        Args:
            allowed: what may come on top, by subject and kind.

        Raises:
            AssertionError: something does; the text says what, and by how much.
        """
        rising = {
            (name, kind): round(rise, 2)
            for name, samples in self.samples.items()
            for kind, rise in samples.rises().items()
            if rise > RISE_MAX[kind] + (allowed or {}).get((name, kind), 0.0)
        }
        assert not rising, f"not flat: {rising}; all: {self.summary()}"

    def summary(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return the summary of each subject."""
        return {name: samples.summary() for name, samples in self.samples.items()}

    def _run(self) -> None:
        while not self._is_over.wait(PERIOD_S):
            now_s = time.monotonic()
            for name, subject in self._subjects.items():
                self.samples[name].add(now_s, subject())


def length_from_environment(default_s: int, default_rate: int) -> tuple[int, int]:
    """Return seconds and events per second of a run: of its make target, or short."""
    variables = os.environ
    return (
        int(variables.get("SOAK_SECONDS", default_s)),
        int(variables.get("SOAK_RATE", default_rate)),
    )
