"""A worker that takes of its host what can be measured, and says itself how much.

Run as a program: it emits an event, prints what it knows as JSON, and waits.
"""

import json
import os
import resource
import sys
import threading
import time
from pathlib import Path

import shmtel

ALLOCATED_BYTES = 48 << 20
BUSY_S = 0.2
THREADS = 3


def main() -> None:
    """Take memory, time, threads and descriptors; then keep still."""
    memory = bytearray(ALLOCATED_BYTES)
    memory[::4096] = b"x" * len(memory[::4096])
    while time.process_time() < BUSY_S:
        pass
    waits = threading.Event()
    for _ in range(THREADS - 1):
        threading.Thread(target=waits.wait, daemon=True).start()
    files = [open(os.devnull) for _ in range(7)]  # noqa: SIM115
    shmtel.emit("measured.ready", {"n": 1})
    print(json.dumps(_own_words()), flush=True)
    sys.stdin.read()
    del files, memory


def work() -> None:
    """Emit now and then, as one of a pool, until it is killed."""
    held = bytearray(b"x") * (24 << 20)
    while True:
        shmtel.emit("work.done", {"bytes": len(held)})
        time.sleep(0.05)


def _own_words() -> dict[str, int]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/statm") as file:
        vms, rss, shared = (
            int(n) * resource.getpagesize() for n in file.read().split()[:3]
        )
    switches = [
        int(line.split()[1])
        for line in Path("/proc/self/status").read_text().splitlines()
        if "ctxt_switches" in line  # of the main thread
    ]
    return {
        "rss": rss,
        "vms": vms,
        "shared": shared,
        "user": round(usage.ru_utime * 1e9),
        "system": round(usage.ru_stime * 1e9),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")) - 1,  # that of the list
        "context_switches_voluntary": switches[0],
        "context_switches_involuntary": switches[1],
    }


if __name__ == "__main__":
    main()
