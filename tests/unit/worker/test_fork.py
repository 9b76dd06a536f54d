"""One ring per process, however the process was made."""

from pathlib import Path

import pytest

from support.forks import FORKS
from support.home import HOME
from support.processes import left_rings, run_python
from support.program import fresh_namespace

OS_FORK = """
import os, shmtel
shmtel.emit("parent.before", {})
pid = os.fork()
if pid == 0:
    for index in range(3):
        shmtel.emit("child", {"index": index})
    os._exit(0)
os.waitpid(pid, 0)
shmtel.emit("parent.after", {})
"""


@pytest.mark.parametrize("kind", FORKS)
def test_forked_child_has_a_ring_of_its_own(kind: str) -> None:
    """Parent and child write into two rings, and neither harms the other's."""
    with fresh_namespace() as namespace:
        run_python(OS_FORK.replace("os.fork()", FORKS[kind]), namespace)
        parent, child = left_rings(namespace)
        assert [event.name for event in parent.events] == [
            "parent.before",
            "parent.after",
        ]
        assert [event.measurements["index"] for event in child.events] == [0, 1, 2]
        assert [event.seq for event in child.events] == [1, 2, 3]
        assert child.resource["parent_ring_id"] == parent.identity["ring_id"]
        assert parent.resource["parent_ring_id"] is None
        assert child.identity["pid"] != parent.identity["pid"]


def test_child_inside_a_span_ends_it_in_its_own_ring() -> None:
    """A span that was open at the fork may end on both sides."""
    code = """
import os, shmtel
with shmtel.span("job"):
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
if pid == 0:
    os._exit(0)
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        parent, child = left_rings(namespace)
        assert [event.name for event in parent.events] == ["job.start", "job.stop"]
        assert [event.name for event in child.events] == ["job.stop"]
        assert child.events[0].span == parent.events[0].span


def test_child_counts_from_zero() -> None:
    """What the parent counted is not counted again by its child."""
    code = """
import os, shmtel
shmtel.emit("e", None)
shmtel.disable()
shmtel.emit("e", {})
shmtel.enable()
pid = os.fork()
if pid == 0:
    shmtel.emit("e", {})
    stats = shmtel.stats()
    os._exit(stats["emitted"])
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)


MULTIPROCESSING = """
import multiprocessing, shmtel
def work(index):
    shmtel.emit("child", {"index": index})
if __name__ == "__main__":
    shmtel.emit("parent", {})
    context = multiprocessing.get_context("METHOD")
    processes = [context.Process(target=work, args=(index,)) for index in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(method: str, tmp_path: Path) -> None:
    """Each worker of each start method has a ring with its events."""
    path = tmp_path / "program.py"
    path.write_text(MULTIPROCESSING.replace("METHOD", method))
    # Run by its path, because two of the methods import it again as a main module.
    runner = f"import os, sys; os.execl(sys.executable, sys.executable, {str(path)!r})"
    with fresh_namespace() as namespace:
        run_python(runner, namespace)
        rings = left_rings(namespace)
        events = [event for ring in rings for event in ring.events]
        indices = [e.measurements["index"] for e in events if e.name == "child"]
        assert sorted(indices) == [0, 1, 2]
        assert len(rings) == 4


def test_threads_share_the_ring() -> None:
    """Events of many threads are in one ring, none lost, also at its making."""
    code = """
import threading, shmtel
start = threading.Barrier(8)
def work(thread):
    start.wait()
    for index in range(500):
        shmtel.emit("thread.%d" % thread, {"index": index})
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert shmtel.stats()["emitted"] == 4000, shmtel.stats()
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        (ring,) = left_rings(namespace)
        for thread in range(8):
            indices = [
                event.measurements["index"]
                for event in ring.events
                if event.name == f"thread.{thread}"
            ]
            assert indices == list(range(500))


def test_emit_while_the_ring_is_made_is_counted_as_reentrant() -> None:
    """An emit from inside the making of a ring is dropped and counted."""
    code = """
import os, shmtel
urandom = os.urandom
def emitting(count):
    shmtel.emit("inner", {})
    return urandom(count)
os.urandom = emitting
shmtel.emit("outer", {})
stats = shmtel.stats()
assert stats["dropped"]["reentrant"] == 1, stats
assert stats["committed"] == 1, stats
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)


def test_garbage_collection_cannot_tear_a_record() -> None:
    """Collections whose callback emits, at every allocation, leave whole records."""
    code = """
import gc, shmtel
gc.callbacks.append(lambda phase, info: shmtel.emit("gc." + phase, {"n": 1}))
gc.set_threshold(1)
for index in range(300):
    shmtel.emit("main", {"index": index, "big": 2**70}, {"x": object()}, "c%d" % index)
gc.disable()
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_RING_SIZE="8MiB")
        (ring,) = left_rings(namespace)
        main = [e.measurements["index"] for e in ring.events if e.name == "main"]
        assert main == list(range(300))
        assert any(event.name == "gc.start" for event in ring.events)
        assert sum(ring.reader.totals) == ring.reader.totals[0] == len(ring.events)


def test_unset_variable_opens_nothing() -> None:
    """Without SHMTEL_ENABLED there is no segment, no thread, no descriptor."""
    code = """
import os, threading
files = set(os.listdir("/proc/self/fd"))
import shmtel
shmtel.emit("e", {})
with shmtel.span("s"): pass
assert set(os.listdir("/proc/self/fd")) == files
assert threading.active_count() == 1
assert not shmtel.is_enabled()
assert shmtel.stats()["ring_id"] is None
assert shmtel.stats()["disabled"] == 3
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_ENABLED="")
        assert HOME.scan(namespace) == []


def test_importing_opens_nothing() -> None:
    """With SHMTEL_ENABLED=1, a process that never emits has no segment either."""
    with fresh_namespace() as namespace:
        run_python("import shmtel; assert shmtel.is_enabled()", namespace)
        assert HOME.scan(namespace) == []


def test_identity_of_a_ring() -> None:
    """The variables name the worker; {pid} is filled in."""
    with fresh_namespace() as namespace:
        run_python(
            "import shmtel; shmtel.emit('e', {})",
            namespace,
            SHMTEL_WORKER_ID="web-{pid}",
            SHMTEL_POOL_NAME="web",
            SHMTEL_SERVICE_NAME="shop",
            SHMTEL_RING_SIZE="256KiB",
        )
        (ring,) = left_rings(namespace)
        assert ring.resource["worker_id"] == f"web-{ring.identity['pid']}"
        assert ring.resource["pool_name"] == "web"
        assert ring.resource["service"] == "shop"
        assert ring.identity["capacity"] == 256 << 10
        assert ring.reader.consumer.counters()["closed"]


def test_bad_value_warns_once_for_a_family_of_processes() -> None:
    """One warning, on stderr, though parent and children all make rings."""
    code = OS_FORK
    with fresh_namespace() as namespace:
        done = run_python(code, namespace, SHMTEL_RING_SIZE="huge")
        assert done.stderr.count("SHMTEL_RING_SIZE") == 1
        assert len(left_rings(namespace)) == 2
