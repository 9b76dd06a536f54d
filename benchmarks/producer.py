"""The producing process of a case: it warms up, waits for a line, and measures.

It prints two JSON objects: what was kept of the warm-up, where that is known
here, and after the measurement what was found. There are three of them:
a burst, latencies of single calls at a steady rate, and as much as is delivered.

The warm-up is the same for all: 2,000 events in portions that every queue holds.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import repeat
from typing import Any

from rivals import Sender
from rivals.cases import CASES

WARM_UP = 2_000
_PORTION = 500
_CHECK = 100  # events between two looks at the backlog
_BURST, _INTERVAL_S = 50, 0.005  # together 10,000 events/s
# Evenly spaced quantiles, and finer ones towards the end.
SHARES = [round(number / 400, 6) for number in range(398)]
SHARES += [round(1 - 10 ** -(2.2 + number / 10), 6) for number in range(19)]


def burst(sender: Sender, count: int) -> dict[str, Any]:
    """Send a burst; what it costs the caller, and the process until all is out."""
    emit = sender.emit
    wall, caller, process = _clocks()
    for _ in repeat(None, count):
        emit()
    after = _clocks()
    sender.flush()
    return {
        "emitted": count,
        "wall_ns": (after[0] - wall) / count,
        "caller_cpu_ns": (after[1] - caller) / count,
        "process_cpu_ns": (time.process_time_ns() - process) / count,
    }


def _clocks() -> tuple[int, int, int]:
    return time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()


def latencies(sender: Sender, count: int) -> dict[str, Any]:
    """Time single calls, in small bursts; and the same of a call of nothing."""
    nothing = _timed(int, count)  # warm and in C, like the timers themselves
    times = _timed(sender.emit, count, _INTERVAL_S)
    sender.flush()
    return {
        "emitted": count,
        "quantiles_ns": _quantiles(times),
        "timer_ns": sorted(nothing)[count // 2],
    }


def _timed(function: Callable[[], object], count: int, pause: float = 0) -> list[int]:
    now, times = time.perf_counter_ns, []
    following = time.monotonic()
    for _ in range(count // _BURST):
        following += pause
        time.sleep(max(0.0, following - time.monotonic()))
        for _ in repeat(None, _BURST):
            start = now()
            function()
            times.append(now() - start)
    return times


def _quantiles(times: list[int]) -> list[int]:
    times.sort()
    return [times[int(share * len(times))] for share in SHARES]


def sustained(sender: Sender, seconds: int) -> dict[str, Any]:
    """Send for a time as much as is taken without a drop."""
    emit, is_behind, sent = sender.emit, sender.is_behind, 0
    begin = time.process_time_ns()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for _ in repeat(None, _CHECK):
            emit()
        sent += _CHECK
        while is_behind():
            time.sleep(0.0005)
    sender.flush()
    return {"emitted": sent, "process_cpu_ns": time.process_time_ns() - begin}


MODES: dict[str, Callable[[Sender, int], dict[str, Any]]] = {
    "burst": burst,
    "latencies": latencies,
    "sustained": sustained,
}


def main() -> None:
    """Run one case in one mode."""
    name, mode, size, address = sys.argv[1:]
    sender = CASES[name].open(address)
    for _ in range(WARM_UP // _PORTION):
        for _ in range(_PORTION):
            sender.emit()
        sender.flush()
    before = sender.kept() if sender.kept else None
    dropped = sender.dropped() if sender.dropped else 0
    print(json.dumps(before), flush=True)
    sys.stdin.readline()
    result = MODES[mode](sender, int(size))
    if sender.dropped:
        result["known_dropped"] = sender.dropped() - dropped
    if sender.kept:
        assert before is not None
        result["kept"] = sender.kept() - before
    print(json.dumps(result), flush=True)
    sys.stdin.readline()
    sender.close()
    os._exit(0)  # without what a library does at exit, which is not measured


if __name__ == "__main__":
    main()
