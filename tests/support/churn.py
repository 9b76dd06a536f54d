"""Workers that come and go while they emit at a steady rate, and what they did.

Run as a program it is their parent. Each worker emits its share of the rate for a
random time of some seconds; then it ends, or is killed by itself in the middle of
its work, and another takes its place. How many emits have returned is noted in
memory that all share. SIGTERM ends it: it prints the sums as JSON.
"""

import json
import mmap
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field

import shmtel

WORKERS = 8
LIFE_S = (1.0, 8.0)
KILLED_SHARE = 0.3
BURST_S = 0.01
EVENT = "churn.event"


@dataclass
class _Parent:
    rate: float
    draws: random.Random
    returned: memoryview
    workers: dict[int, int] = field(default_factory=dict)  # by pid: its place
    started: int = 0
    killed: int = 0
    is_over: bool = False

    def run(self) -> None:
        """Keep the number of workers up, until told to stop."""
        for place in range(WORKERS):
            self._start(place)
        while not self.is_over:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                time.sleep(0.02)
                continue
            self._bury(pid, status)
        for pid in self.workers:
            os.kill(pid, signal.SIGTERM)
        for pid in list(self.workers):
            self._bury(*os.waitpid(pid, 0), replace=False)

    def _bury(self, pid: int, status: int, replace: bool = True) -> None:
        self.killed += os.WIFSIGNALED(status)
        place = self.workers.pop(pid)
        if replace:
            self._start(place)

    def _start(self, place: int) -> None:
        self.started += 1
        life_s = self.draws.uniform(*LIFE_S)
        is_killed = self.draws.random() < KILLED_SHARE
        if (pid := os.fork()) == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._work(place, life_s)
            if is_killed:
                os.kill(os.getpid(), signal.SIGKILL)
            sys.exit()
        self.workers[pid] = place

    def _work(self, place: int, life_s: float) -> None:
        os.environ["SHMTEL_WORKER_ID"] = f"churn-{place}"
        count = max(round(self.rate / WORKERS * BURST_S), 1)
        began = following = time.monotonic()
        while (following := following + BURST_S) < began + life_s:
            for number in range(count):
                shmtel.emit(EVENT, {"number": number, "bytes": 5000}, {"place": place})
                self.returned[place] += 1
            time.sleep(max(0.0, following - time.monotonic()))


def main(rate: float, seed: int) -> None:
    """Run until SIGTERM."""
    returned = memoryview(mmap.mmap(-1, 8 * WORKERS)).cast("Q")
    parent = _Parent(rate, random.Random(seed), returned)

    def end(*_: object) -> None:
        parent.is_over = True

    signal.signal(signal.SIGTERM, end)
    parent.run()
    result = {
        "returned": sum(returned),
        "started": parent.started,
        "killed": parent.killed,
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
