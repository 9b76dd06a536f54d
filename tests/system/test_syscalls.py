"""The hot path makes no system call: counted by strace."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.home import HOME
from support.processes import environment, left_rings
from support.program import fresh_namespace

pytestmark = pytest.mark.system

COUNT = 1_000_000
COUNT_OF_ASKS = 10_000

# The ring holds everything, so that the number of committed events is exact
# without a collector. getppid() marks where a stretch begins and ends.
CODE = f"""
import os
from shmtel import emit, span, stats
measurements = {{"duration": 1234567, "bytes": 5000}}
metadata = {{"tool": "predict", "model": "gpt-4", "worker": "worker_1"}}
def emits(count):
    for _ in range(count):
        emit("tool.execution.stop", measurements, metadata, "abcdef0123456789")
def spans(count):
    for _ in range(count):
        with span("tool.execution", metadata, "abcdef0123456789"):
            pass
def asks(count):
    for number in range(count):
        with span("tool.execution", metadata, "abcdef0123456789") as opened:
            opened.set("number", number)
        stats()
emits(10)
spans(10)
asks(10)
os.getppid()
emits({COUNT})
os.getppid()
spans({COUNT})
os.getppid()
asks({COUNT_OF_ASKS})
os.getppid()
"""


def test_no_system_call_in_a_million_emits_and_spans(tmp_path: Path) -> None:
    """Between the marks strace sees nothing, and every event is committed.

    That holds for emits, for spans, and for what is added to them and for stats().
    """
    log = tmp_path / "strace.log"
    with fresh_namespace() as namespace:
        subprocess.run(
            ["strace", "-f", "-o", str(log), sys.executable, "-c", CODE],
            cwd="/",
            env=environment(namespace, SHMTEL_RING_SIZE="1GiB"),
            check=True,
            timeout=100,
        )
        (ring,) = left_rings_counters(namespace)
        expected = 3 * COUNT + 2 * COUNT_OF_ASKS + 50
        assert ring == {"committed": expected, "dropped": 0}
    between = stretches(log.read_text())
    assert [len(calls) for calls in between] == [0, 0, 0], between


def left_rings_counters(namespace: str) -> list[dict[str, int]]:
    """Return what each worker committed and dropped, by the records themselves."""
    from shmtel import _ring

    rings = []
    for name in HOME.scan(namespace):
        consumer = _ring.Consumer(HOME.open(name, writable=True))
        totals = [0] * 32
        while (drained := consumer.drain(16 << 20)) is not None:
            totals[0] += drained.delivered
            assert drained.counts == []
            consumer.settle(drained.position, drained.seq_last, totals)
        dropped = sum(consumer.counters()["dropped"].values())
        rings.append({"committed": consumer.cursor_seq, "dropped": dropped})
        consumer.close()
    return rings


def stretches(log: str) -> list[list[str]]:
    """Return the calls between each mark and the next."""
    calls = [
        line.split(maxsplit=1)[1]
        for line in log.splitlines()
        if not re.search(r"\d+ (\+\+\+|---)", line)
    ]
    marks = [i for i, call in enumerate(calls) if call.startswith("getppid(")]
    assert len(marks) >= 3
    return [calls[a + 1 : b] for a, b in itertools.pairwise(marks)]


def test_the_marks_would_show_a_call(tmp_path: Path) -> None:
    """The same measurement does see a system call where there is one."""
    log = tmp_path / "strace.log"
    code = "import os\nos.getppid()\nos.getuid()\nos.getppid()\nos.getppid()"
    subprocess.run(
        ["strace", "-f", "-o", str(log), sys.executable, "-c", code],
        check=True,
        timeout=60,
    )
    assert [len(calls) for calls in stretches(log.read_text())] == [1, 0]


def test_events_are_still_readable_afterwards() -> None:
    """The program that is measured emits what it seems to emit."""
    with fresh_namespace() as namespace:
        code = CODE.replace(str(COUNT), "5").replace(str(COUNT_OF_ASKS), "5")
        subprocess.run(
            [sys.executable, "-c", code],
            cwd="/",
            env=environment(namespace),
            check=True,
        )
        (ring,) = left_rings(namespace)
        assert len(ring.events) == 5 * 15
        assert {event.name for event in ring.events} == {
            "tool.execution.stop",
            "tool.execution.start",
        }
