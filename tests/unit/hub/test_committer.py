"""Groups of batches, written before they are acknowledged."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from shmtel.hub import committer as committer_module
from shmtel.hub.committer import Committer
from shmtel.hub.counters import Counters, HubStats
from shmtel.hub.measures.lives import Presence
from shmtel.hub.measures.measures import Measures
from shmtel.hub.positions import NoPositions, PositionError, RingState, Row, SinkMark
from shmtel.hub.progress import Progress
from shmtel.hub.ring_entry import RingEntry
from shmtel.hub.sinks import IsCommitted, Marks
from shmtel.hub.table import EXPIRY_S, Change, RingTable
from shmtel.wire.frames import RingOpened
from shmtel.wire.protocol import Position
from support.frames import HELLO, WORKER
from support.hubs import WAIT_S
from support.processes import wait_until


class Disk(NoPositions):
    """Remembers groups; it can hang, and it can fail."""

    def __init__(self) -> None:
        self.groups: list[Mapping[str, Row | None]] = []
        self.may_write = threading.Event()
        self.may_write.set()
        self.is_writing = threading.Event()
        self.error: str | None = None

    def write(self, rows: Mapping[str, Row | None]) -> None:
        """Remember a group."""
        self.is_writing.set()
        assert self.may_write.wait(WAIT_S)
        if self.error is not None:
            raise PositionError(self.error)
        self.groups.append(rows)


class FixedSink:
    """A sink that never moves."""

    repeated = 0

    def mark(self) -> str:
        """Return where it ends."""
        return "here"

    def recover(self, mark: str | None, is_committed: IsCommitted) -> None:
        """Nothing is stored."""


class Bench:
    """A committer, and streams to commit for."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.table = RingTable()
        self.marks = Marks()
        self.measures = Measures(Presence(self.table))
        self.counters = Counters()
        self.now_s = 1.0
        self.committer = Committer(
            *(self.table, self.disk, self.marks, self.measures, self.counters),
            now_s=lambda: self.now_s,
        )

    def stream(self) -> tuple[Progress, list[int]]:
        """Return the progress of a stream, and where its acks appear."""
        acks: list[int] = []
        return Progress(self.marks, self.committer.submit, acks.append), acks

    def ring(self, number: int) -> RingEntry:
        """Return a ring that is open."""
        opened = RingOpened(1, bytes([number]) * 16, WORKER)
        return self.table.open(HELLO, opened, int(self.now_s))

    def stats(self) -> HubStats:
        """Return what was counted."""
        return self.counters.snapshot()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Yield a committer that is closed after."""
    bench = Bench()
    yield bench
    bench.disk.may_write.set()
    bench.committer.close(WAIT_S)


def work(progress: Progress, batch_seq: int, entry: RingEntry) -> None:
    """Do a batch that takes a ring to the seq of its number."""
    begun = progress.begin(batch_seq)
    entry.position = Position(batch_seq, {0: batch_seq})
    begun.changes = [Change(entry, entry.position)]
    begun.release()


@contextmanager
def hanging(disk: Disk) -> Iterator[None]:
    """Let what is written hang until the context ends."""
    disk.is_writing.clear()
    disk.may_write.clear()
    yield
    disk.may_write.set()


def test_it_is_written_before_it_is_acknowledged(bench: Bench) -> None:
    """While the disk works nobody is told, and what comes meanwhile is one group."""
    (one, one_acks), (two, two_acks) = bench.stream(), bench.stream()
    rings = [bench.ring(number) for number in (1, 2)]
    with hanging(bench.disk):
        work(one, 1, rings[0])
        assert bench.disk.is_writing.wait(WAIT_S)
        for seq in (2, 3):
            work(one, seq, rings[0])
        work(two, 1, rings[1])
        assert one_acks == two_acks == []
    wait_until(lambda: one_acks == [1, 3] and two_acks == [1], WAIT_S)
    first, second = bench.disk.groups
    assert {key: row.last_seq for key, row in first.items()} == {rings[0].key: 1}  # type: ignore[union-attr]
    assert {key: row.last_seq for key, row in second.items()} == {  # type: ignore[union-attr]
        rings[0].key: 3,
        rings[1].key: 1,
    }
    assert bench.stats().commits == 2


def test_what_cannot_be_written_is_not_acknowledged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, counted each time, and recovers by itself."""
    bench.disk.error = "disk full"
    progress, acks = bench.stream()
    ring = bench.ring(1)
    with caplog.at_level(logging.WARNING):
        work(progress, 1, ring)
        wait_until(lambda: bench.stats().commit_failures >= 3, WAIT_S)
        work(progress, 2, ring)
        assert (acks, bench.committer.failure) == ([], "disk full")
        bench.disk.error = None
        wait_until(lambda: acks[-1:] == [2], WAIT_S)
    assert bench.committer.failure is None
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "nothing is acknowledged until it can be written: disk full",
        "the hub writes again, and acknowledges",
    ]


def test_marks_of_sinks_are_in_the_group(bench: Bench) -> None:
    """They are kept by the same transaction as the positions, when they move."""
    bench.marks.add("jsonl", FixedSink())
    progress, acks = bench.stream()
    for seq in (1, 2):
        work(progress, seq, bench.ring(1))
        wait_until(lambda: len(acks) == seq, WAIT_S)  # noqa: B023
    kept = [
        [row.mark for row in group.values() if isinstance(row, SinkMark)]
        for group in bench.disk.groups
    ]
    assert kept == [["here"], []]


def test_a_batch_without_rings(bench: Bench) -> None:
    """It changes nothing, and is acknowledged in its turn."""
    progress, acks = bench.stream()
    progress.begin(1).release()
    wait_until(lambda: acks == [1], WAIT_S)
    assert bench.disk.groups == []


def test_the_end_commits_what_is_done(bench: Bench) -> None:
    """And what comes later stays unacknowledged."""
    progress, acks = bench.stream()
    work(progress, 1, bench.ring(1))
    bench.committer.close(WAIT_S)
    assert acks == [1]
    work(progress, 2, bench.ring(1))
    assert len(bench.disk.groups) == 1


def test_the_end_does_not_wait_for_a_disk_that_fails(bench: Bench) -> None:
    """What is not written is not acknowledged."""
    bench.disk.error = "disk full"
    progress, acks = bench.stream()
    work(progress, 1, bench.ring(1))
    wait_until(lambda: bench.committer.failure, WAIT_S)
    bench.committer.close(WAIT_S)
    assert acks == []


def test_a_defect_holds_all_acks(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, counted, and the hub is not ready any more."""
    progress, acks = bench.stream()
    monkeypatch.setattr(bench.table, "settle", None)
    with caplog.at_level(logging.ERROR):
        work(progress, 1, bench.ring(1))
        wait_until(lambda: bench.committer.failure, WAIT_S)
        bench.committer.close(WAIT_S)
    assert acks == []
    assert bench.stats().internal_errors == 1
    assert "a defect in the hub" in caplog.text


def test_much_that_waits_is_written_soon(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams that would run out of credit do not wait for more to gather."""
    monkeypatch.setattr(committer_module, "LAZY_S", 3_600.0)
    progress, acks = bench.stream()
    progress.begin(1).release()
    wait_until(lambda: acks == [1], WAIT_S)
    progress.begin(2).release()
    progress.begin(3, committer_module.EAGER_BYTES).release()
    wait_until(lambda: acks == [1, 3], WAIT_S)


def test_it_sweeps_when_nothing_happens(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rings that nobody came back to go away, without any batch."""
    monkeypatch.setattr(committer_module, "SWEEP_S", 0.01)
    progress, acks = bench.stream()
    ring = bench.ring(1)
    work(progress, 1, ring)
    wait_until(lambda: acks == [1], WAIT_S)
    bench.table.leave([ring], 1)
    bench.now_s = EXPIRY_S + 2.0
    wait_until(lambda: bench.disk.groups[-1].get(ring.key, ring) is None, WAIT_S)
    (state,) = (r for r in bench.disk.groups[0].values() if isinstance(r, RingState))
    assert state.last_seq == 1
    assert bench.table.entries() == []
