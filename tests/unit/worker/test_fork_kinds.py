"""Forks of every kind, from wherever the parent was at that moment."""

import os
import subprocess
from pathlib import Path

import pytest

from support.forks import FORKS
from support.home import HOME
from support.processes import LeftRing, left_rings, run_python
from support.program import fresh_namespace

FORKER = Path(__file__).parents[2] / "native" / "forker.c"


def _named(rings: list[LeftRing], prefix: str) -> LeftRing:
    (found,) = (r for r in rings if any(e.name.startswith(prefix) for e in r.events))
    return found


def _check_whole(ring: LeftRing) -> None:
    """Every event of the ring was read: none is torn, none is missing."""
    assert ring.reader.totals[0] == sum(ring.reader.totals) == len(ring.events)
    assert [event.seq for event in ring.events] == list(range(1, len(ring.events) + 1))
    assert ring.reader.consumer.counters()["committed"] == len(ring.events)


@pytest.mark.parametrize("kind", FORKS)
@pytest.mark.parametrize("is_child_silent", [False, True], ids=["emits", "silent"])
def test_child_of_a_child(kind: str, is_child_silent: bool) -> None:
    """Three generations have a ring each; a silent one has none and is skipped."""
    code = """
import os, shmtel
shmtel.emit("parent", {})
if (child := FORK) == 0:
    if not SILENT:
        shmtel.emit("child", {})
    if (grandchild := FORK) == 0:
        for index in range(3):
            shmtel.emit("grandchild", {"index": index})
        os._exit(0)
    assert os.waitpid(grandchild, 0)[1] == 0
    if not SILENT:
        shmtel.emit("child", {})
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
shmtel.emit("parent", {})
"""
    code = code.replace("FORK", FORKS[kind]).replace("SILENT", str(is_child_silent))
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        rings = left_rings(namespace)
        for ring in rings:
            _check_whole(ring)
        assert [len(ring.events) for ring in rings] == (
            [2, 3] if is_child_silent else [2, 2, 3]
        )
        parents = [ring.resource["parent_ring_id"] for ring in rings]
        assert parents == [None, *(r.identity["ring_id"] for r in rings[:-1])]


# The child says whether it has inherited a segment, and emits. The parent has a
# third process look at its lock, since a process does not see its own.
EXEC = """
import os, subprocess, sys, shmtel
from shmtel import _ring, ring
CHILD = '''
import os, shmtel
def target(fd):
    try:
        return os.readlink("/proc/self/fd/" + fd)
    except OSError:
        return ""
targets = [target(fd) for fd in os.listdir("/proc/self/fd")]
assert not [each for each in targets if "shmtel." in each], targets
shmtel.emit("child", {})
'''
ARGUMENTS = [sys.executable, "-c", CHILD]
shmtel.emit("parent.before", {})
START
segment = ring.home_in_force().path("shmtel.%s.%s" % (
    os.environ["SHMTEL_NAMESPACE"], shmtel.stats()["ring_id"]))
if (pid := os.fork()) == 0:
    fd = os.open(segment, os.O_RDONLY)
    os._exit(_ring.lock_holder(fd) != os.getppid())
assert os.waitpid(pid, 0)[1] == 0, "the lock is lost"
shmtel.emit("parent.after", {})
"""
STARTS = {
    "vfork": "subprocess.run(ARGUMENTS, check=True)",
    "vfork, descriptors kept": "subprocess.run(ARGUMENTS, check=True, close_fds=False)",
    "fork": "subprocess.run(ARGUMENTS, check=True, preexec_fn=lambda: None)",
    "posix_spawn": "pid = os.posix_spawn(sys.executable, ARGUMENTS, os.environ)\n"
    "assert os.waitpid(pid, 0)[1] == 0",
    "os.system": "os.environ['CHILD'] = CHILD\n"
    "assert os.system(sys.executable + ' -c \"$CHILD\"') == 0",
}


@pytest.mark.parametrize("start", STARTS)
def test_started_program(start: str) -> None:
    """A program that the worker starts has a ring of its own; the worker's stays."""
    with fresh_namespace() as namespace:
        run_python(EXEC.replace("START", STARTS[start]), namespace)
        parent, child = left_rings(namespace)
        assert [e.name for e in parent.events] == ["parent.before", "parent.after"]
        assert [event.name for event in child.events] == ["child"]
        assert child.resource["parent_ring_id"] is None
        _check_whole(parent)


@pytest.fixture(scope="module")
def forker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library in C that forks."""
    library = tmp_path_factory.mktemp("forker") / "forker.so"
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-shared", "-fPIC", "-O1", str(FORKER), "-o", str(library)]
    subprocess.run(command, check=True)
    return library


def test_fork_inside_an_emit_of_another_thread(forker: Path) -> None:
    """A library forks without the GIL while two threads emit, and starts programs."""
    code = """
import ctypes, os, sys, threading, shmtel
from shmtel import _ring
library = ctypes.CDLL(LIBRARY)  # lets the GIL go
is_over = threading.Event()
counts = {"a": 0, "b": 0}
def work(name):
    while not is_over.is_set() or counts[name] < 1000:
        for _ in range(100):
            shmtel.emit(name, {"index": counts[name]}, {"text": "x" * 50}, "c")
            counts[name] += 1
shmtel.emit("first", {})
threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in counts]
for thread in threads: thread.start()
assert library.fork_often(100, _ring.own_descriptor()) == 0
child = b"import shmtel; shmtel.emit('child', {})"
command = (ctypes.c_char_p * 4)(sys.executable.encode(), b"-c", child, None)
assert library.fork_and_run(command) == 0
is_over.set()
for thread in threads: thread.join()
stats = shmtel.stats()
assert stats["emitted"] == sum(counts.values()) + 1
assert stats["emitted"] == stats["committed"] + stats["dropped"]["ring_full"], stats
""".replace("LIBRARY", repr(str(forker)))
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_RING_SIZE="64MiB")
        rings = left_rings(namespace)
        parent = _named(rings, "first")
        _check_whole(parent)
        for name in ("a", "b"):
            indices = [
                event.measurements["index"]
                for event in parent.events
                if event.name == name
            ]
            assert indices == sorted(set(indices))
            assert len(indices) >= 1000
        others = [ring for ring in rings if ring is not parent]
        assert [[e.name for e in ring.events] for ring in others] == [["child"]]


# A thread stands in the middle of an emit, in Python code: of its own object, or of
# the making of the ring. Then the main thread forks, again and again.
STANDING = """
import os, threading, shmtel
from shmtel import resource
inside, go_on = threading.Event(), threading.Event()
def stand(*_):
    if threading.current_thread() is thread:
        inside.set()
        go_on.wait()
    return "stood"
class Standing:
    __str__ = stand
thread = threading.Thread(target=lambda: shmtel.emit("thread", {}, {"x": Standing()}))
PREPARE
thread.start()
inside.wait()
for number in range(10):
    if (pid := FORK) == 0:
        for index in range(3):
            shmtel.emit("child", {"index": index}, {"x": Standing()})
        os._exit(shmtel.stats()["committed"] != 3)
    assert os.waitpid(pid, 0)[1] == 0
go_on.set()
thread.join()
shmtel.emit("after", {})
"""
PREPARATIONS = {
    "making plain": "shmtel.emit('before', {})",
    "making a ring": "boot_id = resource.boot_id\n"
    "resource.boot_id = lambda: stand() and boot_id()",
}


@pytest.mark.parametrize("kind", FORKS)
@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_fork_beside_a_thread_that_stands_in_an_emit(
    kind: str, preparation: str
) -> None:
    """The children emit as if nothing were, and the thread's event is whole."""
    code = STANDING.replace("FORK", FORKS[kind])
    with fresh_namespace() as namespace:
        run_python(code.replace("PREPARE", PREPARATIONS[preparation]), namespace)
        rings = left_rings(namespace)
        assert len(rings) == len(HOME.scan(namespace)) == 11
        for ring in rings:
            _check_whole(ring)
        names = [event.name for event in _named(rings, "thread").events]
        assert names[-2:] == ["thread", "after"]


@pytest.mark.parametrize("kind", FORKS)
def test_spans_that_are_open_at_the_fork(kind: str) -> None:
    """Both sides end them, with the ids that they have, and go on as children."""
    code = """
import os, shmtel
with shmtel.span("outer"):
    with shmtel.span("inner", {"k": "v"}, "order-1") as inner:
        if (pid := FORK) == 0:
            shmtel.emit("child.event", {})
            inner.set("side", "child")
        else:
            assert os.waitpid(pid, 0)[1] == 0
if pid == 0:
    os._exit(0)
""".replace("FORK", FORKS[kind])
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        parent, child = left_rings(namespace)
        outer, inner, inner_stop, outer_stop = parent.events
        names = [event.name for event in child.events]
        assert names == ["child.event", "inner.stop", "outer.stop"]
        event, child_inner, child_outer = child.events
        assert event.parent_id == inner.span_id
        assert event.correlation_id == "order-1"
        assert child_inner.span == inner_stop.span == inner.span
        assert child_outer.span == outer_stop.span == outer.span
        assert child_inner.metadata == {"k": "v", "side": "child"}
        assert inner_stop.metadata == {"k": "v"}
