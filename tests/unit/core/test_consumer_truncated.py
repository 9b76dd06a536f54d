"""Consumer: a segment that is cut short while it is mapped.

The kernel answers a touch of a missing page with SIGBUS. Each case runs in a
process of its own: where the guard fails, that one dies, and the test says so.
"""

import os
import signal
import subprocess
import sys

import pytest

from support.ring_builder import RingBuilder

PROGRAM = """
import os, sys
from shmtel._ring import Consumer, RingError

consumer = Consumer(os.open(sys.argv[1], os.O_RDWR))
assert consumer.drain(1).delivered == 1
before = consumer.cursor
os.truncate(sys.argv[1], int(sys.argv[2]))
calls = {
    "tail": consumer.tail,
    "drain": lambda: consumer.drain(1),
    "settle": lambda: consumer.settle(before, 1, [1] + [0] * 31),
    "set_word": lambda: consumer.set_word(0, 1),
    "set_sent_seq": lambda: consumer.set_sent_seq(1),
    "counters": consumer.counters,
    "names": lambda: consumer.names(0),
}
for name in sys.argv[3:]:
    for _ in range(3):  # the guard holds more than once
        try:
            calls[name]()
        except RingError as error:
            assert error.reason == "truncated", error.reason
        else:
            raise AssertionError(name)
assert (consumer.cursor, consumer.head, consumer.settled_seq) == (before, 0, 0)
print("alive")
"""


@pytest.mark.parametrize(
    ("size", "calls"),
    [
        (0, "tail drain settle set_word set_sent_seq counters names"),
        (4096, "tail drain settle set_word set_sent_seq counters names"),
        (8192, "settle set_word set_sent_seq names"),
        (16384, "names"),
    ],
)
def test_a_truncated_ring_is_an_error_not_a_death(
    ring: RingBuilder, size: int, calls: str
) -> None:
    """Whatever zone is gone, each call that needs it says so, every time."""
    ring.append()
    run = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            PROGRAM,
            str(ring.path),
            str(size),
            *calls.split(),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "alive\n"


def test_truncated_data_is_an_error(ring: RingBuilder) -> None:
    """Records that are gone are not read as zeros."""
    ring.append()
    program = PROGRAM.replace("assert consumer.drain(1).delivered == 1", "")
    run = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            program,
            str(ring.path),
            str(ring.data_offset),
            "drain",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.stdout == "alive\n", run.stderr


FOREIGN = """
import mmap, os, signal, sys
from shmtel._ring import Consumer

if sys.argv[2] == "faulthandler":
    import faulthandler
    faulthandler.enable()
if sys.argv[2] == "ignored":
    signal.signal(signal.SIGBUS, signal.SIG_IGN)
if sys.argv[2] == "python":
    signal.signal(signal.SIGBUS, lambda number, frame: print("handled", flush=True))
consumer = Consumer(os.open(sys.argv[1], os.O_RDWR))
if sys.argv[3] == "sent":
    os.kill(os.getpid(), signal.SIGBUS)
else:
    fd = os.memfd_create("x")
    os.ftruncate(fd, 4096)
    view = mmap.mmap(fd, 4096)
    os.ftruncate(fd, 0)
    view[0]
print("alive", flush=True)
"""


@pytest.mark.parametrize(
    ("before", "kind", "dies", "stdout"),
    [
        ("default", "fault", True, ""),
        ("default", "sent", True, ""),
        ("ignored", "fault", True, ""),
        ("ignored", "sent", False, "alive\n"),
        ("faulthandler", "fault", True, ""),
        ("python", "sent", False, "handled\nalive\n"),
    ],
)
def test_a_bus_error_that_is_not_ours_goes_its_way(
    ring: RingBuilder, before: str, kind: str, dies: bool, stdout: str
) -> None:
    """A fault elsewhere, or a signal that was sent, ends as it did before us."""
    run = subprocess.run(
        [sys.executable, "-P", "-c", FOREIGN, str(ring.path), before, kind],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONFAULTHANDLER": ""},
    )
    assert run.returncode == (-signal.SIGBUS if dies else 0), run.stderr
    assert run.stdout == stdout
    assert ("Bus error" in run.stderr) == (before == "faulthandler")
