"""In which order a hub answers, and how a segment that it cannot read is told."""

from dataclasses import dataclass, field, replace

import pytest

from shmtel.wire import hub_role
from shmtel.wire.collector_events import Acked, Resumed
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import (
    UNKNOWN_EVENT_ID,
    Ack,
    Batch,
    HubFrame,
    Outcome,
    Rejected,
    ResumePoint,
    Segment,
    SegmentCount,
)
from shmtel.wire.hub_role import HubProtocol
from shmtel.wire.protocol import NO_EVENTS, Position
from support.frames import HELLO, NO_COUNTS, OPENED, TERMS, WORKER, plain_segment

NOW = 5_000_000_000


@dataclass
class Entry:
    """A ring as a table would keep it."""

    position: Position = field(default_factory=Position)


def make_hub(rings: int = 1) -> tuple[HubProtocol, list[Entry]]:
    """Return a hub with some rings that stand at their beginning."""
    protocol, entries = HubProtocol(TERMS, NOW), [Entry() for _ in range(rings)]
    protocol.receive(HELLO, NOW)
    protocol.accept(NOW)
    for number, entry in enumerate(entries, start=1):
        opened = replace(OPENED, ring=number, ring_id=bytes([number]) * 16)
        protocol.receive(opened, NOW)
        protocol.resume(number, entry)
    protocol.outgoing()
    return protocol, entries


def make_collector(*batches: tuple[Segment, ...]) -> CollectorProtocol:
    """Return a collector that has sent some batches."""
    protocol = CollectorProtocol(HELLO, NOW)
    protocol.receive(TERMS, NOW)
    for ring in (1, 2):
        protocol.open_ring(bytes([ring]) * 16, WORKER, 0, {})
        protocol.receive(ResumePoint(ring, 0), NOW)
    for segments in batches:
        protocol.send_batch(segments)
    protocol.outgoing()
    return protocol


def work(protocol: HubProtocol, batch: Batch, **rejected: str) -> None:
    """Let a batch come in and take effect."""
    judged = protocol.receive(batch, NOW)
    assert isinstance(judged, Batch)
    reasons = {int(ring[1:]): reason for ring, reason in rejected.items()}
    protocol.commit(judged, reasons)


def ack(batch_seq: int, *rejected: Rejected) -> Ack:
    """Return an ack as the terms have it."""
    return Ack(batch_seq, TERMS.ack_level, TERMS.credit_bytes, rejected)


def test_a_resume_point_waits_for_what_was_committed_before() -> None:
    """It lets the collector release that, so it must be as safe as an ack says."""
    protocol, _ = make_hub()
    work(protocol, Batch(1, (plain_segment(0, 3),)))
    work(protocol, Batch(2, (plain_segment(8, 9),)))
    work(protocol, Batch(3))
    assert protocol.outgoing() == []
    protocol.acknowledge(3, NOW)
    resume_point = ResumePoint(1, 3, {0: 3})
    assert protocol.outgoing() == [ack(1), resume_point, ack(3)]


def test_an_ack_does_not_speak_for_what_was_taken_out() -> None:
    """The resume point leaves before the ack of its own batch."""
    protocol, _ = make_hub()
    work(protocol, Batch(1, (plain_segment(8, 9),)))
    protocol.acknowledge(1, NOW)
    assert protocol.outgoing() == [ResumePoint(1, 0), ack(1)]


def test_resume_points_of_several_batches_keep_their_places() -> None:
    """One cumulative acknowledgement is cut where resume points stand."""
    protocol, entries = make_hub(2)
    work(protocol, Batch(1, (plain_segment(0, 1),)))
    work(protocol, Batch(2, (plain_segment(8, 9, ring=1),)))
    entries[1].position = Position(4, {0: 4})
    work(protocol, Batch(3, (plain_segment(8, 9, ring=2),)))
    protocol.acknowledge(2, NOW)
    first, second = ResumePoint(1, 1, {0: 1}), ResumePoint(2, 4, {0: 4})
    assert protocol.outgoing() == [ack(1), first, ack(2), second]
    protocol.acknowledge(3, NOW)
    assert protocol.outgoing() == [ack(3)]


def test_a_rejected_segment_is_committed_and_told() -> None:
    """Its events count as rejected, and the ring goes on behind it."""
    protocol, (first, second) = make_hub(2)
    counted = Segment(2, 0, 5, 4, b"events", NO_COUNTS)
    batch = Batch(1, (plain_segment(0, 3), counted))
    judged = protocol.receive(batch, NOW)
    assert isinstance(judged, Batch)
    counts = (*NO_COUNTS, SegmentCount(UNKNOWN_EVENT_ID, Outcome.REJECTED_BY_HUB, 4))
    effective = Segment(2, 0, 5, 0, NO_EVENTS, counts)
    done = protocol.commit(judged, {2: "no records"})
    assert done.segments == (plain_segment(0, 3), effective)
    assert first.position == Position(3, {0: 3})
    assert second.position == Position(5, {8: 1, 11: 4})
    protocol.acknowledge(1, NOW)
    assert protocol.outgoing() == [ack(1, Rejected(1, 2, "no records"))]
    work(protocol, Batch(2, (plain_segment(5, 6, ring=2),)))
    protocol.acknowledge(2, NOW)
    assert protocol.outgoing() == [ack(2)]


def test_a_coalesced_ack_keeps_what_was_rejected() -> None:
    """Of acks side by side only the newest leaves, with the rejections of all."""
    protocol, _ = make_hub()
    work(protocol, Batch(1, (plain_segment(0, 1),)), _1="a")
    work(protocol, Batch(2, (plain_segment(1, 2),)), _1="b" * 1_000)
    protocol.acknowledge(1, NOW)
    protocol.acknowledge(2, NOW)
    cut = "b" * hub_role.REASON_MAX
    rejected = (Rejected(1, 1, "a"), Rejected(2, 1, cut))
    assert protocol.outgoing() == [ack(2, *rejected)]


def test_an_ack_takes_up_only_so_many_rejections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It must fit into a message; then there are two."""
    monkeypatch.setattr(hub_role, "REJECTED_MAX", 1)
    protocol, _ = make_hub()
    for seq in range(2):
        work(protocol, Batch(seq + 1, (plain_segment(seq, seq + 1),)), _1="a")
        protocol.acknowledge(seq + 1, NOW)
    first, second = Rejected(1, 1, "a"), Rejected(2, 1, "a")
    assert protocol.outgoing() == [ack(1, first), ack(2, second)]


def test_the_collector_counts_as_the_hub_does() -> None:
    """The batch comes back with the segment as the hub has counted it."""
    other = plain_segment(0, 2, ring=2)
    protocol = make_collector((plain_segment(0, 3), other), (plain_segment(3, 4),))
    rejected = Rejected(1, 1, "no records")
    count = SegmentCount(UNKNOWN_EVENT_ID, Outcome.REJECTED_BY_HUB, 3)
    effective = Segment(1, 0, 3, 0, NO_EVENTS, (count,))
    assert protocol.receive(ack(2, rejected), NOW) == [
        Acked(Batch(1, (effective, other)), (rejected,)),
        Acked(Batch(2, (plain_segment(3, 4),))),
    ]


def test_a_rejection_of_what_is_void_by_now() -> None:
    """A resume point has spoken for it already."""
    protocol = make_collector((plain_segment(0, 3),), (plain_segment(3, 4),))
    resumed = protocol.receive(ResumePoint(1, 3, {11: 3}), NOW)
    assert resumed == [Resumed(1, 3, {11: 3})]
    rejected = Rejected(1, 1, "no records")
    assert protocol.receive(ack(1, rejected), NOW) == [Acked(Batch(1), (rejected,))]


@pytest.mark.parametrize(
    "hostile",
    [
        ack(1, Rejected(1, 2, "a ring that was not in it")),
        ack(1, Rejected(1, 9, "no ring at all")),
        ack(1, Rejected(2, 1, "a batch that is not acknowledged")),
        ack(2, Rejected(3, 1, "a batch that was not sent")),
        ack(2, Rejected(0, 1, "no batch at all")),
        ack(2, Rejected(2**63, 1, "a batch far away")),
    ],
)
def test_a_rejection_of_what_was_never_sent(hostile: HubFrame) -> None:
    """A hub cannot take events back that it did not get."""
    protocol = make_collector((plain_segment(0, 3),), (plain_segment(3, 4),))
    with pytest.raises(RemoteProtocolError, match="a rejection of ring"):
        protocol.receive(hostile, NOW)


def test_a_rejection_of_what_was_acknowledged_before() -> None:
    """An answer is final."""
    protocol = make_collector((plain_segment(0, 3),))
    protocol.receive(ack(1), NOW)
    with pytest.raises(RemoteProtocolError, match="never sent"):
        protocol.receive(ack(1, Rejected(1, 1, "late")), NOW)
