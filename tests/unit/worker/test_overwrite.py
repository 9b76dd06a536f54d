"""SHMTEL_OVERFLOW=overwrite: a worker whose ring keeps its last events."""

import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from shmtel import _ring
from support.home import HOME
from support.processes import environment, left_rings, run_python
from support.program import fresh_namespace

OVERWRITTEN = 18

CODE = """
import os, signal, shmtel
for index in range(COUNT):
    shmtel.emit("step", {"index": index}, {"text": "x" * (index % 400)})
stats = shmtel.stats()
assert stats["emitted"] == stats["committed"] == COUNT, stats
assert stats["used_bytes"] <= stats["capacity_bytes"] == 65536, stats
END
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


def program(count: int, end: str = "") -> str:
    """The worker that emits so often."""
    return CODE.replace("COUNT", str(count)).replace("END", end)


def run(code: str, namespace: str) -> None:
    """Run a worker with a small ring that overwrites."""
    run_python(code, namespace, SHMTEL_OVERFLOW="overwrite", SHMTEL_RING_SIZE="64KiB")


def test_nothing_is_refused_and_the_last_events_are_there() -> None:
    """With nobody draining, the newest stay and the rest is counted, to the event."""
    with fresh_namespace() as namespace:
        run(program(20_000), namespace)
        (left,) = left_rings(namespace)
        indices = [event.measurements["index"] for event in left.events]
        assert indices == list(range(indices[0], 20_000))
        assert len(indices) > 100
        assert left.reader.totals[OVERWRITTEN] == indices[0]
        assert left.identity["overflow"] == _ring.RING_OVERWRITE


def test_it_is_readable_after_a_kill() -> None:
    """A killed worker's last event is the last one whose emit returned."""
    code = "import os\npid = os.fork()\nif pid == 0:\n"
    code += "".join(f"    {line}\n" for line in program(5_000, KILL).splitlines())
    code += "os.waitpid(pid, 0)\n"
    with fresh_namespace() as namespace:
        run(code, namespace)
        (left,) = left_rings(namespace)
        assert left.events[-1].measurements["index"] == 4_999
        assert len(left.events) + left.reader.totals[OVERWRITTEN] == 5_000


def test_until_it_is_full_nothing_is_overwritten() -> None:
    """A ring with room behaves like any other."""
    with fresh_namespace() as namespace:
        run(program(50), namespace)
        (left,) = left_rings(namespace)
        assert len(left.events) == 50
        assert left.reader.totals[OVERWRITTEN] == 0


@pytest.mark.parametrize("size", [16_000, 16_384, 20_000])
def test_records_of_the_largest_size(size: int) -> None:
    """Each of them fits, whatever was there before; a larger one fits nowhere."""
    code = f"""
import shmtel
for index in range(200):
    shmtel.emit("e", {{"index": index}}, {{"text": "x" * {size}}})
    shmtel.emit("e", {{"index": index}})
stats = shmtel.stats()
assert stats["dropped"]["too_large"] == (0 if {size} == 16_000 else 200), stats
assert stats["dropped"]["ring_full"] == 0, stats
"""
    with fresh_namespace() as namespace:
        run(code, namespace)
        (left,) = left_rings(namespace)
        assert left.events[-1].measurements["index"] == 199
        committed = 400 if size == 16_000 else 200
        assert len(left.events) + left.reader.totals[OVERWRITTEN] == committed


def test_a_ring_that_drops_is_the_default() -> None:
    """Without the variable, and with a word that is none, the newest is refused."""
    code = """
import shmtel
for index in range(5_000):
    shmtel.emit("e", {"index": index})
assert shmtel.stats()["dropped"]["ring_full"] > 0
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_RING_SIZE="64KiB")
        done = run_python(
            code, namespace, SHMTEL_RING_SIZE="64KiB", SHMTEL_OVERFLOW="wrap"
        )
        assert "SHMTEL_OVERFLOW='wrap' is ignored: use drop or overwrite" in done.stderr
        for left in left_rings(namespace):
            assert left.events[0].measurements["index"] == 0
            assert left.identity["overflow"] == _ring.RING_DROP


def test_a_ring_that_is_retired_in_the_middle() -> None:
    """The next ring overwrites too, and both balance."""
    code = """
import shmtel
from shmtel import _ring, ring
for index in range(3_000):
    shmtel.emit("e", {"index": index})
(name,) = ring.home_in_force().scan(NAMESPACE)
_ring.Consumer(_ring.own_descriptor(), owns_fd=False).set_enabled(_ring.RING_RETIRED)
for index in range(3_000, 6_000):
    shmtel.emit("e", {"index": index})
assert len(ring.home_in_force().scan(NAMESPACE)) == 2
"""
    with fresh_namespace() as namespace:
        run(code.replace("NAMESPACE", repr(namespace)), namespace)
        first, second = left_rings(namespace)
        for left, last in ((first, 2_999), (second, 5_999)):
            assert left.events[-1].measurements["index"] == last
            assert len(left.events) + left.reader.totals[OVERWRITTEN] == 3_000


BUSY = """
import shmtel, time
text = "x" * SIZE
shmtel.emit("e", {"index": 0})
print(shmtel.stats()["ring_id"], flush=True)
end = time.monotonic() + 1.5
count = 1
while time.monotonic() < end:
    for _ in range(200):
        shmtel.emit("e", {"index": count}, {"text": text})
        count += 1
"""


@pytest.mark.parametrize("size", [0, 2_000, 16_000])
def test_readers_of_the_living(size: int) -> None:
    """While a worker overwrites at full speed, no look at its ring finds it damaged.

    What the consumer and the follower take is in order, and with what they have
    missed it is everything.
    """
    with fresh_namespace() as namespace, ExitStack() as stack:
        variables = {"SHMTEL_OVERFLOW": "overwrite", "SHMTEL_RING_SIZE": "64KiB"}
        worker = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", BUSY.replace("SIZE", str(size))],
                cwd="/",
                env=environment(namespace, **variables),
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert worker.stdout is not None
        worker.stdout.readline()
        (name,) = HOME.scan(namespace)
        fd = HOME.open(name, writable=True)
        consumer, follower = _ring.Consumer(os.dup(fd)), _ring.Follower(fd)
        looks, seq, followed, overwritten = 0, 0, 0, 0
        is_alive = True
        while is_alive:
            is_alive = worker.poll() is None  # and once more after its end
            for _ in range(50):
                consumer.tail()
            seen = _ring.observe(fd)
            assert overwritten <= seen["overwritten"] <= seen["tail"] // 40
            overwritten = seen["overwritten"]
            while (drained := consumer.drain(1 << 20)) is not None and is_alive:
                assert drained.seq_before == seq
                seq = drained.seq_last
                if drained.delivered == 0:
                    break
            taken = follower.take(1 << 20)
            if taken is not None and taken.seq_last:
                assert taken.seq_before == followed + taken.missed
                followed = taken.seq_last
            looks += 1
        worker.wait()
        assert worker.returncode == 0
        assert looks > 20
        assert overwritten > 1_000
        os.close(fd)
        consumer.close()
