"""The collector's side of the protocol."""

import pytest

from shmtel.policy.model import Policy, PolicyStatus, Traits, WorkerResult
from shmtel.wire.collector_events import (
    Acked,
    Ended,
    HubSilent,
    PolicyReceived,
    Resumed,
    Welcomed,
)
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.errors import LocalProtocolError, RemoteProtocolError
from shmtel.wire.frames import (
    Ack,
    Batch,
    Bye,
    Error,
    Heartbeat,
    HubFrame,
    NamesAdded,
    ResumePoint,
    RingClosed,
    RingOpened,
    Segment,
    Welcome,
)
from shmtel.wire.limits import status_flaw
from support.frames import HELLO, NO_COUNTS, TERMS, WORKER, plain_segment

SECOND = 1_000_000_000
START = 5 * SECOND


def make(rings: int = 1) -> CollectorProtocol:
    """Return a protocol that was welcomed, with rings that are ready."""
    protocol = CollectorProtocol(HELLO, START)
    protocol.receive(TERMS, START)
    for number in range(rings):
        ring = protocol.open_ring(bytes([number]) * 16, WORKER, 0, {})
        protocol.receive(ResumePoint(ring, 0), START)
    protocol.outgoing()
    return protocol


def ack(batch_seq: int, credit: int = 1_000) -> Ack:
    """Return an ack of everything up to a batch."""
    return Ack(batch_seq, 2, credit)


def test_hello_comes_first_and_once() -> None:
    """The first frame is Hello, and frames leave only once."""
    protocol = CollectorProtocol(HELLO, START)
    assert protocol.outgoing() == [HELLO]
    assert protocol.outgoing() == []
    assert protocol.receive(TERMS, START) == [Welcomed(TERMS)]


def test_control_leaves_before_batches_and_bye_last() -> None:
    """Announcements and heartbeats pass batches; nothing passes Bye."""
    protocol = make()
    protocol.send_batch([plain_segment(0, 1)])
    ring = protocol.open_ring(b"s" * 16, WORKER, 2, {0: 2})
    protocol.add_names(ring, 0, ["a", "b"])
    protocol.bye("done")
    assert protocol.outgoing() == [
        RingOpened(2, b"s" * 16, WORKER, 2, {0: 2}),
        NamesAdded(2, 0, ("a", "b")),
        Batch(1, (plain_segment(0, 1),)),
        Bye("done"),
    ]
    assert protocol.outgoing() == []
    with pytest.raises(LocalProtocolError, match="ended"):
        protocol.add_names(ring, 2, ["c"])


def test_a_ring_is_ready_with_its_resume_point() -> None:
    """A ring may send once the hub has said where it stands."""
    protocol = CollectorProtocol(HELLO, START)
    protocol.receive(TERMS, START)
    ring = protocol.open_ring(b"r" * 16, WORKER, 3, {0: 3})
    assert not protocol.is_ready(ring)
    with pytest.raises(LocalProtocolError, match="no resume point"):
        protocol.send_batch([plain_segment(3, 4)])
    events = protocol.receive(ResumePoint(ring, 3, {0: 3}), START)
    assert events == [Resumed(ring, 3, {0: 3})]
    assert protocol.is_ready(ring)


def test_acks_are_cumulative() -> None:
    """One ack reports each batch that it covers, oldest first, and only once."""
    protocol = make()
    for seq in range(3):
        protocol.send_batch([plain_segment(seq, seq + 1)])
    protocol.outgoing()
    events = protocol.receive(ack(2), START)
    assert events == [
        Acked(Batch(1, (plain_segment(0, 1),))),
        Acked(Batch(2, (plain_segment(1, 2),))),
    ]
    assert protocol.receive(ack(2), START) == []


def test_room_follows_the_credit() -> None:
    """A batch may hold what is left of the credit, in pieces worth sending."""
    protocol = make()
    assert protocol.room() == 400
    protocol.send_batch([plain_segment(0, 1, size=400)])
    assert protocol.room() == 400
    protocol.send_batch([plain_segment(1, 2, size=350)])
    assert protocol.room() == 250
    protocol.send_batch([plain_segment(2, 3, size=100)])
    assert protocol.room() == 0  # 150 are left: less than half a batch
    protocol.outgoing()
    protocol.receive(ack(1, credit=100), START)
    assert protocol.room() == 0
    protocol.receive(ack(3, credit=100), START)
    assert protocol.room() == 400  # nothing outstanding: one may always go


def test_no_room_before_welcome_and_after_bye() -> None:
    """Outside of the stream's life there is no room."""
    protocol = CollectorProtocol(HELLO, START)
    assert protocol.room() == 0
    protocol = make()
    protocol.bye("done")
    assert protocol.room() == 0


def test_a_second_resume_point_voids_what_is_outstanding() -> None:
    """What the hub discarded is not acknowledged; other rings are untouched."""
    protocol = make(rings=2)
    other = plain_segment(0, 1, ring=2)
    protocol.send_batch([plain_segment(0, 5), other], [RingClosed(2, 1, "closed")])
    protocol.outgoing()
    protocol.send_batch([plain_segment(5, 9)])
    assert protocol.receive(ResumePoint(1, 3, {0: 3}), START) == [Resumed(1, 3, {0: 3})]
    assert protocol.outgoing() == [Batch(2)]
    protocol.send_batch([plain_segment(3, 4)])
    protocol.outgoing()
    assert protocol.receive(ack(3), START) == [
        Acked(Batch(1, (other,), (RingClosed(2, 1, "closed"),))),
        Acked(Batch(2)),
        Acked(Batch(3, (plain_segment(3, 4),))),
    ]


def test_a_closed_ring_is_forgotten() -> None:
    """Once its end is acknowledged nothing can be sent for a ring."""
    protocol = make()
    protocol.send_batch([plain_segment(0, 1)], [RingClosed(1, 1, "closed")])
    protocol.outgoing()
    protocol.receive(ack(1), START)
    with pytest.raises(LocalProtocolError, match="ring 1 is not open"):
        protocol.is_ready(1)
    assert protocol.open_ring(b"s" * 16, WORKER, 0, {}) == 2


@pytest.mark.parametrize(
    ("segments", "closed", "reason"),
    [
        ([plain_segment(1, 2)], [], "is at 0, not 1"),
        ([plain_segment(0, 2), plain_segment(2, 3)], [], "twice"),
        ([plain_segment(0, 2, ring=9)], [], "not open"),
        ([plain_segment(0, 2, size=401)], [], "larger"),
        ([Segment(1, 0, 2, 2, b"", NO_COUNTS)], [], "3 events cover 2"),
        ([plain_segment(0, 2)], [RingClosed(1, 0, "closed")], "is at 2, not 0"),
    ],
)
def test_what_must_not_be_sent(
    segments: list[Segment], closed: list[RingClosed], reason: str
) -> None:
    """A batch that breaks the protocol is refused, and changes nothing."""
    protocol = make()
    with pytest.raises(LocalProtocolError, match=reason):
        protocol.send_batch(segments, closed)
    assert protocol.outgoing() == []
    assert protocol.send_batch([plain_segment(0, 2)]) == 1


def test_names_come_without_gaps() -> None:
    """Names continue the ones that were announced."""
    protocol = make()
    protocol.add_names(1, 0, ["a"])
    protocol.add_names(1, 1, [])
    with pytest.raises(LocalProtocolError, match="1 are known"):
        protocol.add_names(1, 2, ["c"])


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (TERMS, "second Welcome"),
        (ack(1), "never sent"),
        (ResumePoint(9, 0), "no ring"),
        (ResumePoint(1, 5, {0: 4}), "totals sum to 4"),
    ],
)
def test_what_a_hub_must_not_send(frame: HubFrame, reason: str) -> None:
    """A frame that the protocol does not allow is the hub's fault."""
    with pytest.raises(RemoteProtocolError, match=reason):
        make().receive(frame, START)


@pytest.mark.parametrize(
    "welcome",
    [
        Welcome(1, "h", 1, 1, 0),
        Welcome(1, "h", 1, 0, 1_000),
        Welcome(1, "h", 1, 1, 9**9),
        Welcome(0, "h", 1, 1, 1_000),
        Welcome(2, "h", 1, 1, 1_000),
    ],
)
def test_terms_that_nobody_can_keep(welcome: Welcome) -> None:
    """A Welcome whose terms make no sense is refused, or of no version offered."""
    with pytest.raises(RemoteProtocolError):
        CollectorProtocol(HELLO, START).receive(welcome, START)


def test_nothing_comes_before_welcome() -> None:
    """Only Welcome, Error or an unknown frame may be the hub's first."""
    with pytest.raises(RemoteProtocolError, match="before Welcome"):
        CollectorProtocol(HELLO, START).receive(Policy(1), START)
    assert CollectorProtocol(HELLO, START).receive(None, START) == []
    error = Error(1, "no common version")
    assert CollectorProtocol(HELLO, START).receive(error, START) == [Ended(error)]


def test_an_ack_of_a_batch_not_yet_taken() -> None:
    """A batch that has not left cannot have been received."""
    protocol = make()
    protocol.send_batch([plain_segment(0, 1)])
    with pytest.raises(RemoteProtocolError, match="never sent"):
        protocol.receive(ack(1), START)


def test_policies_are_handed_on() -> None:
    """A policy is an event."""
    assert make().receive(Policy(3), START) == [PolicyReceived(Policy(3))]


def test_heartbeats_tell_the_age_of_the_oldest_batch() -> None:
    """A heartbeat leaves when it is due, with what waits for its ack."""
    protocol = make()
    assert protocol.next_tick_ns() == START + SECOND
    protocol.send_batch([plain_segment(0, 1)])
    assert protocol.tick(START + SECOND // 2) == []
    assert protocol.outgoing() == [Batch(1, (plain_segment(0, 1),))]
    assert protocol.tick(START + SECOND) == []
    assert protocol.outgoing() == [Heartbeat(START + SECOND, 500)]
    assert protocol.oldest_unacked_age_ns(START + 2 * SECOND) == 3 * SECOND // 2
    protocol.receive(ack(1), START + 2 * SECOND)
    assert protocol.oldest_unacked_age_ns(START + 2 * SECOND) == 0


def test_a_silent_hub_is_given_up() -> None:
    """After three intervals without any frame the stream is over, once."""
    protocol = make()
    protocol.receive(None, START + SECOND)
    assert protocol.tick(START + 4 * SECOND - 1) == []
    assert protocol.tick(START + 4 * SECOND) == [HubSilent(3 * SECOND)]
    assert protocol.tick(START + 9 * SECOND) == []
    assert protocol.room() == 0


def test_a_hub_that_never_answers_is_given_up() -> None:
    """Without a Welcome the wait is bounded too."""
    protocol = CollectorProtocol(HELLO, START)
    due = protocol.next_tick_ns()
    assert protocol.tick(due - 1) == []
    assert protocol.tick(due) == [HubSilent(due - START)]


def test_an_answer_that_is_too_large_is_cut() -> None:
    """It would end the stream, and the same answer the next one."""
    protocol = make()
    workers = (WorkerResult(bytes(16), Traits("w")),) * 5_000
    protocol.answer_policy(PolicyStatus("o", 3, workers=workers))
    (answer,) = protocol.outgoing()
    assert isinstance(answer, PolicyStatus)
    assert len(answer.workers) + answer.unlisted == 5_000
    assert status_flaw(answer) is None
