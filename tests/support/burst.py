"""A burst of events from forked workers, some of them killed, and its oracle.

The workers note in memory that they share with their parent how many emits
have returned. That is the truth which everything else is compared with: what
the hub has written, and what the workers' own counters say.

Run as a program it is the parent of the workers: it forks them, kills some at
random moments, and prints as JSON what each had done.
"""

import json
import mmap
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVENT = "burst.event"


@dataclass(frozen=True, slots=True)
class Burst:
    """What is to be done."""

    seed: int
    workers: int = 8
    events: int = 50_000
    killed: int = 4


def _work(burst: Burst, worker: int, returned: memoryview) -> None:
    """Emit the worker's events, at a pace that leaves the ring room most times."""
    os.environ["SHMTEL_WORKER_ID"] = f"worker-{worker}"
    import shmtel

    draws = random.Random(burst.seed * 1000 + worker)
    index = 0
    while index < burst.events:
        for _ in range(min(draws.randrange(1, 400), burst.events - index)):
            index += 1
            shmtel.emit(EVENT, {"index": index}, {"worker": worker})
            returned[worker] = index
        time.sleep(draws.random() * 0.02)


def _kill_some(burst: Burst, pids: Sequence[int], returned: memoryview) -> None:
    """Kill workers when they have done a random number of events."""
    draws = random.Random(burst.seed)
    victims = draws.sample(range(burst.workers), burst.killed)
    moments = {worker: draws.randrange(1, burst.events * 9 // 10) for worker in victims}
    while moments:
        for worker, moment in list(moments.items()):
            if returned[worker] >= moment:
                os.kill(pids[worker], signal.SIGKILL)
                del moments[worker]
        time.sleep(0.0005)


def _fork_workers(burst: Burst, returned: memoryview) -> list[int]:
    pids = []
    for worker in range(burst.workers):
        pid = os.fork()
        if pid == 0:
            _work(burst, worker, returned)
            os._exit(0)
        pids.append(pid)
    return pids


def main(burst: Burst) -> None:
    """Run the burst and print, per worker, emits that returned and exit code."""
    memory = mmap.mmap(-1, 8 * burst.workers)
    returned = memoryview(memory).cast("Q")
    pids = _fork_workers(burst, returned)
    _kill_some(burst, pids, returned)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    json.dump({"returned": list(returned), "exit_codes": codes}, sys.stdout)


def check(
    burst: Burst,
    outcome: dict[str, Any],
    ledger: dict[str, Any],
    jsonl: Path,
    may_repeat: bool = False,
) -> dict[str, int]:
    """Compare what was delivered and counted with what the workers did.

    Args:
        may_repeat: a hub that was killed has its last events sent to the next.

    Returns:
        Totals for people: returned, delivered, dropped.
    """
    indices: dict[int, list[int]] = {worker: [] for worker in range(burst.workers)}
    seqs: dict[int, list[int]] = {worker: [] for worker in range(burst.workers)}
    with jsonl.open() as lines:
        for line in lines:
            event = json.loads(line)
            assert event["event"] == EVENT
            worker = event["metadata"]["worker"]
            assert event["worker_id"] == f"worker-{worker}"
            index, seq = event["measurements"]["index"], event["seq"]
            if may_repeat and seq <= len(seqs[worker]):
                assert indices[worker][seq - 1] == index, (worker, seq)
                continue
            indices[worker].append(index)
            seqs[worker].append(seq)
    dropped = _dropped_by_worker(ledger)
    for worker, returned in enumerate(outcome["returned"]):
        delivered = len(indices[worker])
        # Each seq once and in order; the events in the order of their emits.
        assert seqs[worker] == list(range(1, delivered + 1)), worker
        assert indices[worker] == sorted(set(indices[worker])), worker
        # The call that a SIGKILL interrupted may have been recorded.
        accounted = delivered + dropped[f"worker-{worker}"]
        assert returned <= accounted <= returned + 1, (worker, returned, accounted)
    codes = outcome["exit_codes"]
    assert sorted(codes) == [-9] * burst.killed + [0] * (burst.workers - burst.killed)
    assert ledger["total"]["unaccounted"] == 0, ledger["total"]
    return {
        "returned": sum(outcome["returned"]),
        "delivered": sum(map(len, indices.values())),
        "dropped": sum(dropped.values()),
    }


def _dropped_by_worker(ledger: dict[str, Any]) -> dict[str, int]:
    dropped: dict[str, int] = {}
    for ring in ledger["rings"]:
        worker = ring["worker_id"]
        dropped[worker] = dropped.get(worker, 0) + sum(ring["dropped"].values())
    return dropped


if __name__ == "__main__":
    main(Burst(*map(int, sys.argv[1:])))
