"""The spool beside rings and stream: every event once, in order, or counted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shmtel import _ring
from shmtel.accounting.accounts import Account
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import Outcome
from shmtel_collector.ledger import read_ledger
from shmtel_collector.ring import Ring
from shmtel_collector.session import OVERDUE_NS
from support.emitter import Emitter
from support.home import HOME
from support.memory_line import SECOND_NS, MemoryLine, seqs_up_to
from support.ring_builder import RingBuilder, fill_ring
from support.ring_layout import ProducerZone

StartWorker = Callable[..., Emitter]
MakeRing = Callable[..., RingBuilder]
SPOOL_BYTES = 64 << 20


@pytest.fixture
def line(namespace: str, tmp_path: Path) -> Iterator[MemoryLine]:
    """A collector with a spool, not yet connected."""
    line = MemoryLine(namespace, tmp_path / "state", SPOOL_BYTES)
    yield line
    line.close()


def _ring_of(line: MemoryLine, ring: RingBuilder) -> Ring:
    return line.fleet.rings[ring.ring_id]


def _seqs(line: MemoryLine, ring: RingBuilder) -> list[int]:
    return line.hub.rings[ring.ring_id].seqs


def _total(line: MemoryLine, namespace: str) -> Account:
    total = read_ledger(namespace, line.database_path.parent, HOME).total
    assert total.unaccounted == 0
    return total


@pytest.fixture
def ring(make_ring: MakeRing) -> RingBuilder:
    """The ring of a live worker, empty."""
    ring = make_ring()
    ring.hold_lock()
    return ring


def test_a_ring_outlasts_many_times_its_size_without_a_hub(
    line: MemoryLine, ring: RingBuilder, namespace: str
) -> None:
    """Half full it goes to the spool, and all of it is delivered afterwards."""
    for _ in range(20):
        last = fill_ring(ring, 0.5)
        line.step()
    total = _total(line, namespace)
    assert (total.spooled, total.in_ring) == (last, 0)
    assert line.spool.used_bytes > 9 * ring.capacity
    line.connect()
    assert _seqs(line, ring) == seqs_up_to(last)
    total = _total(line, namespace)
    assert (total.delivered, total.spooled) == (last, 0)


def test_less_than_half_a_ring_stays_where_it_is(
    line: MemoryLine, ring: RingBuilder, namespace: str
) -> None:
    """The spool is for what a ring cannot hold, not for every pause of the hub."""
    last = fill_ring(ring, 0.4)
    line.step()
    total = _total(line, namespace)
    assert (total.spooled, total.in_ring) == (0, last)


def test_newer_events_wait_behind_those_in_the_spool(
    line: MemoryLine, ring: RingBuilder
) -> None:
    """What is in the ring is not sent before what is in the spool."""
    fill_ring(ring, 0.6)
    line.step()
    last = fill_ring(ring, 0.2)
    line.step()
    assert _ring_of(line, ring).source.head_seq < last
    line.connect()
    assert _seqs(line, ring) == seqs_up_to(last)


def test_a_hub_that_does_not_answer_is_relieved_by_the_spool(
    line: MemoryLine, ring: RingBuilder, namespace: str
) -> None:
    """What was sent and is not acknowledged goes in first, in the same bounds."""
    line.hub.is_holding = True
    line.connect()
    fill_ring(ring, 0.6)
    line.step()
    served = _ring_of(line, ring)
    assert served.source.head_seq == 0 < served.sent_seq
    line.now_ns += SECOND_NS
    last = fill_ring(ring, 0.2)
    line.step()
    assert served.source.head_seq == last
    assert _total(line, namespace).spooled == last
    line.hub.release()
    line.step()
    assert _seqs(line, ring) == seqs_up_to(last)
    assert _total(line, namespace).delivered == last


def test_a_ring_that_stays_nearly_full_is_spooled(
    line: MemoryLine, ring: RingBuilder
) -> None:
    """Three quarters for a while are spooled, though no answer is overdue."""
    line.hub.is_holding = True
    line.connect()
    last = fill_ring(ring, 0.8)
    line.session.is_relieving = lambda now_ns: True  # type: ignore[method-assign]
    line.step()
    assert _ring_of(line, ring).source.head_seq == 0
    line.step(OVERDUE_NS)
    assert _ring_of(line, ring).source.head_seq == last
    line.hub.release()
    line.step()
    assert _seqs(line, ring) == seqs_up_to(last)


def test_a_dead_workers_ring_leaves_memory(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """Drained, closed and removed without a hub; told to it when it comes."""
    ring = make_ring(resource={"worker_id": "w9", "pool_name": "web"})
    last = fill_ring(ring, 0.3)
    ring.poke(ProducerZone, state=2, sampled_out=7)
    line.step()
    line.step(SECOND_NS)
    assert HOME.scan(namespace) == []
    total = _total(line, namespace)
    assert (total.spooled, total.sampled_out, total.committed) == (last, 7, last)
    line.connect()
    line.step(SECOND_NS)
    entry = line.hub.rings[ring.ring_id]
    assert (entry.seqs, entry.closed) == (seqs_up_to(last), "closed")
    assert (entry.worker_id, entry.names) == ("w9", ["a.b"])
    total = _total(line, namespace)
    assert (total.delivered, total.spooled, total.sampled_out) == (last, 0, 7)
    assert line.fleet.spooled.rings == {}
    assert line.spool.rings(9, are_closed=True) == []


def test_a_ring_leaves_memory_before_the_hub_has_said_where_it_stands(
    line: MemoryLine, ring: RingBuilder, make_ring: MakeRing, namespace: str
) -> None:
    """The answer is for a ring that is not there any more: the next stream has it."""
    line.connect()
    line.hub.outgoing = list  # type: ignore[method-assign]
    fill_ring(ring, 0.1)
    line.step()
    dead = make_ring()
    last = fill_ring(dead, 0.3)
    dead.poke(ProducerZone, state=2)
    for _ in range(2):
        line.step(SECOND_NS)
    assert [name[-32:] for name in HOME.scan(namespace)] == [ring.ring_id.hex()]
    assert _total(line, namespace).spooled == last
    line.session.tick(line.now_ns)  # not while the hub is slow
    del line.hub.outgoing  # type: ignore[method-assign]
    line.step(SECOND_NS)
    with pytest.raises(RemoteProtocolError, match="moved to the spool"):
        line.session.tick(line.now_ns)
    line.cut()
    line.connect()
    line.step(SECOND_NS)
    assert line.hub.rings[dead.ring_id].seqs == seqs_up_to(last)
    assert line.hub.rings[dead.ring_id].closed == "closed"
    assert _total(line, namespace).spooled == 0


def test_dead_rings_are_delivered_by_the_next_collector(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """More of them than are held in memory at a time, none of them forgotten."""
    lasts = {}
    for _ in range(300):
        ring = make_ring()
        lasts[ring.ring_id] = fill_ring(ring, 0.02)
        ring.poke(ProducerZone, state=2)
    line.step()
    line.step(SECOND_NS)
    assert HOME.scan(namespace) == []
    line.crash()
    line.connect()
    for _ in range(5):
        line.step(SECOND_NS)
    for ring_id, last in lasts.items():
        assert line.hub.rings[ring_id].seqs == seqs_up_to(last)
        assert line.hub.rings[ring_id].closed == "closed"
    assert _total(line, namespace).delivered == sum(lasts.values())


def test_a_ring_is_spooled_and_dies_and_its_collector_too(
    line: MemoryLine, ring: RingBuilder, namespace: str
) -> None:
    """Settled, spooled and unread parts of one ring meet again in order."""
    line.connect()
    fill_ring(ring, 0.4)
    line.step()
    line.cut()
    fill_ring(ring, 0.6)
    line.step()
    line.crash()
    last = fill_ring(ring, 0.3)
    ring.poke(ProducerZone, state=2)
    line.step()
    line.step(SECOND_NS)
    assert HOME.scan(namespace) == []
    line.crash()
    line.connect()
    line.step(SECOND_NS)
    assert _seqs(line, ring) == seqs_up_to(last)
    assert line.hub.rings[ring.ring_id].closed == "closed"
    assert _total(line, namespace).delivered == last


def test_what_is_settled_leaves_the_spool(line: MemoryLine, ring: RingBuilder) -> None:
    """Its space is given back, down to an empty file."""
    for _ in range(40):
        fill_ring(ring, 0.6)
        line.step()
    assert line.spool_path is not None
    line.spool.flush()
    full = line.spool.used_bytes
    line.connect()
    for _ in range(10):
        line.step()
    assert full > 1 << 20
    assert line.spool.used_bytes < 200 << 10
    assert line.spool_path.stat().st_size < 200 << 10
    assert Path(f"{line.spool_path}-wal").stat().st_size == 0


def test_a_full_spool_refuses_and_the_rings_hold(
    namespace: str, tmp_path: Path, ring: RingBuilder
) -> None:
    """What does not fit stays in the ring, counted; nothing of it is lost."""
    line = MemoryLine(namespace, tmp_path / "state", 11 << 20)
    for _ in range(200):
        if line.spool.refused:
            break
        last = fill_ring(ring, 0.5)
        line.step(SECOND_NS)
    assert line.spool.refused["full"] > 0
    assert line.spool.used_bytes <= line.spool.max_bytes == 11 << 20
    total = _total(line, namespace)
    assert total.in_ring > 0 < total.spooled
    line.connect()
    line.step(SECOND_NS)
    assert _seqs(line, ring) == seqs_up_to(last)
    line.close()


def test_without_a_spool_what_was_spooled_is_counted_as_lost(
    line: MemoryLine, ring: RingBuilder, namespace: str
) -> None:
    """A collector that is started without the directory says what that costs."""
    spooled = fill_ring(ring, 0.6)
    line.step()
    line.spool_path = None
    line.crash()
    last = fill_ring(ring, 0.2)
    line.connect()
    assert _seqs(line, ring) == list(range(spooled + 1, last + 1))
    total = _total(line, namespace)
    assert total.lost == {"spool_damaged": spooled}
    position = line.hub.rings[ring.ring_id].position
    assert position.totals[Outcome.LOST_SPOOL_DAMAGED] == spooled


def test_a_flight_recorder_is_spooled_too(
    line: MemoryLine, start_worker: StartWorker, namespace: str
) -> None:
    """What is there when it is looked at is saved from being overwritten."""
    worker = start_worker(SHMTEL_OVERFLOW="overwrite", SHMTEL_RING_SIZE="64KiB")
    for _ in range(20):
        worker.emit(300)
        line.step()
    worker.emit(2_000)
    line.step()
    total = _total(line, namespace)
    assert total.spooled > 6_000 > 0 < total.lost.get("overwritten", 0) + 1
    line.connect()
    total = _total(line, namespace)
    assert total.delivered + sum(total.lost.values()) == 8_000
    (entry,) = line.hub.rings.values()
    assert entry.seqs == sorted(set(entry.seqs))


def test_a_damaged_ring_takes_its_place_in_the_spool(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """What it held is spooled, what is claimed beyond is spooled as lost."""
    ring = make_ring()
    good = fill_ring(ring, 0.6)
    ring.append_array(b"x" * 40, length=0xFFFFFFFF)
    ring.poke(ProducerZone, state=2)
    line.step()
    line.step(SECOND_NS)
    line.step(SECOND_NS)
    assert HOME.scan(namespace) == []
    line.connect()
    line.step(SECOND_NS)
    entry = line.hub.rings[ring.ring_id]
    assert (entry.seqs, entry.closed) == (seqs_up_to(good), "quarantined")
    assert entry.position.totals == {0: good, Outcome.LOST_QUARANTINED: 1}


def test_settlement_stays_behind_what_is_spooled(
    line: MemoryLine, ring: RingBuilder
) -> None:
    """The slot says both: released up to here, settled up to there."""
    line.connect()
    settled = fill_ring(ring, 0.1)
    line.step()
    line.cut()
    last = fill_ring(ring, 0.6)
    line.step()
    control = _ring.observe(_ring_of(line, ring).source.fileno())["control"]
    assert (control["head_seq"], control["settled_seq"]) == (last, settled)
    assert control["head"] == ring.tail


@pytest.mark.parametrize("comes_back", [False, True])
def test_what_a_spool_refuses_keeps_its_place(
    line: MemoryLine,
    ring: RingBuilder,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    comes_back: bool,
) -> None:
    """It is offered again before anything newer, or sent if the hub comes first."""
    with monkeypatch.context() as patch:
        patch.setattr(line.spool, "append", lambda parts: False)
        fill_ring(ring, 0.6)
        line.step()
        last = fill_ring(ring, 0.2)
        line.step()
        assert _total(line, namespace).spooled == 0
    if comes_back:
        line.step()
        assert _total(line, namespace).spooled == last
    line.connect()
    assert _seqs(line, ring) == seqs_up_to(last)
    assert _total(line, namespace).delivered == last
