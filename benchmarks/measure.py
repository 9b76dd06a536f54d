"""What every benchmark shares: the event, rounds, and facts about the machine.

A benchmark measures its scenarios in interleaved rounds, so that whatever else
the machine does hits all of them alike, and compares medians of the rounds as
ratios. Times are ns per operation.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter_ns
from typing import Any

EVENT = "tool.execution.stop"
MEASUREMENTS = {"duration": 1234567, "bytes": 5000}
METADATA = {"tool": "predict", "model": "gpt-4", "worker": "worker_1"}
CORRELATION_ID = "abcdef0123456789"

ROOT = Path(__file__).resolve().parent.parent
SMOKE = "BENCH_SMOKE" in os.environ  # the least of everything, to see that it runs
_LOAD_BEFORE = os.getloadavg()[0]


def size(full: int, smoke: int) -> int:
    """Return how much to do."""
    return smoke if SMOKE else full


def machine() -> dict[str, Any]:
    """Return what a reader needs to judge the numbers."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": round(_LOAD_BEFORE, 2),
        "commit": _commit(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "CPU part")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """Return the commit that is measured; what results were stored changes nothing."""
    commit = _git("rev-parse", "--short=12", "HEAD") or "unknown"
    results = ":!benchmarks/results", ":!benchmarks/README.md"
    is_clean = not _git("status", "--porcelain", "--", ".", *results)
    return commit if is_clean else f"{commit}-dirty"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def interleave(
    scenarios: Mapping[str, Callable[[int], None]],
    *,
    rounds: int,
    operations: int,
    between: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Time each scenario in turn, `rounds` times; ns per operation of each round.

    Args:
        scenarios: name to a function that does the given number of operations.
        between: runs untimed before each measurement.
    """
    times: dict[str, list[float]] = {name: [] for name in scenarios}
    for _ in range(rounds):
        for name, scenario in scenarios.items():
            between()
            start = perf_counter_ns()
            scenario(operations)
            times[name].append((perf_counter_ns() - start) / operations)
    return times


def summary(times: list[float]) -> dict[str, float]:
    """Return median, best and quartiles of the rounds, in ns."""
    low, _, high = quantiles(times, n=4)
    return {
        "median_ns": round(median(times), 1),
        "best_ns": round(min(times), 1),
        "quartile_1_ns": round(low, 1),
        "quartile_3_ns": round(high, 1),
    }


def spread(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Return the median of a few rounds, and the least and the greatest."""
    return {
        "median": round(median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def row(
    name: str, value: float, bar: float | None, unit: str, **more: Any
) -> dict[str, Any]:
    """Return one line of the table: a value and its bar, lower is better.

    A row whose bar is a minimum passes `at_least=True`; one without a bar holds.
    """
    at_least = bool(more.pop("at_least", False))
    holds = bar is None or (value >= bar if at_least else value <= bar)
    return {
        "row": name,
        "value": round(value, 3),
        "bar": bar,
        "unit": unit,
        "holds": holds,
        **more,
    }


def report(rows: list[dict[str, Any]], details: Mapping[str, Any]) -> None:
    """Print a benchmark's result as one JSON object."""
    json.dump({"rows": rows, "details": details, "machine": machine()}, sys.stdout)
    sys.stdout.write("\n")
