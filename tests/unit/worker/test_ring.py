"""Making a ring and leaving it, where the host or the program gets in the way."""

from support.processes import left_rings, run_python
from support.program import fresh_namespace


def test_descriptor_that_became_another_files_is_not_closed() -> None:
    """A daemon that closed all its descriptors keeps those it has opened since."""
    code = """
import os, shmtel
from shmtel import _ring, segments
shmtel.emit("before", {})
(name,) = segments.scan(os.environ["SHMTEL_NAMESPACE"])
os.closerange(3, 64)
ends = os.pipe()  # the lowest descriptors: one of them was the ring's
inodes = [os.fstat(end).st_ino for end in ends]
consumer = _ring.Consumer(segments.open_segment(name, writable=True))
consumer.set_enabled(_ring.RING_RETIRED)
shmtel.emit("after", {})
assert [os.fstat(end).st_ino for end in ends] == inodes
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        old, new = left_rings(namespace)
        assert [event.name for event in old.events] == ["before"]
        assert [event.name for event in new.events] == ["after"]
