"""A process that makes its rings with settings of its own, and reads them."""

from support.processes import left_rings, run_python
from support.program import fresh_namespace

USE = """
import os, shmtel
from shmtel import _ring, config, ring
settings = config.WorkerConfig(
    namespace=os.environ["OWN"], ring_size_bytes=128 << 10,
    directory=os.environ.get("SHMTEL_DIR"),
    worker_id="own-{pid}", pool_name="own", service="own-service",
)
ring.use(settings)
shmtel.enable()
"""


def test_own_settings_take_the_place_of_the_environment() -> None:
    """Rings of the process and of its forked children are made as it was told."""
    code = f"""{USE}
shmtel.emit("parent", {{}})
pid = os.fork()
if pid == 0:
    shmtel.emit("child", {{}})
    os._exit(0)
os.waitpid(pid, 0)
"""
    with fresh_namespace() as other, fresh_namespace() as namespace:
        run_python(code, other, OWN=namespace, SHMTEL_ENABLED="")
        assert left_rings(other) == []
        parent, child = left_rings(namespace)
        for ring in (parent, child):
            assert ring.identity["capacity"] == 128 << 10
            assert ring.resource["worker_id"] == f"own-{ring.identity['pid']}"
            assert ring.resource["pool_name"] == "own"
            assert ring.resource["service"] == "own-service"
        names = [event.name for ring in (parent, child) for event in ring.events]
        assert names == ["parent", "child"]


def test_own_descriptor_is_that_of_the_live_ring() -> None:
    """There is one where there is a ring, and a forked child has not its parent's."""
    code = f"""{USE}
assert _ring.own_descriptor() is None
shmtel.emit("e", {{}})
fd = _ring.own_descriptor()
(ring_id,) = _ring.own_rings()
assert _ring.observe(fd)["identity"]["ring_id"] == ring_id
pid = os.fork()
if pid == 0:
    assert _ring.own_descriptor() is None
    shmtel.emit("e", {{}})
    (own,) = _ring.own_rings()
    found = _ring.observe(_ring.own_descriptor())["identity"]["ring_id"]
    os._exit(0 if own == found != ring_id else 1)
assert os.waitpid(pid, 0)[1] == 0
assert _ring.own_descriptor() == fd
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, OWN=namespace)


def test_parent_of_a_pool_is_none_of_its_workers() -> None:
    """Its pool is one of its own; a child that says so has the pool's names."""
    code = """
import os, shmtel
from shmtel import identities
assert identities.name_parent() == identities.name_parent() == "web"
shmtel.emit("parent", {})
pid = os.fork()
if pid == 0:
    identities.name_worker()
    shmtel.emit("child", {})
    os._exit(0)
os.waitpid(pid, 0)
"""
    names = {"SHMTEL_POOL_NAME": "web", "SHMTEL_WORKER_ID": "web-{index}"}
    with fresh_namespace() as namespace:
        run_python(code, namespace, **names)
        parent, child = left_rings(namespace)
    assert parent.resource["pool_name"] == "web.master"
    assert parent.resource["worker_id"] == f"web.master-{parent.identity['pid']}"
    assert child.resource["pool_name"] == "web"
    assert child.resource["worker_id"] == "web-0"


def test_name_of_the_parent_s_pool_is_not_too_long() -> None:
    """A pool's name that fills all its room is cut, and not inside a character."""
    code = """
from shmtel import identities
assert len(identities.name_parent()) == 64
print(identities.identity().pool_name)
"""
    with fresh_namespace() as namespace:
        done = run_python(code, namespace, SHMTEL_POOL_NAME="é" * 64)
    assert done.stdout == "é" * 60 + ".master\n"
