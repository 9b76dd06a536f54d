"""A collector that is killed between any two steps with the spool: the next goes on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shmtel.wire.frames import Outcome
from shmtel_collector.discovery import Discovery
from shmtel_collector.ledger import read_ledger
from shmtel_collector.ring import Ring
from shmtel_collector.source import Source
from shmtel_collector.spool import Spool
from shmtel_collector.spool_store import SpoolStore
from shmtel_collector.state import State
from support.home import HOME
from support.memory_line import SECOND_NS, MemoryLine, seqs_up_to
from support.ring_builder import RingBuilder

MakeRing = Callable[..., RingBuilder]


class _Killed(BaseException):
    """Nothing of the collector runs any more."""


@pytest.fixture
def line(namespace: str, tmp_path: Path) -> Iterator[MemoryLine]:
    """A collector with a spool, not yet connected."""
    line = MemoryLine(namespace, tmp_path / "state", 64 << 20)
    yield line
    line.close()


def _fill(ring: RingBuilder, share: float, rejected: int = 0) -> int:
    """Write so much of a ring, some of it not to be believed, for two reasons."""
    if not ring.names:
        ring.add_name("a.b")
    until = ring.tail + share * ring.capacity
    while ring.tail < until:
        if rejected and ring.seq % rejected == 3 and ring.seq < 150:
            ring.append_array(b"\0" * 40)
        else:
            is_bad = rejected and ring.seq % rejected == 0
            threshold = 12345 if is_bad else 0
            ring.append(0, None, {}, {"t": "x" * 300}, threshold=threshold)
    return ring.seq


def _fates(last_seq: int, rejected: int) -> tuple[list[int], dict[int, int]]:
    """What becomes of those events: the seqs that are delivered, and the totals."""
    malformed = [n for n in range(last_seq) if n % rejected == 3 and n < 150]
    unbelieved = [n for n in range(last_seq) if n % rejected == 0]
    left_out = {*malformed, *unbelieved}
    good = [n + 1 for n in range(last_seq) if n not in left_out]
    return good, {
        Outcome.DELIVERED: len(good),
        Outcome.REJECTED_MALFORMED: len(malformed),
        Outcome.REJECTED_BAD_THRESHOLD: len(unbelieved),
    }


def _kill_at(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, number: int
) -> list[int]:
    """Have the collector killed in front of the n-th call of a method, once."""
    calls = [0]
    original: Callable[..., Any] = getattr(owner, method)

    def counting(*arguments: Any, **keywords: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            raise _Killed
        return original(*arguments, **keywords)

    monkeypatch.setattr(owner, method, counting)
    return calls


def _until_done(line: MemoryLine, *steps: Callable[[], object]) -> None:
    """Take steps; whoever is killed in one is followed by one who takes it again."""
    for step in steps:
        try:
            step()
        except _Killed:
            line.kill()
            step()


_POINTS: list[tuple[type, str, int]] = [
    (Ring, "spooled", 1),  # the spool has it, the ring has not released it
    (Ring, "spooled", 3),
    (SpoolStore, "append", 1),
    (SpoolStore, "append", 4),  # the closing record
    (State, "finish", 1),  # the closing record is there, the account is not
    (Discovery, "remove", 1),  # the account is there, and so is the segment
    (Source, "settle", 2),
    (Spool, "flush", 4),
    (SpoolStore, "release", 1),  # settled, still in the spool
    (SpoolStore, "release", 2),
    (State, "finish", 2),  # the hub has all, the account says spooled
    (Spool, "forget", 1),  # the account is final, the spool still has the ring
    (SpoolStore, "forget", 1),
]


@pytest.mark.parametrize(("owner", "method", "number"), _POINTS)
def test_every_step_can_be_repeated(
    line: MemoryLine,
    make_ring: MakeRing,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    method: str,
    number: int,
) -> None:
    """From a live worker's first event to the end of what the spool knows of it."""
    ring = make_ring()
    ring.hold_lock()
    calls = _kill_at(monkeypatch, owner, method, number)

    def emit(share: float) -> None:
        ring.hold_lock()  # a killed collector of this process takes it along
        _fill(ring, share)

    def die() -> None:
        ring.die()
        for _ in range(3):
            line.step(SECOND_NS)

    def deliver() -> None:
        line.connect()
        for _ in range(3):
            line.step(SECOND_NS)

    _until_done(
        line,
        line.connect,
        lambda: emit(0.1),
        line.step,
        lambda: line.cut() if line.session.is_welcome() else None,
        *(lambda: emit(0.6), line.step) * 3,
        die,
        deliver,
    )
    line.crash()
    deliver()
    assert calls[0] >= number
    entry = line.hub.rings[ring.ring_id]
    assert entry.seqs == seqs_up_to(ring.seq)
    assert entry.closed == "closed"
    assert HOME.scan(namespace) == []
    total = read_ledger(namespace, line.database_path.parent, HOME).total
    assert (total.delivered, total.unaccounted) == (ring.seq, 0)
    assert line.spool.rings(9, are_closed=True) == []
    assert line.spool.rings(9, are_closed=False) == []


@pytest.mark.parametrize("share", [0.12, 0.25, 0.4, 0.55])
@pytest.mark.parametrize("dies", [False, True])
def test_a_hub_amid_a_spooled_segment(
    line: MemoryLine, make_ring: MakeRing, namespace: str, share: float, dies: bool
) -> None:
    """What it has is cut off, event by event, and the sums are the same everywhere."""
    ring = make_ring(capacity=256 << 10)
    ring.hold_lock()
    line.connect()
    _fill(ring, share, rejected=7)
    line.send_unanswered()
    line.kill()
    ring.hold_lock()
    _fill(ring, 0.9 - share, rejected=7)
    line.step()
    assert line.fleet.rings[ring.ring_id].source.head_seq == ring.seq
    if dies:
        ring.die()
        line.step(SECOND_NS)
        line.step(SECOND_NS)
        assert HOME.scan(namespace) == []
    line.connect()
    line.step(SECOND_NS)
    good, totals = _fates(ring.seq, 7)
    entry = line.hub.rings[ring.ring_id]
    assert entry.seqs == good
    assert entry.position.totals == totals
    total = read_ledger(namespace, line.database_path.parent, HOME).total
    assert (total.delivered, total.unaccounted) == (len(good), 0)


def test_a_hub_that_is_ahead_of_the_spool(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """It had acknowledged more than what was spooled: the ring goes on behind that."""
    ring = make_ring()
    ring.hold_lock()
    _fill(ring, 0.6)
    line.step()
    line.connect()
    _fill(ring, 0.3)
    line.send_unanswered()
    line.kill()
    last = _fill(ring, 0.1)
    line.connect()
    assert line.hub.rings[ring.ring_id].seqs == seqs_up_to(last)
    source = line.fleet.rings[ring.ring_id].source
    assert source.head_seq == source.settled_seq == last


def test_a_hub_that_lost_its_table_gets_what_the_spool_has(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """It starts where the collector has settled; nothing is missing in between."""
    ring = make_ring()
    ring.hold_lock()
    line.connect()
    settled = _fill(ring, 0.2)
    line.step()
    line.cut()
    last = _fill(ring, 0.6)
    line.step()
    line.hub.rings.clear()
    line.connect()
    entry = line.hub.rings[ring.ring_id]
    assert entry.seqs == list(range(settled + 1, last + 1))
    assert entry.position.totals == {Outcome.DELIVERED: last}


def test_a_hub_that_lost_part_of_its_table(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """The gap before what is settled is counted, and the spool follows."""
    ring = make_ring()
    ring.hold_lock()
    line.connect()
    settled = _fill(ring, 0.2)
    line.step()
    line.cut()
    last = _fill(ring, 0.6)
    line.step()
    line.hub.forget(ring.ring_id, settled - 5)
    line.connect()
    position = line.hub.rings[ring.ring_id].position
    assert position.totals == {
        Outcome.DELIVERED: last - 5,
        Outcome.LOST_HUB_STATE_LOST: 5,
    }


def test_an_account_that_is_final_stays_so(
    line: MemoryLine,
    make_ring: MakeRing,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a killed collector had not removed from the spool speaks of nothing new."""
    ring = make_ring()
    ring.hold_lock()
    _fill(ring, 0.6)
    line.step()
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "flush", lambda spool: None)
        patch.setattr(Spool, "forget", lambda spool, ring_id: None)
        line.connect()
        ring.die()
        line.step(SECOND_NS)
        assert HOME.scan(namespace) == []
        line.kill()
    line.step()
    line.connect()
    line.step(SECOND_NS)
    (account,) = read_ledger(namespace, line.database_path.parent, HOME).rings
    assert (account.state, account.account.delivered) == ("closed", ring.seq)
    assert line.spool.rings(9, are_closed=False) == []
    assert line.hub.rings[ring.ring_id].closed == "closed"
