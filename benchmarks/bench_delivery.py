"""How much arrives: events per second by number of workers, and what each costs.

Each worker sends as fast as its way takes events, and waits where it can see that
it would lose some; those that cannot tell (DogStatsD) send on and drop. A rate is
what arrived at the other process, over the time from the start until the last
arrived. The cost is the CPU time of the producing processes, their pacing and
what they do in the background included, for each event that arrived.

Nothing is pinned, and everything shares the cores: workers, receivers, and for
shmtel its collector and a hub that hands decoded batches to a handler, or each
event to one, or keeps the default metrics. The bars are of one worker and the batch
handler; with four workers, where a rival has both cores to itself and shmtel shares
them with its collector and hub, the ratio stands without one.
"""

from collections.abc import Sequence
from typing import Any

from measure import report, row, size, spread
from rivals.cases import CASES
from scene import measure

SECONDS = size(2, 1)
ROUNDS = size(3, 1)
WORKERS = (1, 2, 4, 8)
ALONE = ("dogstatsd_unix", "dogstatsd_unix_buffered", "dogstatsd_udp")
_LINES = {  # by case, what the hub does with an event
    "shmtel_8": "batch handler",
    "shmtel_8_events": "event handler",
    "shmtel_8_metrics": "default metrics",
}
SCALED = (*_LINES, "mp_queue", "otel_log_otlp", "otel_span_otlp", "grpc_stream")
_BARS = {"otel_span_otlp": 40, "grpc_stream": 40}
_BAR_WORKERS = {1: True, 4: False}  # whether the bar is of this many


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    producer_cpu, sink_cpu = [], []
    for run in runs:
        producers = sum(producer["process_cpu_ns"] for producer in run["producers"])
        producer_cpu.append(producers / max(1, run["kept"]))
        sink_cpu.append(run["sink_cpu_ns"] / max(1, run["kept"]))
    dropped = [100 * run["dropped"] / run["emitted"] for run in runs]
    return {
        "events_per_s": spread([run["kept"] / run["seconds"] for run in runs], 0),
        "producer_cpu_ns": spread(producer_cpu),
        "sink_cpu_ns": spread(sink_cpu),
        "dropped_percent": spread(dropped, 2),
    }


def main() -> None:
    """Measure, and print the JSON."""
    plan = [(name, workers) for workers in WORKERS for name in SCALED]
    plan += [(name, 1) for name in ALONE]
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {step: [] for step in plan}
    for _ in range(ROUNDS):
        for name, workers in plan:
            run = measure(name, "sustained", SECONDS, workers)
            assert name not in _LINES or run["dropped"] == 0, f"the run is void: {run}"
            runs[name, workers].append(run)
    cases: dict[str, dict[str, Any]] = {}
    for (name, workers), found in runs.items():
        case = cases.setdefault(name, {"title": CASES[name].title, "workers": {}})
        case["workers"][str(workers)] = _summary(found)
    facts = {"seconds": SECONDS, "rounds": ROUNDS, "cases": cases}
    report(_rows(cases), facts)


def _rows(cases: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    def rate(name: str, workers: int) -> float:
        summary = cases[name]["workers"][str(workers)]
        return float(summary["events_per_s"]["median"])

    return [
        row(
            f"delivered, {does}, {workers} worker(s): {cases[name]['title']}",
            rate(line, workers) / rate(name, workers),
            bar if has_bar and line == "shmtel_8" else None,
            "x, by shmtel",
            at_least=True,
        )
        for line, does in _LINES.items()
        for name, bar in _BARS.items()
        for workers, has_bar in _BAR_WORKERS.items()
    ]


if __name__ == "__main__":
    main()
