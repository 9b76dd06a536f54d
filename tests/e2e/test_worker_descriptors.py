"""Workers that become daemons, or close all descriptors: nothing of them is lost."""

from pathlib import Path

import pytest

from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.home import HOME
from support.processes import run_python, wait_until

# As in the books. CLOSE stands where the daemon closes what it has inherited.
DAEMON = """
import os, shmtel
for number in range(10):
    shmtel.emit("before", {"n": number})
if os.fork():
    os._exit(0)
os.setsid()
EMIT
if os.fork():
    os._exit(0)
os.chdir("/")
os.umask(0o777)
os.closerange(0, 1024)
for number in range(3):
    assert os.open("/dev/null", os.O_RDWR) == number
for number in range(20):
    shmtel.emit("after", {"n": number})
os.close(0)  # the lowest number is free, and no segment's
os.open(DONE, os.O_CREAT | os.O_WRONLY, 0o600)
"""


@pytest.mark.parametrize("emits_between", [False, True], ids=["silent", "emits"])
def test_daemon_that_forks_twice(
    collector: CollectorProcess,
    hub: NotingHub,
    namespace: str,
    tmp_path: Path,
    emits_between: bool,
) -> None:
    """What each generation emitted arrives, and no ring is left behind."""
    done = tmp_path / "done"
    between = "shmtel.emit('between', {})" if emits_between else ""
    run_python(
        DAEMON.replace("EMIT", between).replace("DONE", repr(str(done))), namespace
    )
    wait_until(done.exists)
    expected = [10, 1, 20] if emits_between else [10, 20]
    wait_until(lambda: hub.count() == sum(expected))
    assert sorted(map(len, hub.seqs.values())) == sorted(expected)
    wait_until(lambda: HOME.scan(namespace) == [])
    total = collector.wait_quiet().total
    assert (total.delivered, total.unaccounted) == (sum(expected), 0)
    states = [ring.state for ring in collector.ledger().rings]
    assert sorted(states) == sorted(["vanished"] * (len(expected) - 1) + ["closed"])


def test_live_worker_that_closes_all_descriptors(
    collector: CollectorProcess, hub: NotingHub, namespace: str
) -> None:
    """Its lock is gone: its ring is retired, and it goes on in a new one.

    The number of the ring's descriptor is another file's by now, which is neither
    closed nor written to.
    """
    with Emitter(namespace) as worker:
        worker.emit(1000)
        first = worker.ring_id()
        descriptor = int(worker.command("descriptor"))
        assert descriptor in map(int, worker.command("close_all").split(","))

        def has_moved() -> bool:
            worker.emit(100)
            return worker.ring_id() != first

        wait_until(has_moved)
        worker.emit(1000)
        assert int(worker.command("descriptor")) != descriptor
        assert worker.command("files") == "untouched"
        wait_until(lambda: HOME.scan(namespace) == [worker.ring_name()])
        emitted = int(worker.command("emitted"))
        wait_until(lambda: hub.count() == emitted)
        total = collector.wait_quiet().total
        assert (total.delivered, total.unaccounted) == (emitted, 0)
        assert (total.committed, sum(total.lost.values())) == (emitted, 0)
        for seqs in hub.seqs.values():
            assert seqs == list(range(1, len(seqs) + 1))
        assert len(hub.seqs) == 2
        worker.leave()
    wait_until(lambda: HOME.scan(namespace) == [])
    states = sorted(ring.state for ring in collector.ledger().rings)
    assert states == ["closed", "closed"]  # it has left the first one itself


def test_child_of_a_worker_that_has_closed_all_descriptors(
    collector: CollectorProcess, hub: NotingHub, namespace: str
) -> None:
    """The child forgets the ring of its parent, and closes no file of the program."""
    with Emitter(namespace) as worker:
        worker.emit(10)
        worker.command("close_all")
        assert worker.command("fork 7") == "untouched"
        wait_until(lambda: hub.count() == 17)
        assert worker.command("files") == "untouched"
        assert sorted(map(len, hub.seqs.values())) == [7, 10]
