"""Rings that lie, break or vanish, beside good ones that must not notice."""

import os
from collections.abc import Callable

import pytest

from shmtel import _ring
from shmtel.policy.model import Policy, Rule, Sampling, Selector, Toggle
from shmtel.wire.frames import Outcome
from shmtel_collector.settlement import to_list
from support.home import HOME
from support.memory_line import SECOND_NS, MemoryLine, seqs_up_to
from support.ring_builder import RingBuilder
from support.ring_layout import ControlZone, NamesZone, ProducerZone

MakeRing = Callable[..., RingBuilder]
TOTAL = 20


def _fill(ring: RingBuilder, good: int = TOTAL) -> None:
    """Commit events under one name."""
    if not ring.names:
        ring.add_name("a.b")
    for _ in range(good):
        ring.append(0)


def _die(ring: RingBuilder) -> None:
    """End the worker in good order, as far as the ring tells."""
    ring.poke(ProducerZone, state=2)


def _break_length(ring: RingBuilder) -> None:
    ring.append_array(b"x" * 40, length=0xFFFFFFFF)


def _break_seq(ring: RingBuilder) -> None:
    ring.append(0, seq=ring.seq + 5)


@pytest.mark.parametrize(
    ("spoil", "reason"), [(_break_length, "record"), (_break_seq, "sequence")]
)
def test_good_events_arrive_and_the_rest_is_counted_lost(
    line: MemoryLine,
    make_ring: MakeRing,
    spoil: Callable[[RingBuilder], None],
    reason: str,
) -> None:
    """What stands before the damage is delivered; what follows it is lost."""
    bad, good = make_ring(), make_ring()
    _fill(bad)
    spoil(bad)
    _fill(bad, 3)
    _fill(good)
    line.connect()
    line.step(SECOND_NS)
    assert line.hub.rings[bad.ring_id].seqs == seqs_up_to(TOTAL)
    totals = {Outcome.DELIVERED: TOTAL, Outcome.LOST_QUARANTINED: 4}
    assert line.hub.rings[bad.ring_id].position.totals == totals
    assert line.hub.rings[good.ring_id].seqs == seqs_up_to(TOTAL)
    assert line.fleet.quarantined == {reason: 1}
    assert len([text for text in line.log.lines if "quarantined" in text]) == 1


def test_loss_is_settled_and_the_ring_ends(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """A damaged ring ends like any other, and its ledger balances."""
    ring = make_ring()
    _fill(ring)
    _break_length(ring)
    line.connect()
    line.step(SECOND_NS)
    control = _ring.observe(ring.fd)["control"]
    assert control["settled_seq"] == TOTAL + 1
    assert control["totals"] == to_list({0: TOTAL, Outcome.LOST_QUARANTINED: 1})
    _die(ring)
    line.step(SECOND_NS)
    assert line.hub.rings[ring.ring_id].closed == "quarantined"
    assert HOME.scan(namespace) == []


@pytest.mark.parametrize("crashes", [False, True])
def test_lost_stream_sends_the_good_events_again(
    line: MemoryLine, make_ring: MakeRing, crashes: bool
) -> None:
    """Events before the damage that were under way are drained once more."""
    ring = make_ring()
    _fill(ring)
    _break_length(ring)
    line.hub.is_holding = True
    line.connect()
    (attached,) = line.fleet.rings.values()
    assert attached.source.damage == "record"
    line.cut()
    line.hub.is_holding = False
    if crashes:
        line.crash()
    line.connect()
    line.step(SECOND_NS)
    entry = line.hub.rings[ring.ring_id]
    assert entry.seqs == seqs_up_to(TOTAL)
    assert entry.position.totals[Outcome.LOST_QUARANTINED] == 1


def test_lost_ack_of_a_loss_counts_it_once(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """The hub has counted the loss already when the next collector comes."""
    ring = make_ring()
    _fill(ring)
    line.connect()
    _break_length(ring)
    line.session.drain()
    line.send_unanswered()
    line.crash()
    line.connect()
    _die(ring)
    line.step(SECOND_NS)
    totals = {Outcome.DELIVERED: TOTAL, Outcome.LOST_QUARANTINED: 1}
    assert line.hub.rings[ring.ring_id].position.totals == totals
    assert line.hub.rings[ring.ring_id].closed == "quarantined"


def test_what_follows_later_is_counted_at_the_end(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """A worker that goes on behind the damage has that counted when it dies."""
    ring = make_ring()
    _fill(ring)
    _break_length(ring)
    line.connect()
    _fill(ring, 7)
    _die(ring)
    line.step(SECOND_NS)
    totals = {Outcome.DELIVERED: TOTAL, Outcome.LOST_QUARANTINED: 8}
    assert line.hub.rings[ring.ring_id].position.totals == totals


def test_claims_beyond_what_fits_are_not_believed(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """A worker that claims the moon has lost what its ring can hold."""
    ring = make_ring()
    _fill(ring)
    tail = ring.tail
    _break_length(ring)
    ring.poke(ProducerZone, committed=2**63)
    line.connect()
    lost = line.hub.rings[ring.ring_id].position.totals[Outcome.LOST_QUARANTINED]
    assert lost == (ring.tail - tail) // 40


@pytest.mark.parametrize("tail", [8, 2**40, 12])
def test_wild_tail_is_damage(line: MemoryLine, make_ring: MakeRing, tail: int) -> None:
    """A tail that goes back, too far, or off the grid ends the reading."""
    ring, good = make_ring(), make_ring()
    _fill(ring)
    _fill(good)
    line.connect()
    ring.poke(ProducerZone, tail=tail)
    _fill(good)
    line.step(SECOND_NS)
    line.step(SECOND_NS)
    assert line.fleet.quarantined == {"positions": 1}
    assert line.hub.rings[ring.ring_id].position.totals == {0: TOTAL}
    assert line.hub.rings[good.ring_id].seqs == seqs_up_to(2 * TOTAL)


def test_truncated_ring_hurts_nobody_else(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """A segment cut to nothing under the collector's mapping is one bad ring."""
    ring, good = make_ring(), make_ring()
    _fill(ring)
    _fill(good)
    line.connect()
    os.ftruncate(ring.fd, 0)
    line.hub.push(Policy(1, (Rule(Selector("*"), Sampling(1.0)),)))
    line.exchange()
    _fill(good)
    line.step(SECOND_NS)
    ((reason, rings),) = line.fleet.quarantined.items()
    assert reason in ("io", "truncated")  # by whether a page or the file is missed
    assert rings == 1
    assert line.hub.rings[good.ring_id].seqs == seqs_up_to(2 * TOTAL)
    line.cut()
    line.connect()
    assert line.hub.rings[good.ring_id].position.totals == {0: 2 * TOTAL}


def test_rejected_events_are_counted_by_reason(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """What fails validation moves the ring on, counted and not delivered."""
    ring = make_ring()
    _fill(ring, 2)
    ring.append(7)  # no such name
    ring.append(0, threshold=10, draw=5)
    ring.append(0, 12345)  # no correlation id
    _fill(ring, 1)
    line.connect()
    entry = line.hub.rings[ring.ring_id]
    assert entry.seqs == [1, 2, 6]
    assert entry.position.totals == {
        Outcome.DELIVERED: 3,
        Outcome.REJECTED_MALFORMED: 1,
        Outcome.REJECTED_UNKNOWN_NAME: 1,
        Outcome.REJECTED_BAD_THRESHOLD: 1,
    }


def test_ring_of_nothing_but_rejects_does_not_jam(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """A segment without events is sent, acknowledged and settled."""
    ring = make_ring()
    ring.add_name("a.b")
    for _ in range(5):
        ring.append(0, 12345)
    line.connect()
    assert ring.peek(ControlZone).head == ring.tail


def test_spoiled_names_are_damage(line: MemoryLine, make_ring: MakeRing) -> None:
    """A names table that contradicts itself ends the reading, with a count."""
    ring = make_ring()
    _fill(ring)
    line.connect()
    ring.poke(NamesZone, name_count=100_000)
    line.step(SECOND_NS)
    assert line.fleet.quarantined == {"names": 1}


def test_forged_settlement_of_a_spool_is_quarantined(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """A slot that speaks of spooled events, which there are none of, is damage."""
    ring = make_ring()
    _fill(ring)
    totals = [0] * 32
    totals[0] = 3
    ring.poke_slot(0, head=0, head_seq=5, settled_seq=3)
    ring.poke_slot(0, totals=type(ring.peek(ControlZone).slot[0].totals)(*totals))
    line.connect()
    _die(ring)
    line.step(SECOND_NS)
    entry = line.hub.rings[ring.ring_id]
    assert entry.seqs == []
    assert entry.closed == "quarantined"
    assert sum(entry.position.totals.values()) == entry.position.last_seq == TOTAL


def test_id_that_comes_back_does_not_break_the_stream(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """A worker that forges a finished ring's id is left out, others go on."""
    ring, good = make_ring(), make_ring()
    _fill(ring)
    _fill(good)
    good.hold_lock()
    content = ring.path.read_bytes()
    line.connect()
    _die(ring)
    line.step(SECOND_NS)
    assert HOME.scan(namespace) == [good.name]
    ring.path.write_bytes(content)
    line.step(SECOND_NS)
    _fill(good)
    line.step(SECOND_NS)
    assert line.hub.rings[good.ring_id].seqs == seqs_up_to(2 * TOTAL)
    assert line.hub.rings[ring.ring_id].seqs == seqs_up_to(TOTAL)


def test_worker_that_cannot_be_found_is_retired_first(
    line: MemoryLine, make_ring: MakeRing, namespace: str
) -> None:
    """A free lock and a live pid: the ring is retired, and finished a second later."""
    ring = make_ring()
    _fill(ring)
    line.connect()
    assert ring.peek(ControlZone).enabled == _ring.RING_RETIRED
    line.hub.push(Policy(1, (Rule(Selector("*"), Toggle(True)),)))
    line.exchange()
    assert ring.peek(ControlZone).enabled == _ring.RING_RETIRED
    _fill(ring, 2)
    line.step(SECOND_NS // 2)
    assert HOME.scan(namespace) == [ring.name]
    line.step(SECOND_NS)
    assert ring.peek(ControlZone).final_tail == ring.tail
    assert line.hub.rings[ring.ring_id].closed == "retired"
    assert line.hub.rings[ring.ring_id].seqs == seqs_up_to(TOTAL + 2)
    assert HOME.scan(namespace) == []


def test_retired_ring_stays_retired_for_the_next_collector(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """A policy does not switch on what an earlier collector has retired."""
    ring = make_ring()
    _fill(ring)
    line.connect()
    assert ring.peek(ControlZone).enabled == _ring.RING_RETIRED
    line.crash()
    line.connect()
    line.hub.push(Policy(1, (Rule(Selector("*"), Toggle(True)),)))
    line.exchange()
    assert ring.peek(ControlZone).enabled == _ring.RING_RETIRED
