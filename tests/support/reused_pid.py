"""A worker dies, and another process gets its pid: what is said of the worker.

Run as a program, as the superuser, in a pid namespace of its own, where the next
pid can be chosen. Prints the verdicts before and after, as JSON.
"""

import json
import subprocess
import sys
from pathlib import Path

from shmtel.liveness import ProcessWatch
from shmtel.procfs import start_time, this_host
from support.emitter import Emitter
from support.processes import wait_until

_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def _process_with(pid: int) -> subprocess.Popen[bytes]:
    """Start processes until one has the pid."""
    while True:
        _LAST_PID.write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "60"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()


def main(namespace: str) -> None:
    """Bury a worker, and let a sleeper have its pid."""
    with Emitter(namespace) as worker:
        worker.emit(1)
        consumer = worker.consumer()
        identity, pid = consumer.identity, worker.pid
        worker.kill()
    sleeper = _process_with(pid)
    # Two processes of one clock tick could not be told apart.
    wait_until(lambda: start_time(pid) not in (None, identity["start_time"]))
    watch = ProcessWatch(identity, this_host())
    verdict = watch.probe(consumer.fileno(), lambda: False)
    sleeper.kill()
    sleeper.wait()
    print(json.dumps({"pid": pid, "inside": sleeper.pid, "verdict": verdict.value}))


if __name__ == "__main__":
    main(sys.argv[1])
