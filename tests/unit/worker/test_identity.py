"""The names of a process, and the index that it holds in its pool."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import shmtel
from shmtel import config, identities, worker_index
from shmtel.segments import POSIX, Home
from support.processes import environment, left_rings, run_python
from support.program import fresh_namespace

# Makes its ring, says who it is, and waits for the end of its input.
WORKER = """
import shmtel, sys
shmtel.emit("e", {})
print(*shmtel.identity(), flush=True)
sys.stdin.read()
"""


class Worker:
    """A process with a ring, until it is killed or told to end."""

    def __init__(self, namespace: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            cwd="/",
            env=environment(namespace, **variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline().split()
        self.worker_id, self.pool_name, self.service, index = said
        self.index = int(index)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_workers_of_a_pool_have_the_lowest_free_numbers() -> None:
    """They count from 0; a restarted worker takes over what has become free."""
    with fresh_namespace() as namespace:
        with Worker(namespace) as zero, Worker(namespace) as one:
            assert (zero.index, one.index) == (0, 1)
            with Worker(namespace) as two:
                assert two.index == 2
                one.process.kill()
                one.process.wait()
                with Worker(namespace) as instead, Worker(namespace) as three:
                    assert (instead.index, three.index) == (1, 3)
        indices = [ring.resource["worker_index"] for ring in left_rings(namespace)]
        assert indices == [0, 1, 2, 1, 3]


def test_pools_and_namespaces_count_for_themselves() -> None:
    """Who shares neither shares no numbers."""
    with fresh_namespace() as namespace, fresh_namespace() as other:
        with (
            Worker(namespace, SHMTEL_POOL_NAME="web") as web,
            Worker(namespace, SHMTEL_POOL_NAME="jobs") as jobs,
            Worker(other, SHMTEL_POOL_NAME="web") as elsewhere,
            Worker(namespace, SHMTEL_POOL_NAME="web") as second,
        ):
            found = [worker.index for worker in (web, jobs, elsewhere, second)]
        assert found == [0, 0, 0, 1]


def test_index_is_part_of_a_worker_s_name() -> None:
    """{index} stands for it in SHMTEL_WORKER_ID, beside {pid}."""
    with fresh_namespace() as namespace:
        with Worker(namespace, SHMTEL_WORKER_ID="w-{index}-{pid}") as worker:
            assert worker.worker_id == f"w-0-{worker.process.pid}"
        (ring,) = left_rings(namespace)
        assert ring.resource["worker_id"] == worker.worker_id


def test_forked_children_have_indices_of_their_own() -> None:
    """A child does not hold its parent's, and each of many has another."""
    code = """
import os, shmtel
shmtel.emit("parent", {})
assert shmtel.identity().worker_index == 0
def child():
    shmtel.emit("child", {})
    os.read(reading, 1)
    os._exit(0)
reading, writing = os.pipe()
pids = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        child()
    pids.append(pid)
os.close(writing)
for pid in pids:
    assert os.waitpid(pid, 0)[1] == 0
assert shmtel.identity().worker_index == 0
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        rings = left_rings(namespace)
        indices = sorted(ring.resource["worker_index"] for ring in rings)
        assert len(rings) == 5
        assert indices[0] == 0
        # Children may have ended before the next began: what counts is the parent's.
        assert indices.count(0) == 1


def test_child_outlives_its_parent_without_holding_its_index() -> None:
    """What a parent held is free when it dies, though a child of its lives on."""
    code = """
import os, sys, shmtel
shmtel.emit("parent", {})
reading, writing = os.pipe()
pid = os.fork()
if pid == 0:  # has the parent's descriptors, and never emits
    os.setsid()
    os.close(1)
    os.close(writing)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), 9)
"""
    with fresh_namespace() as namespace:
        parent = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd="/",
            env=environment(namespace),
            stdin=subprocess.PIPE,
        )
        parent.wait()
        with Worker(namespace) as next_one:
            assert next_one.index == 0
        parent.communicate()  # the child sees the end of its input


def test_second_ring_keeps_the_index() -> None:
    """A worker whose ring was retired is the same worker."""
    code = """
import os, shmtel
from shmtel import _ring, ring
shmtel.emit("first", {})
(name,) = ring.home_in_force().scan(os.environ["SHMTEL_NAMESPACE"])
consumer = _ring.Consumer(ring.home_in_force().open(name, writable=True))
before = shmtel.identity()
consumer.set_enabled(_ring.RING_RETIRED)
shmtel.emit("second", {})
assert shmtel.identity() == before
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        assert [r.resource["worker_index"] for r in left_rings(namespace)] == [0, 0]


def test_threads_that_claim_at_once_hold_one_index() -> None:
    """Whichever thread is first, the process has one number and keeps it."""
    code = """
import os, subprocess, sys, threading
from shmtel import ring, worker_index
start = threading.Barrier(8)
found = []
def claim():
    start.wait()
    namespace, home = os.environ["SHMTEL_NAMESPACE"], ring.home_in_force()
    found.append(worker_index.claim(namespace, "pool", home))
threads = [threading.Thread(target=claim) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert found == [0] * 8, found
code = "import os\\nfrom shmtel import ring, worker_index\\nprint(worker_index.claim("
code += "os.environ['SHMTEL_NAMESPACE'], 'pool', ring.home_in_force()))"
assert subprocess.check_output([sys.executable, "-c", code]) == b"1\\n"
"""
    with fresh_namespace() as namespace:
        for _ in range(5):
            run_python(code, namespace)


def test_index_survives_the_closing_of_descriptors() -> None:
    """A daemon that closes all it has gets its number back with its next ring."""
    code = """
import os, shmtel
from shmtel import identities, ring, worker_index
shmtel.emit("first", {})
before = shmtel.identity().worker_index
os.closerange(3, 64)
taken = os.open("/dev/null", os.O_RDONLY)
ring.use(ring.settings_in_force())
assert shmtel.identity().worker_index == before == 0
os.fstat(taken)  # still open: nothing of somebody else's was closed
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)


# A worker that closes all descriptors, and a collector that retires its ring.
CLOSING = """
import os, shmtel, subprocess, sys
from shmtel import _ring, ring
CLAIM = (sys.executable, "-c", "import shmtel; shmtel.emit('e', {});"
         "print(shmtel.identity().worker_index, flush=True); input()")
def other():
    pipe = subprocess.PIPE
    process = subprocess.Popen(CLAIM, stdin=pipe, stdout=pipe, text=True)
    return process, process.stdout.readline().strip()
def end(process):
    process.communicate("end")
shmtel.emit("first", {})
(name,) = ring.home_in_force().scan(os.environ["SHMTEL_NAMESPACE"])
os.closerange(3, 64)
consumer = _ring.Consumer(ring.home_in_force().open(name, writable=True))
consumer.set_enabled(_ring.RING_RETIRED)
"""


def test_next_ring_holds_the_index_again() -> None:
    """No other worker gets the number of one that had lost its lock."""
    code = f"""{CLOSING}
shmtel.emit("second", {{}})
assert shmtel.identity().worker_index == 0
process, index = other()
assert index == "1", index
end(process)
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)


def test_index_that_was_taken_over_is_not_shared() -> None:
    """A number that went to another worker meanwhile is that one's."""
    code = f"""{CLOSING}
process, index = other()
assert index == "0", index
shmtel.emit("second", {{}})
identity = shmtel.identity()
assert (identity.worker_index, identity.worker_id) == (1, "w-1"), identity
end(process)
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_WORKER_ID="w-{index}")


def test_identity_before_the_first_event_is_that_of_the_ring() -> None:
    """Who asks early gets the names that the ring will have."""
    code = """
import shmtel
early = shmtel.identity()
assert shmtel.stats()["identity"] == early
shmtel.emit("e", {})
assert shmtel.identity() == shmtel.stats()["identity"] == early
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_SERVICE_NAME="shop")
        (ring,) = left_rings(namespace)
        assert ring.resource["service"] == "shop"


def test_telemetry_that_is_off_holds_nothing() -> None:
    """The names are known, the index is not, and no file is opened."""
    code = """
import os, shmtel
from shmtel import worker_index
files = set(os.listdir("/proc/self/fd"))
assert shmtel.identity().worker_index is None
assert shmtel.identity().pool_name == "web"
assert set(os.listdir("/proc/self/fd")) == files
assert shmtel.stats()["identity"] is None
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_ENABLED="", SHMTEL_POOL_NAME="web")


def _nothing(path: Path) -> None:
    path.parent.rmdir()


def _link(path: Path) -> None:
    target = path.with_name("target")
    target.touch()
    path.symlink_to(target)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("trap", [_nothing, _link, _pipe, _directory])
def test_file_that_cannot_be_used_leaves_the_index_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trap: Any
) -> None:
    """What anybody may have put in its place is no error and no wait."""
    directory = tmp_path / "shm"
    directory.mkdir()
    home = Home(str(directory), POSIX._access)
    monkeypatch.setattr(worker_index, "_files", {})
    trap(Path(worker_index.path_in(home)))
    assert worker_index.claim("namespace", "pool", home) is None


def test_unknown_index_keeps_worker_ids_apart() -> None:
    """In the name of a worker the pid stands for it."""
    settings = config.WorkerConfig(worker_id="web-{index}")
    named = identities.name_process(settings, None)
    assert named.worker_id == f"web-p{os.getpid()}"
    assert identities.name_process(settings, 7).worker_id == "web-7"


def test_identity_is_a_named_tuple() -> None:
    """Four names, in this order."""
    assert shmtel.Identity._fields == (
        *("worker_id", "pool_name", "service", "worker_index"),
    )
