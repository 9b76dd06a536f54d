"""What an event costs the process that sends it: shmtel beside what others use.

Each case runs in fresh processes, and the rounds of all cases are interleaved.
After a warm-up that is the same for all, the producer sends a burst of 100,000
events as fast as it can: the time of a call, the CPU time of the calling thread,
the CPU time of the whole process until it has no more to do for the events, and
how many of them were kept. All costs are per event that was sent.

A burst is more than most queues hold, and what drops costs little; so nothing is
compared without what was kept. What delivery costs is bench_delivery.py's matter.
"""

from collections.abc import Sequence
from typing import Any

from measure import report, size, spread
from rivals.cases import CASES
from scene import measure

EVENTS = size(100_000, 3_000)
ROUNDS = size(4, 1)
_LEFT_OUT = {"shmtel_filtered", "shmtel_sampled", "shmtel_8"}
_BASE = "shmtel"
COSTS = ("wall_ns", "caller_cpu_ns", "process_cpu_ns")


def _summary(name: str, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    costs = {
        cost: spread([run["producers"][0][cost] for run in runs]) for cost in COSTS
    }
    kept = spread([run["kept"] for run in runs], 0)
    case = CASES[name]
    return {"title": case.title, "fate": case.fate, "kept": kept, **costs}


def main() -> None:
    """Measure, and print the JSON."""
    names = [name for name in CASES if name not in _LEFT_OUT]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            runs[name].append(measure(name, "burst", EVENTS))
    cases = {name: _summary(name, runs[name]) for name in names}
    for case in cases.values():
        case["times_shmtel"] = {
            cost: round(case[cost]["median"] / cases[_BASE][cost]["median"], 2)
            for cost in COSTS
        }
    report([], {"events": EVENTS, "rounds": ROUNDS, "cases": cases})


if __name__ == "__main__":
    main()
