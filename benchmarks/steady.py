"""Workers at a steady rate: a parent forks them, and tells what emitting cost.

Each emits small bursts at a phase of its own, and times its bursts and its own CPU.
What it emits is chosen by the number of names and of metadata fields. A worker
that emits nothing keeps the same pace, for the difference.

It prints a line when all are there, begins with the next line of its input, and
prints one object: medians over the workers, and sums of their counts.
"""

import argparse
import json
import os
import random
import sys
import time
from statistics import median
from typing import Any

from measure import CORRELATION_ID, EVENT, MEASUREMENTS, METADATA


def _calls(names: int, fields: int) -> list[tuple[Any, ...]]:
    """Return the arguments of the calls, one for each name."""
    metadata = {f"field_{number:02}": "value of 16 char" for number in range(fields)}
    events = [EVENT] if names == 1 else [f"tool.{n:04}.stop" for n in range(names)]
    chosen = (METADATA if fields < 0 else metadata), CORRELATION_ID
    measurements = MEASUREMENTS if fields else {}
    return [(event, measurements, *chosen) for event in events]


def _emit(options: argparse.Namespace) -> dict[str, Any]:
    """Emit for the given time."""
    from shmtel import emit, stats

    calls = _calls(options.names, options.fields)
    for call in calls:
        emit(*call)
    loops = calls * (options.burst // len(calls) + 1)
    loops = loops[: options.burst] if len(calls) < options.burst else calls
    interval = len(loops) / options.rate if options.rate else 0.0
    os.write(options.ready, b"1")
    os.read(options.go, 1)
    before, cpu, bursts = stats(), time.process_time_ns(), []
    deadline = time.monotonic() + options.seconds
    following = time.monotonic() + random.random() * interval
    while (following := following + interval) < deadline:
        time.sleep(max(0.0, following - time.monotonic()))
        begin = time.perf_counter_ns()
        if not options.silent:
            for call in loops:
                emit(*call)
        bursts.append((time.perf_counter_ns() - begin) / len(loops))
    cpu, after = time.process_time_ns() - cpu, stats()
    dropped = sum(after["dropped"].values()) - sum(before["dropped"].values())
    return {
        "emitted": after["emitted"] - before["emitted"],
        "warm_up": before["committed"],
        "committed": after["committed"] - before["committed"],
        "dropped": dropped,
        "emit_ns": median(bursts or [0.0]),
        "cpu_share": cpu / 1e9 / max(options.seconds, 0.001),
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rate", type=float, required=True, help="of each worker")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--burst", type=int, default=50)
    parser.add_argument("--names", type=int, default=1)
    parser.add_argument("--fields", type=int, default=-1, help="-1: the standard event")
    parser.add_argument("--silent", action="store_true", help="emit nothing")
    return parser.parse_args()


def _fork(options: argparse.Namespace, results: int) -> None:
    """Start a worker that writes its result, and lives on until it is killed."""
    if os.fork():
        return
    try:
        os.write(results, json.dumps(_emit(options)).encode() + b"\n")
        os.read(options.stay, 1)
    finally:
        os._exit(0)


def main() -> None:
    """Run the workers once."""
    options = _parse()
    ready, options.ready = os.pipe()
    options.go, go = os.pipe()
    options.stay, stay = os.pipe()
    results, write_results = os.pipe()
    for _ in range(options.workers):
        _fork(options, write_results)
    os.close(write_results)  # so that the end of all workers is the end of the lines
    waiting = options.workers
    while waiting:
        waiting -= len(os.read(ready, waiting))
    print("true", flush=True)
    sys.stdin.readline()
    os.write(go, b"1" * options.workers)
    with open(results) as lines:
        found = [json.loads(lines.readline()) for _ in range(options.workers)]
    sums = ("emitted", "warm_up", "committed", "dropped")
    result = {name: sum(worker[name] for worker in found) for name in sums}
    for name in ("emit_ns", "cpu_share"):
        result[name] = median(worker[name] for worker in found)
    print(json.dumps(result), flush=True)
    sys.stdin.read()
    os.write(stay, b"1" * options.workers)


if __name__ == "__main__":
    main()
