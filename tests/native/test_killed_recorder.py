"""Producers that overwrite, killed between any two of their stores.

As in test_killed_producer.py, with a ring that gives up its oldest records: what is
left is the end of the same events, and what is gone is counted to the event.
"""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from support import doomed_worker
from support.doomed_rings import Outcome, Ring, Workers
from support.native_build import core_with_points
from support.own_ring import decode

# What is compiled here takes its time on a busy machine.
pytestmark = pytest.mark.timeout(600)

POINTS = [
    *("evict_begun", "evict_stored"),
    *("record_reserved", "record_headed", "record_committed", "record_counted"),
]
OVERWRITTEN = 18


class Recorder(Ring):
    """A ring whose oldest events may be gone when they are looked for."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.by_seq: dict[int, tuple[str, Any, Any]] = {}
        self.overwritten = 0

    def drain(self) -> None:
        """Take what is there, and count what is not."""
        while (drained := self.consumer.drain(1 << 20)) is not None:
            for event in decode(drained, self.consumer.names(0)):
                numbers = event.measurements if "index" in event.measurements else None
                self.by_seq[event.seq] = (event.name, numbers, event.metadata)
            for _, outcome, count in drained.counts:
                assert outcome == OVERWRITTEN
                self.overwritten += count
            assert len(self.by_seq) + self.overwritten == drained.seq_last
            totals = [len(self.by_seq)] + [0] * 31
            totals[OVERWRITTEN] = self.overwritten
            self.consumer.settle(drained.position, drained.seq_last, totals)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """One program for all workers, of the core with points."""
    made = Workers(core_with_points(), "overwrite", Recorder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def undisturbed(workers: Workers) -> Outcome:
    """What a worker does that nobody kills."""
    return workers.run(is_watched=True)


def test_the_worker_that_is_left_alone_overwrites(undisturbed: Outcome) -> None:
    """It gives up events that nobody has read, and refuses none for want of room."""
    first, second = undisturbed.rings
    assert isinstance(first, Recorder)
    assert isinstance(second, Recorder)
    assert undisturbed.returned == doomed_worker.STEPS
    assert first.overwritten > 0
    assert first.consumer.counters()["dropped"]["ring_full"] == 0
    assert all(undisturbed.said["passages"][point] > 3 for point in POINTS)


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_is_killed_leaves_the_last_events(
    workers: Workers, undisturbed: Outcome, point: str
) -> None:
    """What is there is whole and in order; the rest is counted, to the event."""
    count = undisturbed.said["passages"][point]
    for passage in (1, 2, count // 3, count // 2, count):
        outcome = workers.run(point, passage)
        assert outcome.code == -signal.SIGKILL, (point, passage)
        _check(outcome, undisturbed)


def _check(outcome: Outcome, undisturbed: Outcome) -> None:
    committed = 0
    for ring, whole in zip(outcome.rings, undisturbed.rings, strict=False):
        assert isinstance(ring, Recorder)
        assert isinstance(whole, Recorder)
        last_seq = ring.consumer.cursor_seq
        assert len(ring.by_seq) + ring.overwritten == last_seq
        assert last_seq == max(ring.by_seq, default=0)
        for seq in ring.by_seq.keys() & whole.by_seq.keys():
            assert ring.by_seq[seq] == whole.by_seq[seq]
        seen, holder = ring.observe()
        assert seen["overwritten"] <= last_seq
        assert last_seq - seen["counters"]["committed"] in (0, 1)
        assert holder is None
        committed += last_seq
    before, after = undisturbed.said["history"][outcome.returned :][:2]
    assert before[0] <= committed <= after[0]
