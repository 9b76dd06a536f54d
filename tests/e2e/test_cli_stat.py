"""`shmtel stat` on the rings of real workers, with no collector about."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from shmtel import segments
from support.home import HOME
from support.program import clean_environment, shmtel, worker_program


def _start_worker(
    path: Path, namespace: str, *lines: str, **environment: str
) -> subprocess.Popen[str]:
    program = worker_program(
        path / "worker.py", [*lines, "print(flush=True)", "input()"]
    )
    worker = subprocess.Popen(
        [sys.executable, program],
        env=clean_environment(
            SHMTEL_ENABLED="1", SHMTEL_NAMESPACE=namespace, **environment
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    worker.stdout.readline()
    return worker


def _stat(namespace: str) -> dict[str, Any]:
    result = shmtel("stat", "--json", "--namespace", namespace)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


def test_the_counters_of_a_live_worker(tmp_path: Path, namespace: str) -> None:
    """Committed and dropped events, fill and identity come straight from the ring."""
    emits = 'for n in range(2000): shmtel.emit("a.b", {"n": n}, {"text": "x" * 100})'
    with _start_worker(
        tmp_path,
        namespace,
        emits,
        SHMTEL_RING_SIZE="64KiB",
        SHMTEL_WORKER_ID="steady",
        SHMTEL_POOL_NAME="pool-7",
    ) as worker:
        document = _stat(namespace)
        worker.kill()
    assert document["schema"] == "shmtel/stat/v1"
    (ring,) = document["rings"]
    assert ring["worker_id"] == "steady"
    assert ring["pool_name"] == "pool-7"
    assert ring["pid"] == worker.pid
    assert ring["state"] == "alive"
    assert ring["capacity_bytes"] == 64 << 10
    assert 0.9 < ring["used_bytes"] / ring["capacity_bytes"] <= 1
    assert 0 < ring["high_water_bytes"] <= ring["capacity_bytes"]
    assert ring["dropped"]["ring_full"] > 0
    assert ring["committed"] + ring["dropped"]["ring_full"] == 2000


def test_the_ring_of_a_killed_worker_is_dead(tmp_path: Path, namespace: str) -> None:
    """What a killed worker committed is still there to be seen."""
    with _start_worker(tmp_path, namespace, 'shmtel.emit("a.b", {"n": 1})') as worker:
        worker.kill()
    (ring,) = _stat(namespace)["rings"]
    assert ring["state"] == "dead"
    assert ring["committed"] == 1


def test_the_table_is_for_people(tmp_path: Path, namespace: str) -> None:
    """Without --json there is a header, a line per worker, and reasons of drops."""
    bad = 'shmtel.emit("a.b", {"n": "no number"})'
    with _start_worker(tmp_path, namespace, bad, SHMTEL_WORKER_ID="w-1") as worker:
        result = shmtel("stat", "--namespace", namespace)
        worker.kill()
    lines = result.stdout.splitlines()
    assert lines[0].split()[:5] == ["WORKER", "PID", "STATE", "COMMITTED", "DROPPED"]
    assert lines[1].split()[:5] == ["w-1", str(worker.pid), "alive", "0", "1"]
    assert lines[2] == "dropped by w-1: invalid 1"


def test_a_namespace_without_rings(namespace: str) -> None:
    """Nothing to show is said on stderr, and is no failure."""
    result = shmtel("stat", "--namespace", namespace)
    assert result.returncode == 0
    assert result.stdout == ""
    assert namespace in result.stderr
    assert _stat(namespace)["rings"] == []


def test_a_segment_that_is_no_ring(tmp_path: Path, namespace: str) -> None:
    """Foreign bytes under a ring's name are refused; the other rings are shown."""
    foreign = Path(HOME.directory, segments.segment_name(namespace, bytes(16)))
    foreign.write_bytes(b"\xff" * 300_000)
    with _start_worker(tmp_path, namespace, 'shmtel.emit("a.b", {"n": 1})') as worker:
        document = _stat(namespace)
        worker.kill()
    assert len(document["rings"]) == 1
    assert [refused["segment"] for refused in document["refused"]] == [foreign.name]
    assert [refused["reason"] for refused in document["refused"]] == ["no_magic"]


def test_the_namespace_comes_from_the_environment_too(namespace: str) -> None:
    """SHMTEL_NAMESPACE names the namespace, and the option wins over it."""
    result = shmtel("stat", "--json", SHMTEL_NAMESPACE=namespace)
    assert json.loads(result.stdout)["namespace"] == namespace
    result = shmtel("stat", "--json", "--namespace", "x", SHMTEL_NAMESPACE=namespace)
    assert json.loads(result.stdout)["namespace"] == "x"


def test_a_ring_in_the_making_is_not_refused(namespace: str) -> None:
    """A segment without its magic is a ring to come; an old one is what was left."""
    name = segments.segment_name(namespace, bytes(range(16)))
    path = Path(HOME.directory) / name.removeprefix("/")
    path.write_bytes(bytes(1 << 20))
    assert _stat(namespace)["refused"] == []
    os.utime(path, (0, 0))
    (refused,) = _stat(namespace)["refused"]
    assert refused["segment"] == path.name
