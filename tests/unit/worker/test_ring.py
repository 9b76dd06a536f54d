"""Making a ring and leaving it, where the host or the program gets in the way."""

import pytest

from support.processes import left_rings, run_python
from support.program import fresh_namespace


def run_and_list_names(code: str, *options: str, **variables: str) -> list[str]:
    """Run a program that leaves one ring; return the names of its events."""
    with fresh_namespace() as namespace:
        run_python(code, namespace, *options, **variables)
        (ring,) = left_rings(namespace)
        return [event.name for event in ring.events]


def test_descriptor_that_became_another_files_is_not_closed() -> None:
    """A daemon that closed all its descriptors keeps those it has opened since."""
    code = """
import os, shmtel
from shmtel import _ring, ring
shmtel.emit("before", {})
(name,) = ring.home_in_force().scan(os.environ["SHMTEL_NAMESPACE"])
os.closerange(3, 64)
ends = os.pipe()  # the lowest descriptors: one of them was the ring's
inodes = [os.fstat(end).st_ino for end in ends]
consumer = _ring.Consumer(ring.home_in_force().open(name, writable=True))
consumer.set_enabled(_ring.RING_RETIRED)
shmtel.emit("after", {})
assert [os.fstat(end).st_ino for end in ends] == inodes
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        old, new = left_rings(namespace)
        assert [event.name for event in old.events] == ["before"]
        assert [event.name for event in new.events] == ["after"]


def test_ring_keeps_out_of_the_standard_streams() -> None:
    """A daemon without standard streams cannot write into its ring by mistake."""
    code = """
import os, shmtel
os.closerange(0, 3)
shmtel.emit("daemon", {})
for fd in range(3):
    try:
        os.fstat(fd)
    except OSError:
        continue
    os._exit(1)
"""
    assert run_and_list_names(code) == ["daemon"]


def test_interrupted_making_is_tried_again() -> None:
    """Ctrl-C during the first emit goes to the program, and costs one event."""
    code = """
import os, shmtel
urandom = os.urandom
def interrupted(count):
    os.urandom = urandom
    raise KeyboardInterrupt
os.urandom = interrupted
try:
    shmtel.emit("first", {})
except KeyboardInterrupt:
    shmtel.emit("second", {})
"""
    assert run_and_list_names(code) == ["second"]


def test_interrupt_after_the_making_leaves_the_ring() -> None:
    """Once the core has the ring, nothing takes its segment or descriptor away."""
    code = """
import shmtel
from shmtel import _ring
adopt = _ring.adopt
def interrupted(*arguments, **keywords):
    adopt(*arguments, **keywords)
    raise KeyboardInterrupt
_ring.adopt = interrupted
try:
    shmtel.emit("first", {})
except KeyboardInterrupt:
    shmtel.emit("second", {})
"""
    assert run_and_list_names(code) == ["second"]


def test_foreign_exit_handler_cannot_disturb_the_making() -> None:
    """An exit handler of the program's that cannot be compared is left alone."""
    code = """
import atexit, shmtel
class Handler:
    __hash__ = None
    def __call__(self): pass
    def __eq__(self, other): raise RuntimeError
atexit.register(Handler())
shmtel.emit("e", {})
"""
    assert run_and_list_names(code, "-W", "error") == ["e"]


@pytest.mark.parametrize(
    "program",
    ["b'/x/\\xff.py'.decode('utf-8', 'surrogateescape')", "'/x/' + '漢' * 5000", "5"],
    ids=["no text", "long", "no path"],
)
def test_odd_program_name_does_not_matter(program: str) -> None:
    """Whatever stands in sys.argv, the process gets its ring."""
    code = f"import sys, shmtel; sys.argv = [{program}]; shmtel.emit('e', {{}})"
    assert run_and_list_names(code, "-W", "error") == ["e"]


def test_failed_making_warns_once_for_a_family() -> None:
    """Children of a process whose ring could not be made do not say it again."""
    code = """
import os, shmtel
from shmtel import segments
def refuse(home, name): raise segments.SegmentError("refused")
segments.Home.create = refuse
shmtel.emit("e", {})
shmtel.enable()
shmtel.emit("e", {})
pid = os.fork()
if pid == 0:
    shmtel.emit("e", {})
    os._exit(0)
os.waitpid(pid, 0)
assert shmtel.stats()["dropped"]["no_ring"] == 2
"""
    with fresh_namespace() as namespace:
        assert run_python(code, namespace).stderr.count("ShmtelWarning") == 1


@pytest.mark.parametrize("stream", ["None", "Broken()"])
def test_warning_that_cannot_be_shown_stops_nothing(stream: str) -> None:
    """Where warnings are errors and stderr is of no use, the import still works."""
    code = f"""
import sys
class Broken:
    def write(self, data): raise ValueError
    def flush(self): pass
sys.stderr = {stream}
import shmtel
shmtel.emit("e", {{}})
"""
    names = run_and_list_names(code, "-W", "error", SHMTEL_RING_SIZE="bad")
    assert names == ["e"]
