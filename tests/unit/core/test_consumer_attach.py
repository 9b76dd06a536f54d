"""Consumer: what a ring must be to be consumed, and who may consume it."""

import ctypes
import fcntl
import gc
import os
import weakref
from typing import Any

import pytest

from shmtel._ring import Consumer, RingError, RingLocked, lock_holder, observe
from support.ring_builder import RingBuilder
from support.ring_layout import (
    ControlZone,
    Identity,
    NamesZone,
    ProducerZone,
)


def _reason(function: Any, fd: int) -> str:
    with pytest.raises(RingError) as caught:
        function(fd)
    return caught.value.reason


def test_the_identity_is_what_the_ring_says(ring: RingBuilder) -> None:
    """A consumer shows the judged identity, with the resource undecoded."""
    consumer = Consumer(ring.open())
    identity = consumer.identity
    assert identity["ring_id"] == ring.ring_id
    assert identity["pid"] == os.getpid()
    assert identity["capacity"] == ring.capacity
    assert identity["resource"] == b"\x80"
    assert identity == observe(consumer.fileno())["identity"]


def test_the_identity_is_kept_from_attach_on(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """What a worker writes over its identity later changes nothing."""
    before = consumer.identity
    consumer.identity["pid"] = 1
    ring.poke(Identity, pid=2, capacity=1 << 20, magic=0)
    ring.append()
    assert consumer.identity == before
    assert consumer.drain(1 << 20) is not None


def test_a_ring_has_one_consumer(ring: RingBuilder, consumer: Consumer) -> None:
    """The second is refused, within the process too, until the first is closed."""
    fd = ring.open()
    with pytest.raises(RingLocked) as caught:
        Consumer(fd)
    assert caught.value.reason == "locked"
    assert str(caught.value) == "another collector consumes this ring"
    consumer.close()
    Consumer(fd).close()


def test_a_dropped_consumer_frees_the_ring(ring: RingBuilder) -> None:
    """Collecting the object unlocks and closes, as close() does."""
    consumer = Consumer(ring.open())
    fd = consumer.fileno()
    del consumer
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    Consumer(ring.open()).close()


def test_a_refused_descriptor_stays_with_the_caller(ring: RingBuilder) -> None:
    """It is open and unlocked, so that the same one may be tried again."""
    ring.poke(Identity, magic=0)
    fd = ring.open()
    assert _reason(Consumer, fd) == "no_magic"
    ring.poke(Identity, magic=0x31676E69726C7473)
    Consumer(fd).close()


def test_a_consumer_is_made_once(ring: RingBuilder, consumer: Consumer) -> None:
    """Calling __init__ again would leak the ring it has."""
    fd = ring.open()
    with pytest.raises(ValueError, match="has a ring already"):
        consumer.__init__(fd)  # type: ignore[misc]
    os.close(fd)


def test_an_unattached_consumer_is_harmless() -> None:
    """An object whose __init__ never ran refuses every call."""
    consumer = Consumer.__new__(Consumer)
    for call in (consumer.tail, consumer.fileno, consumer.counters):
        with pytest.raises(ValueError, match="closed"):
            call()
    with pytest.raises(ValueError, match="no ring"):
        _ = consumer.identity
    consumer.rewind()
    consumer.close()


def test_a_descriptor_without_write_access_is_refused(ring: RingBuilder) -> None:
    """The lock of a consumer needs one; an observer does not."""
    fd = ring.open(writable=False)
    assert _reason(Consumer, fd) == "io"
    assert observe(fd)["tail"] == 0
    os.close(fd)


def test_what_is_not_a_file_is_not_a_ring() -> None:
    """A directory or a pipe has no identity to read."""
    fd = os.open("/", os.O_RDONLY)
    assert _reason(observe, fd) == "no_magic"
    os.close(fd)
    assert _reason(observe, 10**6) == "io"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"magic": 0}, "no_magic"),
        ({"magic": 1}, "no_magic"),
        ({"abi_major": 2}, "version"),
        ({"page_size": 0}, "geometry"),
        ({"page_size": 2048}, "geometry"),
        ({"page_size": 4097}, "geometry"),
        ({"page_size": 131072}, "geometry"),
        ({"page_size": 8192}, "geometry"),
        ({"capacity": 0}, "geometry"),
        ({"capacity": 32 << 10}, "geometry"),
        ({"capacity": (64 << 10) + 8}, "geometry"),
        ({"capacity": 1 << 31}, "geometry"),
        ({"capacity": 1 << 63}, "geometry"),
        ({"capacity": 128 << 10}, "geometry"),
        ({"file_size": 0}, "geometry"),
        ({"control_offset": 0}, "geometry"),
        ({"names_offset": 4096}, "geometry"),
        ({"data_offset": 2**32 - 1}, "geometry"),
        ({"pid": 0}, "identity"),
        ({"pid": 1 << 31}, "identity"),
        ({"resource_length": 4096 - 255}, "identity"),
        ({"resource_length": 2**32 - 1}, "identity"),
        ({"overflow": 2}, "identity"),
    ],
)
def test_a_senseless_identity_is_refused(
    ring: RingBuilder, fields: dict[str, int], reason: str
) -> None:
    """Each claim of the identity is judged, by consumer and observer alike."""
    ring.poke(Identity, **fields)
    fd = ring.open()
    assert _reason(Consumer, fd) == reason
    assert _reason(observe, fd) == reason
    os.close(fd)


def test_a_newer_minor_version_is_read(ring: RingBuilder) -> None:
    """A minor version only uses what an old reader may ignore."""
    ring.poke(Identity, abi_minor=7)
    Consumer(ring.open()).close()


def test_a_ring_of_larger_pages_is_read() -> None:
    """The zones lie where the maker's page size puts them, not ours."""
    with RingBuilder(page_size=65536) as ring:
        ring.add_name("a.b")
        ring.append()
        consumer = Consumer(ring.open())
        drained = consumer.drain(1)
        assert drained is not None
        assert drained.delivered == 1
        consumer.set_sent_seq(1)
        assert ring.peek(ControlZone).sent_seq == 1


@pytest.mark.parametrize("size", [0, 7, 8, 4095, 4096, 200_000])
def test_a_short_segment_is_refused(ring: RingBuilder, size: int) -> None:
    """An empty one is not yet a ring; one with an identity is cut short."""
    os.ftruncate(ring.fd, size)
    fd = ring.open()
    reason = "no_magic" if size < 8 else "truncated"
    assert _reason(Consumer, fd) == reason
    assert _reason(observe, fd) == reason
    os.close(fd)


def _with_history(ring: RingBuilder) -> None:
    """Two events, the first of them settled in slot 1."""
    ring.append()
    head = ring.tail
    ring.append()
    totals = (ctypes.c_uint64 * 32)(1)
    ring.poke_slot(1, head=head, head_seq=1, settled_seq=1, totals=totals)
    ring.poke(ControlZone, active_slot=1, head=head)


def test_a_consumer_resumes_where_the_last_one_settled(ring: RingBuilder) -> None:
    """Position, seq and totals come from the slot in force."""
    _with_history(ring)
    consumer = Consumer(ring.open())
    assert (consumer.head, consumer.cursor) == (40, 40)
    assert (consumer.settled_seq, consumer.cursor_seq) == (1, 1)
    assert consumer.totals == [1] + [0] * 31
    drained = consumer.drain(1)
    assert drained is not None
    assert (drained.seq_before, drained.seq_last) == (1, 2)


def test_a_slot_ahead_of_head_is_finished(ring: RingBuilder) -> None:
    """A consumer killed between slot and head leaves the rest to the next one."""
    _with_history(ring)
    ring.poke(ControlZone, head=0)
    consumer = Consumer(ring.open())
    assert consumer.head == 40
    assert ring.peek(ControlZone).head == 40


@pytest.mark.parametrize(
    ("slot", "control", "reason"),
    [
        ({}, {"active_slot": 2}, "settlement"),
        ({}, {"active_slot": 0}, "settlement"),  # head ahead of its slot
        ({"head": 44}, {}, "settlement"),
        ({"head": 88}, {}, "settlement"),
        ({"head": 2**64 - 8}, {}, "settlement"),
        ({"head_seq": 3, "settled_seq": 3}, {}, "settlement"),
        ({"head_seq": 2**63}, {}, "settlement"),
        ({"head_seq": 0}, {}, "settlement"),  # settled_seq is past it
        ({"settled_seq": 0}, {}, "settlement"),
        ({"totals": (2,)}, {}, "settlement"),
        ({"totals": (2**63, 2**63, 1)}, {}, "settlement"),
        ({}, {"head": 4}, "positions"),
        ({}, {"head": 88}, "positions"),
        ({}, {"head": 2**64 - 8}, "positions"),
    ],
)
def test_a_forged_settlement_is_refused(
    ring: RingBuilder, slot: dict[str, Any], control: dict[str, int], reason: str
) -> None:
    """The slot is judged like anything else that a worker could have written."""
    _with_history(ring)
    if "totals" in slot:
        slot = slot | {"totals": (ctypes.c_uint64 * 32)(*slot["totals"])}
    ring.poke_slot(1, **slot)
    ring.poke(ControlZone, **control)
    fd = ring.open()
    assert _reason(Consumer, fd) == reason
    assert _reason(observe, fd) == reason
    os.close(fd)


def test_a_slot_that_does_not_exist_is_refused(ring: RingBuilder) -> None:
    """Words that stand behind the slots and look like one are no third slot."""
    ring.poke(ControlZone, word=(ctypes.c_uint32 * 1024)(), active_slot=2)
    fd = ring.open()
    assert _reason(Consumer, fd) == _reason(observe, fd) == "settlement"
    os.close(fd)


@pytest.mark.parametrize("tail", [4, (64 << 10) + 8, 2**64 - 8])
def test_an_impossible_tail_is_refused_at_attach(ring: RingBuilder, tail: int) -> None:
    """Unaligned, or more than a ring of bytes past head."""
    ring.poke(ProducerZone, tail=tail)
    fd = ring.open()
    assert _reason(Consumer, fd) == "positions"
    os.close(fd)


def test_a_name_count_past_the_table_is_refused(ring: RingBuilder) -> None:
    """An observer reads the names at once, a consumer when it needs them."""
    ring.poke(NamesZone, name_count=1025)
    fd = ring.open()
    assert _reason(observe, fd) == "names"
    consumer = Consumer(fd)
    assert _reason(consumer.names, 0) == "names"


def test_the_lock_is_on_the_consumers_byte_alone(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """The producer's lock on byte 0 is not in the way, nor taken."""
    fd = ring.open()
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
    with pytest.raises(BlockingIOError):
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1)
    os.close(fd)


def test_many_consumers_come_and_go(ring: RingBuilder) -> None:
    """Attaching and closing leaves no descriptor and no mapping behind."""

    def count() -> tuple[int, int]:
        with open("/proc/self/maps") as maps:
            lines = sum(ring.name in line for line in maps)
        return len(os.listdir("/proc/self/fd")), lines

    before = count()
    for _ in range(50):
        Consumer(ring.open()).close()
    assert count() == before


def test_a_cycle_through_drained_is_collected(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """The garbage collector sees what a Drained holds."""

    class Marker:
        """Something that can be watched."""

    ring.append()
    drained = consumer.drain(1)
    assert drained is not None
    marker = Marker()
    watch = weakref.ref(marker)
    counts: list[Any] = drained.counts
    counts.append((drained, marker))
    del drained, counts, marker
    gc.collect()
    assert watch() is None


def test_a_descriptor_that_is_not_its_own_stays_open(ring: RingBuilder) -> None:
    """Closing, forgetting and failing leave it open, and the ring unlocked."""
    fd = ring.open()
    for _ in range(2):
        consumer = Consumer(fd, owns_fd=False)
        with pytest.raises(RingLocked):
            Consumer(ring.fd)
        consumer.close()
        consumer.close()
    consumer = Consumer(fd, owns_fd=False)
    del consumer
    os.fstat(fd)
    Consumer(fd).close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


def test_the_producers_own_descriptor_keeps_its_lock(ring: RingBuilder) -> None:
    """A process may consume its own ring without seeming to be dead."""
    ring.hold_lock()
    ring.append()
    consumer = Consumer(ring.fd, owns_fd=False)
    drained = consumer.drain(1)
    assert drained is not None
    assert drained.delivered == 1
    consumer.close()
    assert lock_holder(ring.fd) == os.getpid()
