"""The example reader of a ring, which knows of rings what layout.md says.

What it reads is compared with what the observers of the product read.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmtel import _ring
from support.docs_program import DOCS, load
from support.home import HOME
from support.own_ring import decode
from support.program import fresh_namespace
from support.ring_builder import RingBuilder
from support.ring_layout import ControlZone, ProducerZone
from support.ring_worker import Nursery, Worker

reader = load("examples/read_ring.py")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """What workers are made by."""
    with fresh_namespace() as namespace, Nursery(namespace) as made:
        yield made


@pytest.fixture(params=["drop", "overwrite"])
def worker(nursery: Nursery, request: pytest.FixtureRequest) -> Iterator[Worker]:
    """A worker with a small ring, of either mode."""
    made = nursery.fork(SHMTEL_RING_SIZE="64KiB", SHMTEL_OVERFLOW=request.param)
    yield made
    made.close()


def emit(worker: Worker, count: int, padding: int = 0) -> None:
    """Have it emit events of some size."""
    events = [("job.done", {"n": n}, {"p": bytes(padding)}, "id") for n in range(count)]
    worker.call("emit", events)


def assert_agreed(fd: int) -> int:
    """Compare the example's reading with the product's; return how many events."""
    seen, ring = _ring.observe(fd), reader.Ring(fd)
    follower = _ring.Follower(fd)
    expected, rejected, missed = [], 0, 0
    while (taken := follower.take(1 << 20)) is not None:
        expected += decode(taken, follower.names(0))
        rejected, missed = rejected + taken.rejected, missed + taken.missed
    events = list(ring.events())
    assert [(name, *rest) for name, *rest in events] == expected
    assert (ring.rejected, ring.missed) == (rejected, missed)
    assert ring.ring_id == seen["identity"]["ring_id"].hex()
    assert ring.pid == seen["identity"]["pid"]
    counters: dict[str, Any] = dict(seen["counters"])
    expected_counters = counters.pop("dropped") | counters
    assert ring.counters.items() <= expected_counters.items()
    assert ring.names() == [event["name"] for event in seen["events"]]
    return len(events)


def test_a_live_ring_and_then_a_dead_one(worker: Worker) -> None:
    """It makes no difference to who reads."""
    fd = HOME.open(worker.ring_name(), writable=False)
    emit(worker, 20)
    assert assert_agreed(fd) == 21
    worker.kill(fd)
    assert assert_agreed(fd) == 21
    os.close(fd)


def test_a_ring_that_is_full_and_goes_round(worker: Worker) -> None:
    """With events that were dropped, or overwritten, and records over the end."""
    name = worker.ring_name()
    fd, consumer = HOME.open(name, writable=False), None
    for padding in (100, 10_000, 3000, 0):
        emit(worker, 900, padding)
        assert assert_agreed(fd) > 0
        consumer = consumer or _ring.Consumer(HOME.open(name, writable=True))
        for _ in range(2):
            drained = consumer.drain(30_000)
            assert drained is not None
            seq = drained.seq_last
            consumer.settle(drained.position, seq, [seq, *[0] * 31])
            assert_agreed(fd)
    assert _ring.observe(fd)["tail"] > 3 * 65_536
    os.close(fd)


def test_a_ring_that_is_empty_or_has_ended() -> None:
    """Nothing is there, and nothing is read behind the end of a retired ring."""
    with RingBuilder() as ring:
        ring.add_name("a.b")
        assert assert_agreed(ring.fd) == 0
        end = ring.append()
        ring.append()
        ring.poke(ControlZone, final_tail=end)
        assert assert_agreed(ring.fd) == 1


def test_records_that_are_no_events() -> None:
    """They are counted, and the next one follows."""
    with RingBuilder() as ring:
        ring.add_name("a.b")
        ring.append()
        ring.append(7)  # no such name
        ring.append(0, threshold=5)  # its draw is 0
        ring.append_array(b"\xc0" * 40)
        ring.append(0, "id", {}, 5)
        ring.append()
        assert assert_agreed(ring.fd) == 2
        example = reader.Ring(ring.fd)
        list(example.events())
        assert example.rejected == 4


@pytest.mark.parametrize("field", ["head", "tail"])
def test_what_is_passed_while_it_copies_is_not_used(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that head or oldest has passed after the copy may be half another."""
    with RingBuilder() as ring:
        ring.add_name("a.b")
        first = ring.append()
        ring.append()
        copy = reader.Ring.copy

        def copy_and_move(self: Any, offset: int, size: int) -> bytes:
            data: bytes = copy(self, offset, size)
            if offset == ring.data_offset and size:
                if field == "head":
                    ring.poke(ControlZone, head=first)
                else:
                    ring.poke(ProducerZone, oldest=first)
            return data

        monkeypatch.setattr(reader.Ring, "copy", copy_and_move)
        example = reader.Ring(ring.fd)
        assert [event[1] for event in example.events()] == [2]
        assert example.missed == 1


@given(
    st.lists(st.tuples(st.integers(0, 24_575), st.binary(min_size=1, max_size=9))),
    st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=9))),
    st.integers(0, 160_000),
)
@settings(deadline=None)
def test_any_bytes(
    anywhere: list[tuple[int, bytes]], records: list[tuple[int, bytes]], size: int
) -> None:
    """It reads, or raises its own error and no other."""
    with RingBuilder() as ring:
        for number in range(4):
            ring.append(ring.add_name(f"event.{number}"))
        for offset, data in records:
            ring.write(ring.data_offset + offset, data)
        for offset, data in anywhere:
            ring.write(offset, data)
        if size < 80_000:
            os.truncate(ring.fd, size)
        try:
            example = reader.Ring(ring.fd)
            events = list(example.events())
        except reader.RingError:
            return
        assert len(events) <= 65_536 // 40


def test_it_is_short_and_stands_alone() -> None:
    """A hundred lines, msgpack, and nothing of the product."""
    text = (DOCS / "examples" / "read_ring.py").read_text()
    assert len(text.splitlines()) <= 100
    assert "import shmtel" not in text
    assert "from shmtel" not in text


def test_it_prints_a_line_for_each_event(worker: Worker) -> None:
    """As a program it says who made the ring, what was counted, and what is there."""
    emit(worker, 2)
    done = subprocess.run(
        [
            sys.executable,
            DOCS / "examples" / "read_ring.py",
            HOME.path(worker.ring_name()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert lines[1] == str(worker.pid)
    assert sum("job.done" in line for line in lines) == 2
    assert lines[-1] == "rejected 0 missed 0"
