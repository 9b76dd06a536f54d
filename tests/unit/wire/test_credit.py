"""How much credit a hub grants, by what the stream carries."""

import pytest

from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.credit import CREDIT_MAX_BYTES, GROUP_NS, Credit
from shmtel.wire.frames import Ack, Batch, ResumePoint, Welcome
from shmtel.wire.hub_role import HubProtocol
from shmtel.wire.protocol import Position
from support.frames import HELLO, OPENED, WORKER, plain_segment

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
LEAST = 256 << 10
BATCH = 128 << 10


def make(least: int = LEAST, largest: int = LEAST) -> Credit:
    """Return the credit of a stream that begins now."""
    return Credit(least, largest, 0)


def carry(
    credit: Credit, seconds: int, per_second: int, ack_ns: int, began_ns: int = 0
) -> int:
    """Let batches arrive evenly, each answered after a time; return when it ends."""
    gap_ns = SECOND // per_second
    count = seconds * per_second
    moments = [(began_ns + n * gap_ns, n, False) for n in range(1, count + 1)]
    moments += [(at_ns + ack_ns, n, True) for at_ns, n, _ in moments]
    for at_ns, number, is_answer in sorted(moments):
        if is_answer:
            credit.answered(number, at_ns)
        else:
            credit.received(number, BATCH, at_ns)
    return max(moments)[0]


@pytest.mark.parametrize(
    ("least", "largest", "granted"),
    [(256, 100, 256), (256, 200, 400), (0, 0, 0), (1 << 30, 1, CREDIT_MAX_BYTES)],
)
def test_the_least_is_two_largest_batches(
    least: int, largest: int, granted: int
) -> None:
    """One is on its way while the other is worked on, whatever the terms say."""
    assert make(least, largest).granted_bytes() == granted


def test_twice_what_arrives_while_an_answer_takes() -> None:
    """128 KiB each 10 ms, answered after 100 ms and a group: 12.5 MiB/s, doubled."""
    credit = make()
    carry(credit, 10, 100, 100 * MILLISECOND)
    wanted = 2 * BATCH * 100 * (0.1 + GROUP_NS / SECOND)
    assert credit.granted_bytes() == pytest.approx(wanted, rel=0.05)


def test_never_more_than_the_most() -> None:
    """A fast stream with late answers is bounded all the same."""
    credit = make()
    carry(credit, 5, 500, 900 * MILLISECOND)
    assert credit.granted_bytes() == CREDIT_MAX_BYTES


def test_credit_shrinks_when_the_stream_gets_quiet() -> None:
    """The measured rate fades within seconds."""
    credit = make()
    end_ns = carry(credit, 10, 100, 100 * MILLISECOND)
    busy = credit.granted_bytes()
    credit.received(9_999, 10, end_ns + 5 * SECOND)
    credit.answered(9_999, end_ns + 6 * SECOND)
    assert credit.granted_bytes() == 2 * LEAST < busy


def test_a_slow_handler_is_not_sent_more() -> None:
    """The shortest answer counts: what makes answers late must not raise credit."""
    credit = make()
    end_ns = carry(credit, 1, 100, 5 * MILLISECOND)
    carry(credit, 10, 100, 900 * MILLISECOND, end_ns)
    assert credit.granted_bytes() == 2 * LEAST


def carry_in_groups(credit: Credit, seconds: int, gap_ns: int) -> int:
    """Send as fast as credit and gaps allow, with answers in groups; count batches.

    The first batch is answered at once.
    """
    now_ns, sent, answered = gap_ns, 1, 1
    credit.received(1, BATCH, 0)
    credit.answered(1, now_ns)
    group_at_ns = now_ns + GROUP_NS
    while now_ns < seconds * SECOND:
        if now_ns >= group_at_ns:
            credit.answered(sent, now_ns)
            answered, group_at_ns = sent, now_ns + GROUP_NS
        if (sent + 1 - answered) * BATCH <= credit.granted_bytes():
            sent += 1
            credit.received(sent, BATCH, now_ns)
        now_ns += gap_ns
    return sent


def test_the_wait_for_a_group_of_answers_is_bridged() -> None:
    """What 4 ms at 262 MB/s need is granted, though a first answer came at once."""
    gap_ns = MILLISECOND // 2
    sent = carry_in_groups(make(), 5, gap_ns)
    assert sent > 0.75 * 5 * SECOND / gap_ns


def test_batches_without_events_say_nothing_of_answers() -> None:
    """They are answered at once, and would make every credit the least."""
    credit = make()
    credit.received(0, 0, 0)
    credit.answered(0, 0)
    carry(credit, 10, 100, 100 * MILLISECOND)
    assert credit.granted_bytes() > 2 * LEAST


def test_the_age_is_that_of_the_oldest() -> None:
    """It grows until the batch is answered, and then it is the next one's."""
    credit = make()
    assert credit.oldest_age_ns(5) == 0
    credit.received(1, 10, 10)
    credit.received(2, 10, 20)
    assert credit.oldest_age_ns(30) == 20
    credit.answered(1, 30)
    assert credit.oldest_age_ns(30) == 10
    credit.answered(2, 30)
    assert credit.oldest_age_ns(30) == 0


class Entry:
    """A ring in a table."""

    position = Position()


def test_both_roles_follow_a_credit_that_shrinks() -> None:
    """The hub's acks carry it; with more outstanding than granted nothing goes."""
    terms = Welcome(1, "hub", 100, 100, 1_000)
    hub = HubProtocol(terms, 0)
    hub.receive(HELLO, 0)
    hub.accept(0)
    hub.receive(OPENED, 0)
    hub.resume(1, Entry())
    welcome, resume_point = hub.outgoing()
    assert isinstance(welcome, Welcome)
    assert welcome.credit_bytes == 200
    collector = CollectorProtocol(HELLO, 0)
    collector.receive(welcome, 0)
    ring = collector.open_ring(b"r" * 16, WORKER, 0, {})
    assert isinstance(resume_point, ResumePoint)
    collector.receive(resume_point, 0)
    for seq in range(2):
        assert collector.room() == 100
        collector.send_batch([plain_segment(seq, seq + 1, ring, 100)])
    assert collector.room() == 0
    collector.outgoing()
    batch = hub.receive(Batch(1, (plain_segment(0, 1, 1, 100),)), 0)
    assert isinstance(batch, Batch)
    hub.commit(batch)
    hub.acknowledge(1, SECOND)
    (ack,) = hub.outgoing()
    assert isinstance(ack, Ack)
    assert ack.credit_bytes == 200
    collector.receive(Ack(1, 2, 50), SECOND)
    assert collector.room() == 0
    collector.receive(Ack(2, 2, 50), SECOND)
    assert collector.room() == 100
