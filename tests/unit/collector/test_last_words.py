"""What the bytes of a dead worker's ring still say: real rings, and hostile ones."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable
from random import Random

import msgpack
import pytest

from shmtel.segments import segment_name
from shmtel_collector.last_words import (
    BYTES_MAX,
    EVENTS_MAX,
    LastWords,
    read_last_words,
)
from support.emitter import Emitter
from support.home import HOME
from support.own_ring import RingReader
from support.processes import environment
from support.ring_builder import RingBuilder, encode_fields, encode_head
from support.ring_layout import ControlZone, ProducerZone

MakeRing = Callable[..., RingBuilder]
StartWorker = Callable[..., Emitter]


def _words(fd: int) -> LastWords:
    words = read_last_words(fd)
    assert words is not None
    return words


def _numbers(words: LastWords) -> list[int]:
    return [msgpack.unpackb(array)[5]["number"] for array in words.events]


def _killed(namespace: str, *lines: str, **variables: str) -> RingReader:
    """Run a program that ends with SIGKILL; return its ring."""
    code = "\n".join(("import os, shmtel", *lines, "os.kill(os.getpid(), 9)"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env=environment(namespace, **variables),
        check=False,
    )
    assert done.returncode == -9
    (name,) = HOME.scan(namespace)
    return RingReader(name)


def test_delivered_events_are_still_there(
    namespace: str, start_worker: StartWorker
) -> None:
    """What was drained and released is read as well, up to the last hundred."""
    worker = start_worker()
    worker.emit(300)
    reader = RingReader(segment_name(namespace, worker.ring_id()))
    assert len(reader.events()) == 300
    worker.emit(7)
    worker.kill()
    words = _words(reader.consumer.fileno())
    reader.consumer.close()
    assert (words.first_seq, words.last_seq) == (1, 307)
    assert _numbers(words) == list(range(307 - EVENTS_MAX, 307))
    assert words.names == {0: "emitter.event"}


def test_full_ring_that_nobody_drained(
    namespace: str, start_worker: StartWorker
) -> None:
    """What was never released is there, to the first event."""
    worker = start_worker(SHMTEL_RING_SIZE="64KiB")
    worker.emit(2_000)
    fd = HOME.open(worker.ring_name(), writable=False)
    worker.kill()
    words = _words(fd)
    os.close(fd)
    assert words.first_seq == 1
    assert _numbers(words)[-1] == words.last_seq - 1


def test_ring_that_went_round_many_times(
    namespace: str, start_worker: StartWorker
) -> None:
    """The oldest record that is whole is found, wherever the newest has cut in."""
    worker = start_worker(SHMTEL_RING_SIZE="64KiB")
    worker.emit(1)
    reader = RingReader(segment_name(namespace, worker.ring_id()))
    for _ in range(20):
        worker.emit(317)
        reader.events()
        words = _words(reader.consumer.fileno())
        assert _numbers(words)[-1] == words.last_seq - 1
    worker.kill()
    reader.consumer.close()
    assert words.last_seq == 1 + 20 * 317
    # All of the ring is read but what the largest record could have cut into.
    assert words.last_seq - words.first_seq > 400


def test_spans_that_had_not_ended(namespace: str) -> None:
    """Those whose start is there and whose end is not, also between other events."""
    reader = _killed(
        namespace,
        "outer = shmtel.span('outer').__enter__()",
        "with shmtel.span('done'): pass",
        "inner = shmtel.span('inner').__enter__()",
        "for n in range(200): shmtel.emit('e', {'number': n})",
    )
    reader.events()
    words = _words(reader.consumer.fileno())
    reader.consumer.close()
    starts = [msgpack.unpackb(array) for array in words.open_spans]
    assert [words.names[s[0]] for s in starts] == ["outer.start", "inner.start"]
    assert words.open_count == 2
    assert _numbers(words) == list(range(100, 200))


def test_flight_recorder(namespace: str) -> None:
    """A ring that overwrites ends with its newest events."""
    reader = _killed(
        namespace,
        "for n in range(5_000): shmtel.emit('e', {'number': n})",
        SHMTEL_OVERFLOW="overwrite",
        SHMTEL_RING_SIZE="64KiB",
    )
    words = _words(reader.consumer.fileno())
    reader.consumer.close()
    assert words.last_seq == 5_000
    assert _numbers(words) == list(range(4_900, 5_000))


def test_large_events_are_bounded(make_ring: MakeRing) -> None:
    """What is kept of a ring has a size that a database can bear."""
    ring = make_ring(capacity=1 << 20)
    ring.add_name("e")
    for number in range(40):
        ring.append(0, None, {"number": number}, {"text": "x" * 5_000})
    words = _words(ring.fd)
    assert _numbers(words)[-1] == 39
    assert BYTES_MAX // 2 < sum(map(len, words.events)) <= BYTES_MAX


def test_empty_ring_has_no_words(make_ring: MakeRing) -> None:
    """Nothing was emitted, so nothing was found."""
    assert _words(make_ring().fd) == LastWords({})


def test_damage_hides_what_follows(make_ring: MakeRing) -> None:
    """Up to where the collector stood the records are believed."""
    ring = make_ring()
    ring.add_name("e")
    for number in range(5):
        ring.append(0, None, {"number": number})
    head = ring.tail
    ring.append_array(b"x" * 40)
    ring.append(0, None, {"number": 9})
    totals = (ctypes.c_uint64 * 32)(5)
    ring.poke_slot(1, head=head, head_seq=5, settled_seq=5, totals=totals)
    ring.poke(ControlZone, active_slot=1, head=head)
    words = _words(ring.fd)
    assert (words.first_seq, words.last_seq) == (1, 5)
    assert _numbers(words) == list(range(5))


def test_record_in_a_payload_is_no_way(make_ring: MakeRing) -> None:
    """What looks like a record inside of another leads nowhere."""
    ring = make_ring()
    ring.add_name("e")
    fake = b"".join(
        len(array).to_bytes(4, "little") + bytes(4) + array + bytes(-len(array) % 8)
        for array in (
            encode_head(0, seq) + encode_fields(None, {"number": -1})
            for seq in range(1, 40)
        )
    )
    for shift in range(8):
        ring.append(0, None, {"number": shift}, {"b": bytes(shift) + fake})
    words = _words(ring.fd)
    assert (words.first_seq, words.last_seq) == (1, 8)
    assert _numbers(words) == list(range(8))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_bytes_are(make_ring: MakeRing, seed: int) -> None:
    """Random bytes, and heads without end, take bounded time and raise nothing."""
    ring, draws = make_ring(), Random(seed)
    ring.add_name("e.start")
    head = bytes(8) + encode_head(0, 1)
    data = draws.randbytes(ring.capacity)
    if seed % 2:
        data = (head + bytes(1)) * (ring.capacity // 32)
    ring.write(ring.data_offset, data)
    ring.poke(ProducerZone, tail=draws.randrange(0, ring.capacity, 8), committed=5)
    began = time.monotonic()
    read_last_words(ring.fd)
    assert time.monotonic() - began < 5.0
    ring.poke(ProducerZone, tail=2**63 + 8)
    assert read_last_words(ring.fd) is None


@pytest.mark.parametrize("period", ["98cd0000cfcfce00", "98cd"])
def test_heads_at_every_place_are_given_up(make_ring: MakeRing, period: str) -> None:
    """A ring that is made to be slow to read costs its reader little, and says little.

    Looked at one by one, the places of this ring would take a minute or more.
    """
    ring = make_ring(capacity=64 << 20)
    ring.add_name("e")
    pattern = bytes.fromhex(period)
    lead = 64  # the collector stands before all of it
    size = (ring.capacity - lead) // len(pattern)
    ring.write(ring.data_offset + lead, pattern * size)
    ring.poke(ProducerZone, tail=ring.capacity, committed=5)
    began = time.process_time()
    words = read_last_words(ring.fd, ring.capacity)
    assert time.process_time() - began < 20.0
    assert words == LastWords({})


def test_file_that_was_cut_short(make_ring: MakeRing) -> None:
    """It is not readable, and that is all."""
    ring = make_ring()
    ring.add_name("e")
    ring.append(0)
    os.ftruncate(ring.fd, ring.data_offset + 8)
    assert read_last_words(ring.fd) is None
