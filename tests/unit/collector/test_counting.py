"""What the hub is told of rings ahead of their events."""

from collections.abc import Callable

import pytest

from shmtel.segments import Home
from shmtel.wire.frames import Counters, HostCounters, Outcome, RingCounters
from shmtel_collector import host_counts
from support.emitter import Emitter
from support.memory_line import SECOND_NS, MemoryLine

StartWorker = Callable[..., Emitter]


def _count(line: MemoryLine) -> list[Counters]:
    """Let a second go by, and return what the hub was told in it."""
    line.hub.counters.clear()
    line.step(SECOND_NS)
    line.session.tick(line.now_ns)
    line.exchange()
    return list(line.hub.counters)


def _rings(line: MemoryLine) -> list[RingCounters]:
    return [ring for frame in _count(line) for ring in frame.rings]


def test_the_hub_learns_what_a_live_worker_claims(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """Calls that never became events are in its ledger while the worker lives."""
    start_worker(SHMTEL_DENY="b.*").command("emit 3 b.c")
    line.connect()
    (ring,) = _rings(line)
    assert ring.counters.filtered == 3
    assert (ring.sent_seq, ring.spooled_seq, ring.counters.committed) == (0, 0, 0)


def test_only_what_has_changed_is_told(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """An idle host says nothing, and of two rings the one that moved."""
    workers = [start_worker(), start_worker()]
    for worker in workers:
        worker.emit(1)
    line.connect()
    assert len(_rings(line)) == 2
    assert _count(line) == []
    workers[1].emit(4)
    (ring,) = _rings(line)
    assert (ring.sent_seq, ring.counters.committed) == (5, 5)
    assert _count(line) == []


def test_what_waits_in_the_ring_is_told(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """Sent, settled and claimed differ while the hub owes its answer."""
    worker = start_worker()
    worker.emit(5)
    line.connect()
    line.hub.is_holding = True
    worker.emit(2)
    line.step()
    worker.emit(3)
    line.now_ns += SECOND_NS
    line.session.tick(line.now_ns)
    line.exchange()
    (ring,) = line.hub.counters[-1].rings
    assert (ring.spooled_seq, ring.sent_seq, ring.counters.committed) == (5, 7, 10)
    line.hub.release()


def test_a_new_stream_is_told_everything(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """Its hub may be another one."""
    start_worker().emit(1)
    line.connect()
    assert len(_rings(line)) == 1
    line.cut()
    line.connect()
    assert len(_rings(line)) == 1


def test_numbers_that_did_not_leave_are_told_later(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """While the link is full nothing is forgotten, and nothing piles up."""
    worker = start_worker()
    worker.emit(1)
    line.connect()
    for count in (1, 2):
        worker.emit(count)
        line.session.tick(line.now_ns)  # and nothing is taken to be sent
        line.now_ns += SECOND_NS
    line.exchange()
    assert [frame.rings[0].counters.committed for frame in line.hub.counters] == [2]
    (ring,) = _rings(line)
    assert ring.counters.committed == 4


def test_an_end_tells_what_is_left(line: MemoryLine, start_worker: StartWorker) -> None:
    """The last numbers leave before the farewell, whatever the second."""
    worker = start_worker()
    worker.emit(1)
    line.connect()
    _count(line)
    worker.emit(5)
    line.hub.counters.clear()
    line.session.bye("stopping")
    line.exchange()
    (frame,) = line.hub.counters
    assert frame.rings[0].counters.committed == 6


def test_the_hub_learns_what_was_evicted(
    line: MemoryLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what was lost by it: the rest of those rings the hub may have seen."""
    totals = {str(int(Outcome.DELIVERED)): 7, str(int(Outcome.LOST_EVICTED)): 1 << 80}
    claims = {"committed": 9, "sampled_out": 0, "filtered": 0, "disabled": 0}
    sum_ = {"rings": 2, "last_seq": 9, "totals": totals, "claims": claims}

    def evictions(_home: Home, _namespace: str, _damaged: object) -> dict[str, object]:
        return sum_

    line.connect()
    _count(line)
    monkeypatch.setattr("shmtel_collector.ledger.read_evictions", evictions)
    (frame,) = _count(line)
    largest = host_counts._LARGEST
    assert frame.host == HostCounters(
        evicted_rings=2, evicted={Outcome.LOST_EVICTED: largest}
    )
