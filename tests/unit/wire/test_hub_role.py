"""The hub's side of the protocol."""

from dataclasses import dataclass, field, replace

import pytest

from shmtel.policy.model import Policy, PolicyStatus, Traits, WorkerResult
from shmtel.wire import hub_rings
from shmtel.wire.errors import RemoteProtocolError, VersionMismatch
from shmtel.wire.frames import (
    Ack,
    Batch,
    Bye,
    CollectorFrame,
    Error,
    Heartbeat,
    NamesAdded,
    ResumePoint,
    RingClosed,
    RingOpened,
    Segment,
)
from shmtel.wire.hub_role import HubProtocol
from shmtel.wire.protocol import Position
from support.frames import HELLO, NO_COUNTS, OPENED, TERMS, WORKER, plain_segment

SECOND = 1_000_000_000
START = 5 * SECOND


@dataclass
class Entry:
    """A ring as a table would keep it."""

    position: Position = field(default_factory=Position)


def make(*entries: Entry) -> HubProtocol:
    """Return a protocol that said welcome and resumed some rings."""
    protocol = HubProtocol(TERMS, START)
    protocol.receive(HELLO, START)
    protocol.accept(START)
    for number, entry in enumerate(entries, start=1):
        protocol.receive(replace(OPENED, ring=number, ring_id=bytes([number]) * 16), 0)
        protocol.resume(number, entry)
    protocol.outgoing()
    return protocol


def test_the_welcome_carries_the_terms() -> None:
    """A hello is handed on, and accepting it answers with the terms."""
    protocol = HubProtocol(TERMS, START)
    assert protocol.receive(HELLO, START) == HELLO
    assert protocol.outgoing() == []
    protocol.accept(START)
    assert protocol.outgoing() == [TERMS]


def test_a_ring_resumes_where_its_entry_stands() -> None:
    """The resume point is the entry's position."""
    protocol = make()
    assert protocol.receive(OPENED, START) == OPENED
    protocol.resume(1, Entry(Position(4, {0: 4})))
    assert protocol.outgoing() == [ResumePoint(1, 4, {0: 4})]


def test_a_batch_takes_effect_when_it_is_committed() -> None:
    """Until the work is done nothing has changed and nothing is acknowledged."""
    entry = Entry()
    protocol = make(entry)
    batch = Batch(1, (plain_segment(0, 3),))
    assert protocol.receive(batch, START) == batch
    assert entry.position == Position()
    assert protocol.outgoing() == []
    protocol.commit(batch)
    assert entry.position == Position(3, {0: 3})
    assert protocol.outgoing() == []
    protocol.acknowledge(1, START)
    assert protocol.outgoing() == [Ack(1, TERMS.ack_level, TERMS.credit_bytes)]


def test_acks_are_coalesced_in_order() -> None:
    """Of acks that wait side by side only the newest leaves."""
    protocol = make(Entry())
    for number in (1, 2):
        segment = plain_segment(number - 1, number)
        protocol.commit(protocol.receive(Batch(number, (segment,)), START))
        protocol.acknowledge(number, START)
    protocol.receive(Batch(3, (plain_segment(8, 9),)), START)
    protocol.commit(Batch(3))
    protocol.acknowledge(3, START)
    ack = Ack(2, TERMS.ack_level, TERMS.credit_bytes)
    resume_point = ResumePoint(1, 2, {0: 2})
    assert protocol.outgoing() == [ack, resume_point, replace(ack, batch_seq=3)]


def test_a_misfit_is_answered_once_until_it_fits() -> None:
    """One resume point, then silence, then the ring goes on."""
    entry = Entry(Position(5, {0: 5}))
    protocol = make(entry)
    other = (RingClosed(1, 9, "closed"),)
    assert protocol.receive(Batch(1, (plain_segment(3, 9),), other), START) == Batch(1)
    assert protocol.outgoing() == [ResumePoint(1, 5, {0: 5})]
    assert protocol.receive(Batch(2, (plain_segment(9, 10),)), START) == Batch(2)
    assert protocol.outgoing() == []
    fitting = Batch(3, (plain_segment(5, 6),))
    assert protocol.receive(fitting, START) == fitting
    assert protocol.take_discarded() == 3
    assert protocol.take_discarded() == 0
    protocol.commit(fitting)
    protocol.acknowledge(3, START)
    protocol.outgoing()
    protocol.receive(Batch(4, (plain_segment(9, 10),)), START)
    assert protocol.outgoing() == [ResumePoint(1, 6, {0: 6})]


def test_a_moved_position_is_told_again() -> None:
    """A collector that starts from an outdated answer gets a new one."""
    entry = Entry()
    protocol = make(entry)
    protocol.receive(Batch(1, (plain_segment(2, 3),)), START)
    assert protocol.outgoing() == [ResumePoint(1, 0)]
    protocol.acknowledge(1, START)
    protocol.outgoing()
    entry.position = Position(1, {0: 1})
    protocol.receive(Batch(2, (plain_segment(0, 3),)), START)
    assert protocol.outgoing() == [ResumePoint(1, 1, {0: 1})]


def test_a_resume_point_waits_for_the_acks_before_it() -> None:
    """It releases events as an ack does, so it never comes before theirs."""
    protocol = make(Entry())
    protocol.commit(protocol.receive(Batch(1, (plain_segment(0, 3),)), START))
    protocol.commit(protocol.receive(Batch(2, (plain_segment(8, 9),)), START))
    protocol.commit(protocol.receive(Batch(3, (plain_segment(9, 10),)), START))
    assert protocol.outgoing() == []
    protocol.acknowledge(1, START)
    ack, resume_point = protocol.outgoing()
    assert isinstance(ack, Ack)
    assert (ack.batch_seq, resume_point) == (1, ResumePoint(1, 3, {0: 3}))
    protocol.acknowledge(3, START)
    (ack,) = protocol.outgoing()
    assert isinstance(ack, Ack)
    assert ack.batch_seq == 3


def test_a_closed_ring_is_forgotten() -> None:
    """Its number is not used any more; its id may be announced again."""
    protocol = make(Entry())
    batch = Batch(1, (plain_segment(0, 1),), (RingClosed(1, 1, "closed"),))
    protocol.commit(protocol.receive(batch, START))
    with pytest.raises(RemoteProtocolError, match="ring 1 is not open"):
        protocol.receive(Batch(2, (plain_segment(1, 2),)), START)
    again = replace(OPENED, ring=2, ring_id=b"\1" * 16)
    assert protocol.receive(again, START) == again


def test_a_misfit_leaves_other_rings_alone() -> None:
    """Only the ring that does not fit is taken out of a batch."""
    protocol = make(Entry(), Entry())
    fitting = plain_segment(0, 3, ring=2)
    batch = Batch(1, (plain_segment(1, 2), fitting))
    assert protocol.receive(batch, START) == Batch(1, (fitting,))


NAMES = NamesAdded(1, 0, ("a",))
VIOLATIONS: dict[str, list[CollectorFrame]] = {
    "second Hello": [HELLO],
    "ring number 3 is not the next": [replace(OPENED, ring=3)],
    "announced twice": [replace(OPENED, ring=2, ring_id=b"\1" * 16)],
    "totals sum to 0": [RingOpened(2, b"x" * 16, WORKER, 4)],
    "characters about a worker": [
        RingOpened(2, b"x" * 16, replace(WORKER, argv0="x" * 9_000))
    ],
    "names with a gap": [NAMES, NAMES],
    "more names": [NamesAdded(1, 0, ("a",) * 1_025)],
    "a name longer": [NamesAdded(1, 0, ("ä" * 128,))],
    "ring 7 is not open": [Batch(1, (plain_segment(0, 1, ring=7),))],
    "ring 0 is not open": [NamesAdded(0, 0, ("a",))],
    "batch 2 is not the next": [Batch(2)],
    "batch 1 is not the next": [Batch(1), Batch(1)],
    "larger than the terms": [Batch(1, (plain_segment(0, 1, size=401),))],
    "3 events cover 2 seqs": [Batch(1, (Segment(1, 0, 2, 2, b"", NO_COUNTS),))],
    "ring 1 twice": [Batch(1, (plain_segment(0, 1), plain_segment(1, 2)))],
    "ring 2 has no resume point": [
        replace(OPENED, ring=2),
        Batch(1, (plain_segment(0, 1, ring=2),)),
    ],
}


@pytest.mark.parametrize("reason", VIOLATIONS)
def test_what_a_collector_must_not_send(reason: str) -> None:
    """A frame that the protocol does not allow changes nothing and is refused."""
    entry = Entry()
    protocol = make(entry)
    *before, last = VIOLATIONS[reason]
    for frame in before:
        protocol.receive(frame, START)
    with pytest.raises(RemoteProtocolError, match=reason):
        protocol.receive(last, START)
    assert entry.position == Position()


def test_the_number_of_open_rings_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector cannot make the hub remember rings without end."""
    monkeypatch.setattr(hub_rings, "RINGS_MAX", 1)
    with pytest.raises(RemoteProtocolError, match="more than 1 open"):
        make(Entry(), Entry())


@pytest.mark.parametrize("frame", [OPENED, NAMES, Batch(1), Bye("x"), None])
def test_nothing_comes_before_hello(frame: CollectorFrame | None) -> None:
    """The first frame of a stream is Hello."""
    with pytest.raises(RemoteProtocolError, match="before Hello"):
        HubProtocol(TERMS, START).receive(frame, START)


def test_the_highest_common_version_is_spoken() -> None:
    """A collector that speaks newer ones too is welcome."""
    protocol = HubProtocol(replace(TERMS, protocol=0), START)
    protocol.receive(replace(HELLO, protocol_min=1, protocol_max=9), START)
    protocol.accept(START)
    assert protocol.outgoing() == [TERMS]


@pytest.mark.parametrize(
    ("lowest", "highest", "side"),
    [(2, 9, "hub"), (0, 0, "collector"), (2, 1, "hub"), (2**32 - 1, 0, "hub")],
)
def test_no_common_version(lowest: int, highest: int, side: str) -> None:
    """A collector of another protocol is told what is spoken, and which side is old."""
    hello = replace(HELLO, protocol_min=lowest, protocol_max=highest)
    cure = f"1 to 1 is spoken: upgrade the {side}"
    with pytest.raises(VersionMismatch, match=cure):
        HubProtocol(TERMS, START).receive(hello, START)


def test_only_the_newest_policy_waits() -> None:
    """A policy replaces the one that has not left yet."""
    protocol = make()
    protocol.push_policy(Policy(1))
    protocol.push_policy(Policy(2))
    assert protocol.outgoing() == [Policy(2)]


def test_heartbeats_tell_the_age_of_the_work() -> None:
    """A heartbeat leaves when it is due, also while a batch is in work."""
    protocol, due = make(Entry()), START + 3 * SECOND // 2
    assert protocol.next_tick_ns() == due
    protocol.receive(Batch(1), START)
    protocol.tick(due - 1)
    assert protocol.outgoing() == []
    protocol.tick(due)
    assert protocol.outgoing() == [Heartbeat(due, 1_500)]
    protocol.commit(Batch(1))
    protocol.acknowledge(1, START)
    protocol.outgoing()
    protocol.tick(due + 3 * SECOND // 2)
    assert protocol.outgoing() == [Heartbeat(due + 3 * SECOND // 2, 0)]


def test_heartbeats_of_the_collector_are_answered() -> None:
    """At once, so that both sides wake together; and the hub's own are put off."""
    protocol = make()
    assert protocol.receive(Heartbeat(1, 2), START + SECOND) is None
    assert protocol.next_tick_ns() == START + SECOND
    protocol.tick(START + SECOND)
    assert protocol.outgoing() == [Heartbeat(START + SECOND, 0)]
    assert protocol.next_tick_ns() == START + 5 * SECOND // 2


def test_a_flood_of_heartbeats_is_not_answered_with_one() -> None:
    """No more than two leave in an interval, however many come."""
    protocol, now = make(), START + SECOND
    for _ in range(2_000):
        now += SECOND // 1_000
        protocol.receive(Heartbeat(1, 2), now)
        protocol.tick(now)
    beats = [frame.sent_ns for frame in protocol.outgoing()]
    assert beats == [
        START + 1_001 * SECOND // 1_000 + n * SECOND // 2 for n in range(4)
    ]


def test_no_heartbeat_outside_of_the_stream() -> None:
    """Nothing is said before the welcome, and nothing after the end."""
    protocol = HubProtocol(TERMS, START)
    assert protocol.next_tick_ns() is None
    protocol.tick(START + 2 * SECOND)
    assert protocol.outgoing() == []
    protocol = make()
    protocol.end(5, "bye")
    protocol.tick(START + 2 * SECOND)
    assert protocol.outgoing() == [Error(5, "bye")]
    assert protocol.is_over


def test_what_asks_for_nothing() -> None:
    """A heartbeat and a frame of an unknown kind are nothing to act on."""
    protocol = make()
    assert protocol.receive(Heartbeat(1, 2), START) is None
    assert protocol.receive(None, START) is None
    assert protocol.receive(Bye("x"), START) == Bye("x")


@pytest.mark.parametrize(
    "field_name", ["node", "host_id", "namespace", "policy_origin"]
)
def test_a_hello_with_too_long_a_text_is_refused(field_name: str) -> None:
    """What a hub remembers of a host is bounded, before it accepts it."""
    longest = HubProtocol(TERMS, START)
    longest.receive(replace(HELLO, **{field_name: "x" * 255}), START)  # type: ignore[arg-type]
    with pytest.raises(RemoteProtocolError, match="256 characters in a Hello"):
        HubProtocol(TERMS, START).receive(
            replace(HELLO, **{field_name: "x" * 256}),  # type: ignore[arg-type]
            START,
        )


def test_a_status_is_handed_on_or_refused() -> None:
    """At any time after the hello, as long as it is not too large."""
    status = PolicyStatus("o", 3)
    assert make().receive(status, START) == status
    with pytest.raises(RemoteProtocolError, match="before Hello"):
        HubProtocol(TERMS, START).receive(status, START)
    workers = (WorkerResult(bytes(16), Traits("w")),) * 4_097
    with pytest.raises(RemoteProtocolError, match="a status of 4097 workers"):
        make().receive(replace(status, workers=workers), START)
