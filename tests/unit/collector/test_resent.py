"""What comes again on a later stream is marked, whoever has died in between."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.memory_line import MemoryLine, seqs_up_to
from support.ring_builder import RingBuilder, fill_ring

MakeRing = Callable[..., RingBuilder]


@pytest.fixture
def line(namespace: str, tmp_path: Path) -> Iterator[MemoryLine]:
    """A collector with a spool, not yet connected."""
    line = MemoryLine(namespace, tmp_path / "state", 64 << 20)
    yield line
    line.close()


@pytest.fixture
def ring(make_ring: MakeRing) -> RingBuilder:
    """The ring of a live worker, empty."""
    ring = make_ring()
    ring.hold_lock()
    return ring


def _seqs(line: MemoryLine, ring: RingBuilder) -> list[int]:
    return line.hub.rings[ring.ring_id].seqs


def test_what_was_sent_before_is_marked(line: MemoryLine, ring: RingBuilder) -> None:
    """On a later stream the hub learns what it may have seen on an earlier one."""
    line.hub.is_holding = True
    line.connect()
    sent = fill_ring(ring, 0.2)
    line.step()
    line.cut()
    last = fill_ring(ring, 0.2)
    line.hub.is_holding = False
    line.connect()
    assert max(line.hub.marks) == sent < last
    assert _seqs(line, ring) == seqs_up_to(last)


def test_the_first_segment_tells_all_that_was_sent(
    line: MemoryLine, ring: RingBuilder
) -> None:
    """Though it holds only a part: of later streams a hub believes only itself."""
    line.hub.is_holding = True
    line.connect()
    sent = fill_ring(ring, 0.4)
    line.step()
    line.cut()
    (again,) = line.fleet.rings.values()
    again.resume(0, {})
    segment = again.take(0)
    assert segment is not None
    assert segment.seq_last < sent == segment.resent_through


def test_what_a_killed_collector_sent_is_marked_by_the_next(
    line: MemoryLine, ring: RingBuilder
) -> None:
    """It is read from shared memory, and from the spool for what is only there."""
    line.hub.is_holding = True
    line.connect()
    sent = fill_ring(ring, 0.2)
    line.step()
    line.kill()
    line.hub.is_holding = False
    line.connect()
    assert max(line.hub.marks) == sent
    assert _seqs(line, ring) == seqs_up_to(sent)


def test_what_was_sent_is_known_after_the_stream_and_the_collector_are_gone(
    line: MemoryLine, ring: RingBuilder
) -> None:
    """That the stream was lost before does not make it unsent for the next one."""
    line.hub.is_holding = True
    line.connect()
    sent = fill_ring(ring, 0.2)
    line.step()
    line.cut()
    line.step()
    line.kill()
    line.hub.is_holding = False
    line.connect()
    assert max(line.hub.marks) == sent
    assert _seqs(line, ring) == seqs_up_to(sent)
