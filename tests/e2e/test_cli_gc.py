"""`shmtel gc`: what is removable and why, and that nothing else goes."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtel import segments
from shmtel_collector.ledger import read_ledger
from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.home import HOME
from support.own_ring import RingReader
from support.processes import wait_until
from support.program import fresh_namespace, shmtel

Gc = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def gc(namespace: str, tmp_path: Path) -> Gc:
    """Run the verb; return what it says of each segment."""

    def run(*arguments: str) -> dict[str, dict[str, Any]]:
        place = ("--namespace", namespace, "--state-dir", str(tmp_path))
        done = shmtel("gc", "--json", *place, *arguments)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["schema"] == "shmtel/gc/v1"
        findings = document["namespaces"][namespace]
        return {finding["segment"]: finding for finding in findings}

    return run


def _dead_ring(namespace: str, *, is_drained: bool) -> str:
    with Emitter(namespace) as worker:
        worker.emit(7)
        name = worker.ring_name()
        if is_drained:
            reader = RingReader(name)
            reader.events()
            reader.consumer.close()
        worker.kill()
    return name


def test_only_what_is_drained_goes(namespace: str, gc: Gc, tmp_path: Path) -> None:
    """A dead worker's ring goes if all of it was acknowledged; the account stays."""
    drained = _dead_ring(namespace, is_drained=True)
    undrained = _dead_ring(namespace, is_drained=False)
    before = read_ledger(namespace, tmp_path, HOME).total
    seen = gc("--dry-run")
    assert {name: f["reason"] for name, f in seen.items()} == {
        drained: "drained",
        undrained: "undrained",
    }
    assert (seen[drained]["is_removable"], seen[undrained]["undrained"]) == (True, 7)
    assert sorted(HOME.scan(namespace)) == sorted([drained, undrained])
    seen = gc()
    assert seen[drained]["is_removed"]
    assert HOME.scan(namespace) == [undrained]
    total = read_ledger(namespace, tmp_path, HOME).total
    assert total == before
    assert (total.delivered, total.in_ring, total.unaccounted) == (7, 7, 0)


def test_force_counts_what_is_lost(namespace: str, gc: Gc, tmp_path: Path) -> None:
    """Events that go with a ring are lost, reason evicted, and said so."""
    name = _dead_ring(namespace, is_drained=False)
    place = ("--namespace", namespace, "--state-dir", str(tmp_path))
    dry = shmtel("gc", "--dry-run", "--force", *place)
    assert dry.stdout.splitlines()[1].split()[2:4] == ["removable", "undrained"]
    assert "7 events would be lost" in dry.stderr
    done = shmtel("gc", "--force", *place)
    assert done.returncode == 0
    assert name in done.stdout
    assert "7 events are lost" in done.stderr
    assert HOME.scan(namespace) == []
    total = read_ledger(namespace, tmp_path, HOME).total
    assert total.lost == {"evicted": 7}
    assert total.unaccounted == 0


def test_what_somebody_holds_stays(namespace: str, gc: Gc, tmp_path: Path) -> None:
    """Neither a live worker's ring goes nor one that a collector holds."""
    dead = _dead_ring(namespace, is_drained=False)
    with (
        Emitter(namespace) as worker,
        CollectorProcess(namespace, f"unix:{tmp_path}/nobody", tmp_path),
    ):
        worker.emit(1)
        alive = worker.ring_name()
        wait_until(lambda: gc("-n")[dead]["reason"] == "held", 30)
        seen = gc("--force")
        assert seen[alive]["reason"] == "alive"
        assert seen[dead]["reason"] == "held"
        lock = f"shmtel.{namespace}.collector"
        assert seen[lock]["reason"] == "service"
        assert not any(finding["is_removed"] for finding in seen.values())
        assert sorted(HOME.scan(namespace)) == sorted([alive, dead])
        worker.command("lose_lock")


def test_live_worker_without_its_lock_is_not_removable(namespace: str, gc: Gc) -> None:
    """A free lock alone is no death."""
    with Emitter(namespace) as worker:
        worker.emit(1)
        worker.command("lose_lock")
        (finding,) = gc("--force").values()
        assert (finding["reason"], finding["is_removed"]) == ("unproven", False)
        worker.emit(1)


def test_what_is_not_ours_is_named_and_left(namespace: str, gc: Gc) -> None:
    """Links, pipes, borrowed names and damaged rings stay; what was abandoned goes."""
    names = [segments.segment_name(namespace, bytes([n]) * 16) for n in range(5)]
    link, pipe, foreign, young, old = names
    os.symlink("/dev/null", HOME.path(link))
    os.mkfifo(HOME.path(pipe))
    Path(HOME.path(foreign)).write_bytes(b"stlring1" + b"\xff" * 300_000)
    for name in (young, old):
        Path(HOME.path(name)).write_bytes(bytes(8192))
    hour_ago = time.time() - 3_600
    other = f"shmtel.{namespace}.some-file"
    Path(HOME.path(other)).write_bytes(b"theirs")
    ring = _dead_ring(namespace, is_drained=True)
    borrowed = segments.segment_name(namespace, b"b" * 16)
    os.link(HOME.path(ring), HOME.path(borrowed))
    os.utime(HOME.path(old), (hour_ago, hour_ago))
    seen = {name: f["reason"] for name, f in gc("--force").items()}
    assert seen == {
        link: "link",
        pipe: "not_a_file",
        foreign: "damaged",
        young: "in_making",
        # The file system says when it was last changed, and nobody can set that back.
        old: "in_making",
        other: "wrong_name",
        ring: "drained",
        borrowed: "wrong_name",
    }
    assert not HOME.has(ring)
    for name in (link, pipe, foreign, young, old, other, borrowed):
        assert HOME.has(name)
    os.unlink(HOME.path(link))
    os.unlink(HOME.path(pipe))


def test_all_namespaces(namespace: str, gc: Gc, tmp_path: Path) -> None:
    """With --all what is there says which namespaces there are."""
    name = _dead_ring(namespace, is_drained=True)
    with fresh_namespace() as other:
        alive = _dead_ring(other, is_drained=False)
        done = shmtel("gc", "-n", "--all", "--json", "--state-dir", str(tmp_path))
    found = json.loads(done.stdout)["namespaces"]
    assert [f["segment"] for f in found[namespace]] == [name]
    assert [f["segment"] for f in found[other]] == [alive]


def test_all_and_one_namespace_is_a_wrong_use(namespace: str) -> None:
    """Who names both means one of them; nothing is removed."""
    name = _dead_ring(namespace, is_drained=True)
    done = shmtel("gc", "--all", "--namespace", namespace)
    assert done.returncode == 2
    assert HOME.has(name)


def test_what_a_collector_has_written_down_counts_once(
    namespace: str, gc: Gc, tmp_path: Path
) -> None:
    """A collector that was killed before the removal leaves an account and a ring."""
    kept = HOME.path(f"shmtel-kept-{namespace}")
    with (
        NotingHub() as hub,
        CollectorProcess(namespace, hub.hub.address, tmp_path) as collector,
        Emitter(namespace) as worker,
    ):
        worker.emit(7)
        os.link(HOME.path(worker.ring_name()), kept)
        name = worker.ring_name()
        worker.kill()
        wait_until(lambda: not HOME.has(name), 30)
        collector.kill()
        os.rename(kept, HOME.path(name))
        place = ("--namespace", namespace, "--state-dir", str(collector.state_dir))
        done = shmtel("gc", "--json", *place)
        findings = json.loads(done.stdout)["namespaces"][namespace]
        reasons = {finding["segment"]: finding["reason"] for finding in findings}
        assert reasons[name] == "written_down"
        assert not HOME.has(name)
        total = collector.ledger().total
        assert (total.committed, total.delivered, total.unaccounted) == (7, 7, 0)


def test_nothing_to_do(namespace: str, gc: Gc) -> None:
    """It says so on stderr, and is no failure."""
    assert gc() == {}
    done = shmtel("gc", "--namespace", namespace)
    assert (done.returncode, done.stdout) == (0, "")
    assert namespace in done.stderr
