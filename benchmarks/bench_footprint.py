"""What shmtel costs a host that is not busy with it: workers, starts, ends, idling.

- a worker that emits 10,000 events a second, against one that keeps the same
  pace and emits nothing;
- `import shmtel`, against the start of a bare interpreter; the import itself
  opens nothing, which is checked;
- the end of a worker that has emitted, with no collector and no hub on the host,
  against one without shmtel: from its last statement until its parent knows;
- a collector with 64 rings that nobody writes to;
- the way from emit to a batch handler at 10,000 events a second of 4 workers, and
  what collector and hub use for that together.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

import processes
from line import Line, running_line
from measure import report, row, size, spread
from scene import remove_rings

_STEADY = str(Path(__file__).with_name("steady.py"))
SECONDS = size(5, 2)
ROUNDS = size(3, 1)
STARTS = size(40, 3)
RATE = 10_000
IDLE_RINGS = 64
IDLE_S = size(10, 1)
_UNTIL_IDLE_S = size(8, 1)  # the collector looks more seldom after some seconds

_OPENS = """
import os, threading
before = sorted(os.listdir("/proc/self/fd")), sorted(os.listdir("/dev/shm"))
import shmtel
after = sorted(os.listdir("/proc/self/fd")), sorted(os.listdir("/dev/shm"))
assert before[0] == after[0], after
assert threading.active_count() == 1
assert not any("BENCH_NAME" in name for name in after[1])
"""
_ENDS = "import os, time; os.write(1, b'%d' % time.monotonic_ns())"
_EMITS = "import shmtel; shmtel.emit('tool.execution.stop', {'duration': 1});"


def _steady(
    line: Line, *options: str, workers: int = 1, settle_s: float = 0.0
) -> dict[str, Any]:
    """Run workers on a line; return what they found, with the CPU of the line.

    Args:
        settle_s: when this has passed, the hub is asked, and its answer kept.
    """
    rate = str(RATE / workers)
    command = "--workers", str(workers), "--rate", rate, "--seconds", str(SECONDS)
    with processes.running(_STEADY, *command, *options, **line.variables()) as parent:
        processes.hear(parent)
        processes.tell(parent)
        time.sleep(settle_s)
        settled = line.count()
        before, began = line.cpu_ns(), time.monotonic()
        result: dict[str, Any] = processes.hear(parent)
        seconds = time.monotonic() - began
        after = line.cpu_ns()
    shares = [(b - a) / 1e9 / seconds for a, b in zip(before, after, strict=True)]
    line_shares = {"collector_share": shares[0], "hub_share": shares[1]}
    return {**result, **line_shares, "settled": settled}


def _worker_cpu() -> dict[str, Any]:
    """Return the share of a core of a worker, emitting and silent, in rounds."""
    emitting, silent = [], []
    with running_line() as line:
        for _ in range(ROUNDS):
            emitting.append(_steady(line))
            silent.append(_steady(line, "--silent"))
    assert all(run["dropped"] == 0 for run in emitting), emitting
    shares = [100 * run["cpu_share"] for run in emitting]
    paces = [100 * run["cpu_share"] for run in silent]
    return {
        "with_emit_percent": spread(shares, 3),
        "pace_alone_percent": spread(paces, 3),
        "emit_ns": spread([run["emit_ns"] for run in emitting]),
    }


def _time_of(code: str, **variables: str) -> float:
    bare = {k: v for k, v in os.environ.items() if not k.startswith("SHMTEL_")}
    begin = time.perf_counter_ns()
    subprocess.run(
        [sys.executable, "-P", "-c", code], env={**bare, **variables}, check=True
    )
    return (time.perf_counter_ns() - begin) / 1e6


def _exit_ms(code: str, **variables: str) -> float:
    """Return the time from the program's last statement until its end is known."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("SHMTEL_")}
    command = [sys.executable, "-P", "-c", code + _ENDS]
    process = subprocess.Popen(
        command, env={**bare, **variables}, stdout=subprocess.PIPE
    )
    assert process.wait() == 0
    ended = time.monotonic_ns()
    assert process.stdout is not None
    with process.stdout as output:
        return (ended - int(output.read())) / 1e6


def _starts_and_ends() -> dict[str, Any]:
    """Return the times of starts and ends, in interleaved rounds."""
    namespace = f"bench-{os.getpid()}-starts"
    worker = {"SHMTEL_ENABLED": "1", "SHMTEL_NAMESPACE": namespace}
    _time_of(_OPENS.replace("BENCH_NAME", namespace), **worker)
    times: dict[str, list[float]] = {}
    try:
        for _ in range(STARTS):
            for name, value in (
                ("start_bare_ms", _time_of("pass")),
                ("start_import_ms", _time_of("import shmtel")),
                ("start_import_enabled_ms", _time_of("import shmtel", **worker)),
                ("exit_bare_ms", _exit_ms("")),
                ("exit_after_emit_ms", _exit_ms(_EMITS, **worker)),
            ):
                times.setdefault(name, []).append(value)
    finally:
        remove_rings(namespace)
    return {name: spread(values, 2) for name, values in times.items()}


def _idle() -> dict[str, Any]:
    """Return the share of a core of a collector that has nothing to do."""
    workers = "--workers", str(IDLE_RINGS), "--rate", "1", "--seconds", "0"
    with (
        running_line() as line,
        processes.running(_STEADY, *workers, **line.variables()) as parent,
    ):
        processes.hear(parent)
        processes.wait_for(lambda: line.count() == IDLE_RINGS, "not all have come")
        time.sleep(_UNTIL_IDLE_S)
        before = line.cpu_ns()
        time.sleep(IDLE_S)
        after = line.cpu_ns()
    shares = [(b - a) / 1e7 / IDLE_S for a, b in zip(before, after, strict=True)]
    return {
        "collector_percent": round(shares[0], 3),
        "hub_percent": round(shares[1], 3),
    }


def _hub(directory: str) -> None:
    """Be a hub that notes how old each event is, and tells quantiles."""
    from rivals.shmtel_line import run_line
    from sink import answer

    ages: list[int] = []

    def note(batch: Any, config: object) -> None:
        now = time.time_ns()
        ages.extend([now - record.timestamp_ns for record in batch.records])

    def tell() -> list[float]:
        taken = sorted(ages)
        ages.clear()
        return [len(taken), *quantiles(taken, n=100)] if len(taken) > 1 else []

    answer(run_line(directory, note, tell))


def _latency() -> dict[str, Any]:
    """Return the quantiles of the age of an event when its handler sees it.

    The first second of a round does not count: the collector looks seldom while
    nothing comes, and it takes a look until it knows better.
    """
    runs = []
    with running_line(__file__, "--hub") as line:
        for _ in range(ROUNDS):
            line.count()  # forget what came before
            run = _steady(line, "--burst", "10", workers=4, settle_s=1.0)
            expected = run["committed"] + run["warm_up"] - run["settled"][0]
            time.sleep(1)
            count, *run["percentiles"] = line.count()
            assert count == expected, (count, run)
            runs.append(run)
    both = [100 * (run["collector_share"] + run["hub_share"]) for run in runs]
    return {
        "p50_ms": spread([run["percentiles"][49] / 1e6 for run in runs], 2),
        "p99_ms": spread([run["percentiles"][98] / 1e6 for run in runs], 2),
        "collector_and_hub_percent": spread(both, 2),
        "collector_percent": spread([100 * run["collector_share"] for run in runs], 2),
    }


def main() -> None:
    """Measure, and print the JSON."""
    if sys.argv[1:2] == ["--hub"]:
        return _hub(sys.argv[2])
    worker, starts, idle, latency = (
        _worker_cpu(),
        _starts_and_ends(),
        _idle(),
        _latency(),
    )
    emit = (
        worker["with_emit_percent"]["median"] - worker["pace_alone_percent"]["median"]
    )
    imported = starts["start_import_ms"]["median"] - starts["start_bare_ms"]["median"]
    later = starts["exit_after_emit_ms"]["median"] - starts["exit_bare_ms"]["median"]
    rows = [
        row("worker at 10,000 events/s", emit, 0.5, "% of a core"),
        row("import shmtel, over a bare start", imported, 10, "ms"),
        row("exit after emit, no collector, no hub", later, 5, "ms later"),
        row(f"collector, idle, {IDLE_RINGS} rings", idle["collector_percent"], 0.5,
            "% of a core"),
        row("emit to handler at 10,000 events/s, p50", latency["p50_ms"]["median"], 5,
            "ms"),
        row("emit to handler at 10,000 events/s, p99", latency["p99_ms"]["median"], 10,
            "ms"),
        row("collector at 10,000 events/s", latency["collector_percent"]["median"], 12,
            "% of a core"),
        row("collector and hub at 10,000 events/s",
            latency["collector_and_hub_percent"]["median"], None, "% of a core"),
    ]  # fmt: skip
    return report(
        rows, {"worker": worker, "starts": starts, "idle": idle, "latency": latency}
    )


if __name__ == "__main__":
    main()
