"""Ten thousand workers that emit a little and die, and nobody who drains them.

Run as a program in a mount namespace of its own, with its home on a small tmpfs. It
says at the end what it saw, as JSON: the most bytes that were in use after a death,
the events that were emitted, and what the ledger says before and after a collector
has come.
"""

import gc
import json
import os
import signal
import sys
from pathlib import Path
from random import Random

import shmtel
import shmtel.dead_rings  # forked, not loaded ten thousand times, as is what follows
import shmtel.identities
import shmtel.worker_index
from support.home import HOME


def _live_and_die(events: int, is_killed: bool) -> None:
    for number in range(events):
        shmtel.emit("e", {"n": number})
    if is_killed:
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(0)


def _used_bytes() -> int:
    status = os.statvfs(HOME.directory)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def main(namespace: str, deaths: int, state_dir: Path) -> None:
    """Let them die one after the other, then let a collector drain the rest."""
    gc.freeze()  # what is not touched is not copied for a child
    HOME.scan(namespace)  # compiles its pattern once
    draws, emitted, most = Random(deaths), 0, 0
    for number in range(deaths):
        events = draws.randrange(1, 20)
        emitted += events
        pid = os.fork()
        if pid == 0:
            _live_and_die(events, is_killed=number % 2 == 0)
        os.waitpid(pid, 0)
        most = max(most, _used_bytes())
    _report(namespace, state_dir, emitted, most)


def _report(namespace: str, state_dir: Path, emitted: int, most: int) -> None:
    # Only now: a fork copies the tables of all that is loaded.
    from shmtel_collector.ledger import read_ledger
    from support.memory_line import SECOND_NS, MemoryLine

    before = read_ledger(namespace, state_dir, HOME).to_json()
    line = MemoryLine(namespace, state_dir)
    line.connect()
    line.step(SECOND_NS)
    line.close()
    delivered = sum(len(ring.seqs) for ring in line.hub.rings.values())
    after = read_ledger(namespace, state_dir, HOME).to_json()
    print(
        json.dumps(
            {
                "emitted": emitted,
                "most_bytes": most,
                "delivered": delivered,
                "before": before["total"],
                "after": after["total"],
                "left": HOME.scan(namespace),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
