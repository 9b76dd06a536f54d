"""What happens to the costs as it grows: workers, names, fields, rings.

Workers share 10,000 events a second, so that only their number changes; each is
told with what a call of emit takes them, what the collector uses of a core then
and when they are silent, and what was delivered and dropped. Names, fields and
ring sizes are those of one worker that sends 10,000 events a second; of each ring
size it is told too what it keeps of a burst of 100,000.

Calls are timed in bursts between pauses, by the median of the bursts, so that the
caches are not as warm as in a tight loop: bursts of 10 for the workers, of 50 for
the rest, and of one call of each name where there are more names than that.
"""

import time
from pathlib import Path
from typing import Any

import processes
import scene
from line import running_line
from measure import report, size, spread
from rivals.cases import CASES, Case

_STEADY = str(Path(__file__).with_name("steady.py"))
RATE = 10_000
SECONDS = size(2, 1)
ROUNDS = size(2, 1)
BURST = size(100_000, 3_000)
_UNTIL_IDLE_S = size(5, 1)
WORKERS = (1, 4, 16, 64, 256)
NAMES = (1, 10, 100, 1000)
FIELDS = (0, 1, 4, 16, 64)
RINGS = ("64KiB", "256KiB", "1MiB", "4MiB", "16MiB", "64MiB")


def _run(
    *options: str, workers: int = 1, is_idle_wanted: bool = False, **variables: str
) -> dict[str, Any]:
    """Run workers on a fresh line."""
    command = [*("--workers", str(workers), "--rate", str(RATE / workers))]
    command += ["--seconds", str(SECONDS), *options]
    with (
        running_line() as line,
        processes.running(_STEADY, *command, **line.variables(**variables)) as parent,
    ):
        processes.hear(parent)
        idle = _share(line, _UNTIL_IDLE_S) if is_idle_wanted else None
        before, began = line.cpu_ns(), time.monotonic()
        result = processes.ask(parent)
        seconds = time.monotonic() - began
        after = line.cpu_ns()
        expected = result["committed"] + result["warm_up"]
        processes.wait_for(lambda: line.count() == expected, "not all has arrived")
    spent = after[0] - before[0]
    return {
        "emit_ns": result["emit_ns"],
        "collector_percent": spent / 1e7 / seconds,
        "collector_ns_per_event": spent / max(1, result["committed"]),
        "idle_percent": idle,
        "delivered": result["committed"],
        "dropped": result["dropped"],
    }


def _share(line: Any, seconds: float) -> float:
    """Return what the collector uses once it has nothing to do, in percent."""
    time.sleep(seconds)
    before = line.cpu_ns()
    time.sleep(SECONDS)
    return (line.cpu_ns()[0] - before[0]) / 1e7 / SECONDS


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    digits = {"emit_ns": 1, "collector_percent": 2, "collector_ns_per_event": 0}
    found: dict[str, Any] = {
        name: spread([run[name] for run in runs], digit)
        for name, digit in digits.items()
    }
    for name in ("delivered", "dropped"):
        found[name] = sum(run[name] for run in runs)
    if runs[0]["idle_percent"] is not None:
        found["idle_percent"] = spread([run["idle_percent"] for run in runs], 3)
    return found


def _plan() -> dict[tuple[str, str], Any]:
    """Return each point of each axis, and how to measure it."""
    plan: dict[tuple[str, str], Any] = {}
    for workers in WORKERS:
        settings = {"workers": workers, "is_idle_wanted": True}
        plan["workers", str(workers)] = ("--burst", "10"), settings
    for names in NAMES:
        plan["names", str(names)] = ("--names", str(names)), {}
    for fields in FIELDS:
        plan["fields", str(fields)] = ("--fields", str(fields)), {}
    for ring in RINGS:
        plan["ring", ring] = (), {"SHMTEL_RING_SIZE": ring}
    return plan


def _kept_of_bursts() -> dict[str, list[int]]:
    """Return what each ring size keeps of a burst, in rounds."""
    kept: dict[str, list[int]] = {ring: [] for ring in RINGS}
    for _ in range(ROUNDS):
        for ring in RINGS:
            environment = {"SHMTEL_ENABLED": "1", "SHMTEL_RING_SIZE": ring}
            CASES["shmtel"] = Case(
                ring, "shmtel_line", "open_emit", True, True, environment=environment
            )
            kept[ring].append(scene.measure("shmtel", "burst", BURST)["kept"])
    return kept


def main() -> None:
    """Measure, and print the JSON."""
    plan = _plan()
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {point: [] for point in plan}
    for _ in range(ROUNDS):
        for point, (options, settings) in plan.items():
            runs[point].append(_run(*options, **settings))
    axes: dict[str, dict[str, Any]] = {}
    for (axis, point), found in runs.items():
        axes.setdefault(axis, {})[point] = _summary(found)
    for ring, kept in _kept_of_bursts().items():
        axes["ring"][ring]["kept_of_burst"] = spread(kept, 0)
    facts = {"rate": RATE, "seconds": SECONDS, "rounds": ROUNDS, "burst": BURST}
    report([], {**facts, "axes": axes})


if __name__ == "__main__":
    main()
