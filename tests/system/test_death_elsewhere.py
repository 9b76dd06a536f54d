"""Workers and collectors that do not see each other's pids, and pids used again."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from shmtel.liveness import ProcessWatch, Verdict
from shmtel.procfs import this_host
from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.home import HOME
from support.namespaces import OTHER_PIDS, OTHER_PIDS_OLD_PROC
from support.processes import environment, wait_until
from support.program import fresh_namespace

pytestmark = pytest.mark.system

NOTICED_S = 20.0  # two seconds and what a loaded machine adds
PLACES = pytest.mark.parametrize(
    "prefix", [OTHER_PIDS, OTHER_PIDS_OLD_PROC], ids=["own proc", "old proc"]
)


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace that nothing else uses."""
    with fresh_namespace() as name:
        yield name


@pytest.fixture
def hub() -> Iterator[NotingHub]:
    """A hub that notes what arrives."""
    with NotingHub() as hub:
        yield hub


def _check_death(
    worker: Emitter, collector: CollectorProcess, hub: NotingHub, namespace: str
) -> str:
    """Let a worker live, then die; return the reason that is on the books."""
    worker.emit(1000)
    wait_until(lambda: hub.count() == 1000, NOTICED_S)
    first = worker.ring_id()
    time.sleep(2.5)  # longer than doubt lasts, were there any
    worker.emit(500)
    assert worker.ring_id() == first, "a live worker was taken for a dead one"
    worker.die()
    wait_until(lambda: HOME.scan(namespace) == [], NOTICED_S)
    assert hub.count() == 1500
    ledger = collector.ledger()
    assert (ledger.total.delivered, ledger.total.unaccounted) == (1500, 0)
    (ring,) = ledger.rings
    return ring.state


@PLACES
def test_worker_in_a_namespace_below(
    namespace: str, hub: NotingHub, tmp_path: Path, prefix: Sequence[str]
) -> None:
    """The kernel tells its pid as ours, so its death is proven."""
    with (
        CollectorProcess(namespace, hub.hub.address, tmp_path) as collector,
        Emitter(namespace, prefix) as worker,
    ):
        assert _check_death(worker, collector, hub, namespace) == "vanished"


@PLACES
def test_collector_in_a_namespace_below(
    namespace: str, hub: NotingHub, tmp_path: Path, prefix: Sequence[str]
) -> None:
    """It sees no pid of the worker: its ring is retired, once its lock is free."""
    address = hub.hub.address
    with (
        CollectorProcess(namespace, address, tmp_path, prefix=prefix) as collector,
        Emitter(namespace) as worker,
    ):
        assert _check_death(worker, collector, hub, namespace) == "retired"


def test_worker_and_collector_side_by_side(
    namespace: str, hub: NotingHub, tmp_path: Path
) -> None:
    """Two namespaces of which none sees the other, as with two containers."""
    address = hub.hub.address
    with (
        CollectorProcess(namespace, address, tmp_path, prefix=OTHER_PIDS) as collector,
        Emitter(namespace, OTHER_PIDS) as worker,
    ):
        assert _check_death(worker, collector, hub, namespace) == "retired"


def test_lost_lock_beyond_sight(namespace: str, hub: NotingHub, tmp_path: Path) -> None:
    """A live worker elsewhere that loses its lock loses nothing else."""
    address = hub.hub.address
    with (
        CollectorProcess(namespace, address, tmp_path, prefix=OTHER_PIDS) as collector,
        Emitter(namespace, OTHER_PIDS) as worker,
    ):
        worker.emit(10)
        first = worker.ring_id()
        wait_until(lambda: hub.count() == 10, NOTICED_S)
        worker.command("lose_lock")

        def has_moved() -> bool:
            worker.emit(1)
            return worker.ring_id() != first

        wait_until(has_moved, NOTICED_S)
        emitted = int(worker.command("emitted"))
        wait_until(lambda: hub.count() == emitted, NOTICED_S)
        assert collector.wait_quiet().total.unaccounted == 0


def test_proc_of_others_proves_nothing(namespace: str) -> None:
    """Where /proc shows other processes under our pids, no pid is looked up in it."""
    code = "from shmtel.procfs import this_host; print(this_host().pid_namespace)"
    seen = [
        subprocess.run(
            [*prefix, sys.executable, "-c", code],
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for prefix in ((), OTHER_PIDS, OTHER_PIDS_OLD_PROC)
    ]
    assert seen[0] == str(os.stat("/proc/self/ns/pid").st_ino)
    assert seen[1] not in (seen[0], "0")
    assert seen[2] == "0"


def test_pid_of_a_dead_worker_used_again(namespace: str) -> None:
    """Another process under that pid does not keep the dead worker alive."""
    done = subprocess.run(
        [*OTHER_PIDS, sys.executable, "-m", "support.reused_pid", namespace],
        cwd="/",
        env=environment(namespace)
        | {"PYTHONPATH": str(Path(__file__).parent.parent), "SHMTEL_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    seen = json.loads(done.stdout)
    assert seen["pid"] == seen["inside"]
    assert seen["verdict"] == Verdict.DEAD.value


def test_dead_in_another_namespace_is_not_proven_from_here(namespace: str) -> None:
    """A worker that starts cannot know, so it evicts nothing of another container."""
    with Emitter(namespace, OTHER_PIDS) as worker:
        worker.emit(1)
        consumer = worker.consumer()
        worker.die()
        watch = ProcessWatch(consumer.identity, this_host())
        verdict = wait_until(
            lambda: _unless_alive(watch.probe(consumer.fileno(), lambda: False))
        )
        assert verdict is Verdict.UNPROVEN
        consumer.close()


def _unless_alive(verdict: Verdict) -> Verdict | None:
    return None if verdict is Verdict.ALIVE else verdict
