"""How long a single call takes, as the application sees it: quantiles by case.

One thread sends 10,000 events a second, 50 at a time and then a pause, so that
caches are as cold and threads as sleepy as they are in an application. Each call
is timed by itself. The two readings of the clock are in every value; what they
take around a C function that does nothing is stated beside them.
"""

from statistics import median
from typing import Any

from measure import report, size
from producer import SHARES
from rivals.cases import CASES
from scene import measure

CALLS = size(10_000, 500)
ROUNDS = size(3, 1)
NAMES = (
    "shmtel_off",
    "shmtel_filtered",
    "shmtel_sampled",
    "shmtel_1",
    "mp_queue",
    "dogstatsd_unix_buffered",
    "prometheus",
    "structlog_json",
    "logging_queue",
    "dogstatsd_unix",
    "otel_log_otlp",
    "grpc_stream",
    "otel_span_otlp",
)
_TITLES = {"shmtel_1": "shmtel, recorded"}
POINTS = {"p50_ns": 0.5, "p90_ns": 0.9, "p99_ns": 0.99, "p999_ns": 0.999}


def _summary(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of the rounds for each quantile."""
    rounds = [run["producers"][0]["quantiles_ns"] for run in runs]
    quantiles = [median(values) for values in zip(*rounds, strict=True)]
    points = {
        point: next(q for s, q in zip(SHARES, quantiles, strict=True) if s >= share)
        for point, share in POINTS.items()
    }
    return {
        "title": _TITLES.get(name, CASES[name].title),
        **points,
        "dropped": [run["dropped"] for run in runs],
        "quantiles_ns": quantiles,
    }


def main() -> None:
    """Measure, and print the JSON."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    for _ in range(ROUNDS):
        for name in NAMES:
            runs[name].append(measure(name, "latencies", CALLS))
    timers = [r["producers"][0]["timer_ns"] for found in runs.values() for r in found]
    facts = {
        "calls": CALLS,
        "rounds": ROUNDS,
        "timer_ns": median(timers),
        "shares": SHARES,
        "cases": {name: _summary(name, found) for name, found in runs.items()},
    }
    report([], facts)


if __name__ == "__main__":
    main()
