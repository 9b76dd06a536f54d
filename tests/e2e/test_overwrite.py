"""The flight recorder as its users have it: after a death, and under a collector."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.processes import environment
from support.program import shmtel

VARIABLES = {"SHMTEL_OVERFLOW": "overwrite", "SHMTEL_RING_SIZE": "64KiB"}
BUSY = """
import shmtel
for index in range(400_000):
    shmtel.emit("busy.step", {"number": index}, {"text": "x" * (index % 100)})
assert shmtel.stats()["committed"] == 400_000
"""


def arrived(hub: NotingHub) -> list[int]:
    """Return the numbers of the events that the hub was given, as they came."""
    (seqs,) = hub.seqs.values()
    return [seq - 1 for seq in seqs]


def test_the_last_events_of_a_killed_worker(namespace: str, tmp_path: Path) -> None:
    """They are read without a collector, and then delivered by a late one."""
    with Emitter(namespace, **VARIABLES) as worker:
        worker.emit(10_000)
        worker.kill()
    place = ("--namespace", namespace)
    lines = shmtel("tail", "-d", "--json", *place).stdout.splitlines()
    last = [json.loads(line)["measurements"]["number"] for line in lines]
    assert last == list(range(last[0], 10_000))
    assert last[0] > 9_000

    def total() -> dict[str, object]:
        result = shmtel("ledger", "--json", *place, "--state-dir", str(tmp_path))
        account: dict[str, object] = json.loads(result.stdout)["total"]
        assert account["committed"] == 10_000
        assert account["unaccounted"] == 0
        assert account["lost"] == {"overwritten": last[0]}
        return account

    assert total()["in_ring"] == len(last)
    with NotingHub() as hub:
        with CollectorProcess(namespace, hub.hub.address, tmp_path / "c") as collector:
            ledger = collector.wait_quiet()
        numbers = arrived(hub)
    assert numbers == last
    assert ledger.total.delivered == len(last)
    assert ledger.total.lost == {"overwritten": last[0]}
    assert ledger.total.unaccounted == 0


def test_a_worker_that_is_faster_than_its_collector(
    namespace: str, tmp_path: Path
) -> None:
    """Each event arrives once, in order and whole, or is counted as overwritten.

    Nothing is dropped, and the worker never waits.
    """
    with NotingHub() as hub:
        with CollectorProcess(namespace, hub.hub.address, tmp_path) as collector:
            subprocess.run(
                [sys.executable, "-c", BUSY],
                cwd="/",
                env=environment(namespace, **VARIABLES),
                check=True,
                timeout=60,
            )
            total = collector.wait_quiet().total
        numbers = arrived(hub)
    assert total.committed == 400_000
    assert sum(total.dropped.values()) == 0
    assert total.delivered == len(numbers) > 0
    assert total.lost == {"overwritten": 400_000 - len(numbers)}
    assert total.lost["overwritten"] > 0  # half a megabyte in each millisecond
    assert total.unaccounted == 0
    assert all(before < after for before, after in pairwise(numbers))
    assert numbers[-1] == 399_999


def test_a_collector_that_is_killed_in_between(namespace: str, tmp_path: Path) -> None:
    """What it had sent is not lost, and what was overwritten meanwhile is counted."""
    with NotingHub() as hub, Emitter(namespace, **VARIABLES) as worker:
        with CollectorProcess(namespace, hub.hub.address, tmp_path) as collector:
            worker.emit(100)
            collector.wait_quiet()
            collector.kill()
            worker.emit(10_000)
            collector.start()
            worker.emit(10)
            total = collector.wait_quiet().total
        numbers = arrived(hub)
    assert numbers[:100] == list(range(100))
    assert numbers[-1] == 10_109
    assert len(set(numbers)) == len(numbers) == total.delivered
    assert total.lost == {"overwritten": 10_110 - len(numbers)}
    assert total.committed == 10_110
    assert total.unaccounted == 0
