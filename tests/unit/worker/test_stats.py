"""What stats() says: complete, of this process alone, and without a system call."""

import os
import threading
import time

import shmtel
from support.own_ring import OwnRing
from support.processes import left_rings, run_python
from support.program import fresh_namespace

KEYS = {
    *("enabled", "identity", "ring_id", "emitted", "committed", "sampled_out"),
    *("filtered", "disabled", "dropped", "dropped_by_process", "first_drop_ns"),
    *("last_drop_ns", "committed_bytes", "capacity_bytes", "used_bytes"),
    *("high_water_bytes", "names", "other_backend"),
}


def test_keys_are_the_same_with_and_without_a_ring(ring: OwnRing) -> None:
    """Who reads them needs no special case."""
    code = f"import shmtel; assert set(shmtel.stats()) == {KEYS!r}"
    with fresh_namespace() as namespace:
        run_python(code, namespace)
    assert set(shmtel.stats()) == KEYS


def test_stats_follow_what_is_emitted(ring: OwnRing) -> None:
    """Bytes, names and identity are those of the ring."""
    before = shmtel.stats()
    shmtel.emit("a.name.of.stats", {"n": 1})
    after = shmtel.stats()
    assert after["names"] == before["names"] + 1
    assert 0 < after["committed_bytes"] - before["committed_bytes"] < 100
    assert after["identity"] == shmtel.identity()
    assert after["used_bytes"] > 0


def test_times_of_drops(ring: OwnRing) -> None:
    """The last one moves, the first one stays."""
    shmtel.emit("invalid", 5)  # type: ignore[arg-type]
    first = shmtel.stats()
    start = time.time_ns()
    shmtel.emit("invalid", 5)  # type: ignore[arg-type]
    last = shmtel.stats()
    assert first["first_drop_ns"] == last["first_drop_ns"]
    assert last["last_drop_ns"] is not None
    assert start <= last["last_drop_ns"] <= time.time_ns()


def test_times_of_drops_without_a_ring_go_on_in_the_ring() -> None:
    """The ring says since when there were drops, also of the time before it."""
    code = """
import shmtel
assert shmtel.stats()["first_drop_ns"] is None
shmtel.emit(5, {})
early = shmtel.stats()
assert early["first_drop_ns"] == early["last_drop_ns"] > 0, early
shmtel.emit("makes.a.ring", {})
assert shmtel.stats()["first_drop_ns"] == early["first_drop_ns"]
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        (ring,) = left_rings(namespace)
        counters = ring.reader.consumer.counters()
        assert counters["first_drop_ns"] == counters["last_drop_ns"] > 0
        assert counters["dropped"]["invalid"] == 1


def test_forked_child_has_its_own() -> None:
    """No count, time, name or id of the parent is in the child's."""
    code = """
import os, shmtel
shmtel.emit("parent", {})
shmtel.emit("parent", 5)
parent = shmtel.stats()
pid = os.fork()
if pid == 0:
    child = shmtel.stats()
    new = {"enabled": True, "identity": None, "ring_id": None, "first_drop_ns": None,
           "last_drop_ns": None}
    for key, value in child.items():
        if key in new:
            assert value == new[key], (key, value)
        elif key == "dropped":
            assert not any(value.values())
        elif key == "other_backend":
            assert (value["delivered"], value["failed"]) == (0, 0)
        else:
            assert value == 0, (key, value)
    shmtel.emit("child", {})
    child = shmtel.stats()
    assert child["committed"] == child["emitted"] == child["names"] == 1
    assert child["identity"].worker_id != parent["identity"].worker_id
    assert child["ring_id"] != parent["ring_id"]
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert shmtel.stats() == parent
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)


def test_stats_can_be_asked_by_everyone_at_once(ring: OwnRing) -> None:
    """The sum holds at every moment, whatever is emitted in between."""
    stop = threading.Event()

    def emit() -> None:
        while not stop.is_set():
            shmtel.emit("beside", {})
            shmtel.emit("beside", 5)  # type: ignore[arg-type]

    thread = threading.Thread(target=emit)
    thread.start()
    try:
        for _ in range(2000):
            stats = shmtel.stats()
            left_out = stats["sampled_out"] + stats["filtered"] + stats["disabled"]
            dropped = sum(stats["dropped"].values())
            assert stats["emitted"] == stats["committed"] + dropped + left_out
            assert stats["dropped_by_process"] >= dropped
    finally:
        stop.set()
        thread.join()


def test_process_id_is_the_identity_s(ring: OwnRing) -> None:
    """The default name of a worker tells its pid."""
    identity = shmtel.stats()["identity"]
    assert identity is not None
    assert identity.worker_id == f"default-{os.getpid()}"
