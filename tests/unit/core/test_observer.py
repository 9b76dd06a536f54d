"""observe and lock_holder: looking at a ring without leaving a trace."""

import fcntl
import os
import struct
import subprocess
import sys
from ctypes import c_uint32

import pytest

from shmtel._ring import WORD_UNSET, Consumer, RingError, lock_holder, observe
from support.ring_builder import RingBuilder
from support.ring_layout import ControlZone, NamesZone, ProducerZone

HOLDER = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(fd, fcntl.LOCK_EX, 1, 0)
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_ring_is_shown_whole(ring: RingBuilder) -> None:
    """Identity, counters, control, events and tail, beside a live consumer."""
    ring.append()
    ring.append()
    consumer = Consumer(ring.open())
    consumer.skip_to(1)
    consumer.settle(consumer.cursor, 1, [1] + [0] * 31)
    consumer.set_sent_seq(2)
    consumer.set_heartbeat(3, 4)
    seen = observe(consumer.fileno())
    assert seen["tail"] == ring.tail
    assert seen["identity"] == consumer.identity
    assert seen["counters"] == consumer.counters()
    assert seen["control"] == {
        "head": consumer.head,
        "head_seq": 1,
        "settled_seq": 1,
        "totals": [1] + [0] * 31,
        "sent_seq": 2,
        "enabled": 1,
        "default_word": WORD_UNSET,
        "collector_epoch": 3,
        "collector_heartbeat_ns": 4,
    }
    consumer.close()


def test_events_are_shown_with_their_counters(ring: RingBuilder) -> None:
    """One entry per name, in the order of ids."""
    ring.add_name("c.d")
    ring.poke_entry(1, committed=1, sampled_out=2, filtered=3)
    assert observe(ring.fd)["events"][1] == {
        "name": "c.d",
        "word": 0,
        "initial_word": 0,
        "committed": 1,
        "sampled_out": 2,
        "filtered": 3,
        "dropped": {"ring_full": 0, "too_large": 0, "invalid": 0},
    }


@pytest.mark.parametrize(
    ("own", "default", "initial", "shown"),
    [
        (WORD_UNSET, WORD_UNSET, 5, 5),
        (WORD_UNSET, 6, 5, 6),
        (7, 6, 5, 7),
        (0, 6, 5, 0),
    ],
)
def test_the_word_in_force_is_shown(
    own: int, default: int, initial: int, shown: int
) -> None:
    """It is looked up as the worker does: its own, the default, the initial one."""
    with RingBuilder() as ring:
        ring.add_name("a.b", initial_word=initial)
        words = (c_uint32 * 1024)(own)
        ring.poke(ControlZone, default_word=default, word=words)
        assert observe(ring.fd)["events"][0]["word"] == shown


def test_a_slot_ahead_of_head_is_in_force(ring: RingBuilder) -> None:
    """The settlement counts, as it would for the next consumer."""
    ring.append()
    consumer = Consumer(ring.open())
    consumer.skip_to(1)
    consumer.settle(40, 1, [1] + [0] * 31)
    consumer.close()
    ring.poke(ControlZone, head=0)
    assert observe(ring.fd)["control"]["head"] == 40
    assert ring.peek(ControlZone).head == 0


def test_observing_leaves_no_trace(ring: RingBuilder) -> None:
    """No byte changes, no lock is taken, and read access is enough."""
    before = os.pread(ring.fd, ring.file_size, 0)
    fd = ring.open(writable=False)
    observe(fd)
    os.close(fd)
    assert os.pread(ring.fd, ring.file_size, 0) == before
    Consumer(ring.open()).close()


@pytest.mark.parametrize(
    ("zone", "fields", "reason"),
    [
        (ProducerZone, {"tail": 4}, "positions"),
        (ProducerZone, {"tail": 1 << 40}, "positions"),
        (ControlZone, {"head": 8}, "positions"),
        (ControlZone, {"active_slot": 9}, "settlement"),
        (NamesZone, {"name_count": 1025}, "names"),
        (NamesZone, {"name_count": 2}, "names"),
    ],
)
def test_a_contradictory_ring_is_refused(
    ring: RingBuilder, zone: type, fields: dict[str, int], reason: str
) -> None:
    """An observer judges like a consumer, and says why."""
    ring.poke_entry(1, text_offset=2**31)
    ring.poke(zone, **fields)
    with pytest.raises(RingError) as caught:
        observe(ring.fd)
    assert caught.value.reason == reason


def test_the_holder_of_the_lock_is_named(ring: RingBuilder) -> None:
    """Free, held by another process, and free again after its SIGKILL."""
    assert lock_holder(ring.fd) is None
    with subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDER, str(ring.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        assert lock_holder(ring.fd) == holder.pid
        holder.kill()
    assert lock_holder(ring.fd) is None


def test_the_own_lock_is_seen_too(ring: RingBuilder) -> None:
    """A classic probe would report a process's own lock as free."""
    ring.hold_lock()
    assert lock_holder(ring.fd) == os.getpid()


def test_an_open_file_description_lock_has_no_pid(ring: RingBuilder) -> None:
    """It is held all the same: 0 says that the holder is not visible."""
    flock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
    other = ring.open()
    fcntl.fcntl(other, fcntl.F_OFD_SETLK, flock)
    assert lock_holder(ring.fd) == 0
    os.close(other)


def test_the_consumers_lock_is_not_the_producers(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """Byte 1 says nothing about the life of the worker."""
    assert consumer.fileno() >= 0
    assert lock_holder(ring.fd) is None


def test_a_bad_descriptor_is_an_error() -> None:
    """It is no ring, hence neither free nor held."""
    with pytest.raises(RingError) as caught:
        lock_holder(10**6)
    assert caught.value.reason == "io"
