"""How a stream is drained: the hub asks, the collector finishes and leaves."""

import pytest

from shmtel.wire.collector_events import Acked, DrainAsked, Ended, HubSilent
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.errors import LocalProtocolError
from shmtel.wire.frames import (
    Ack,
    Batch,
    Bye,
    Drain,
    Error,
    ErrorCode,
    ResumePoint,
)
from shmtel.wire.hub_role import HubProtocol
from support.frames import HELLO, TERMS, WORKER, plain_segment

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
START = 5 * SECOND
DRAIN = Drain("stopping", 250, 1_500)


def make(batches: int) -> CollectorProtocol:
    """Return a collector with some batches unanswered."""
    protocol = CollectorProtocol(HELLO, START)
    protocol.receive(TERMS, START)
    ring = protocol.open_ring(b"r" * 16, WORKER, 0, {})
    protocol.receive(ResumePoint(ring, 0), START)
    for seq in range(batches):
        protocol.send_batch([plain_segment(seq, seq + 1)])
    protocol.outgoing()
    return protocol


def test_a_collector_with_nothing_unanswered_leaves_at_once() -> None:
    """Bye is all that is left to say."""
    protocol = make(0)
    assert protocol.receive(DRAIN, START) == [DrainAsked("stopping", 250)]
    assert protocol.outgoing() == [Bye("drained")]


def test_what_is_unanswered_is_waited_for() -> None:
    """Nothing new is sent meanwhile, and the last ack is followed by Bye."""
    protocol = make(2)
    protocol.receive(DRAIN, START)
    assert protocol.room() == 0
    with pytest.raises(LocalProtocolError, match="drained"):
        protocol.send_batch([plain_segment(2, 3)])
    protocol.receive(Ack(1, 2, 1_000), START)
    assert protocol.outgoing() == []
    (acked,) = protocol.receive(Ack(2, 2, 1_000), START)
    assert acked == Acked(Batch(2, (plain_segment(1, 2),)))
    assert protocol.outgoing() == [Bye("drained")]


@pytest.mark.parametrize("batches", [0, 1])
def test_the_deadline_ends_the_stream(batches: int) -> None:
    """A hub that neither answers nor hangs up is left when it said it would end."""
    protocol = make(batches)
    protocol.receive(DRAIN, START)
    protocol.outgoing()
    due_ns = START + 1_500 * MILLISECOND
    assert protocol.tick(due_ns - 1) == []
    protocol.outgoing()
    assert protocol.next_tick_ns() <= due_ns
    error = Error(ErrorCode.SHUTTING_DOWN, "stopping")
    assert protocol.tick(due_ns) == [Ended(error)]
    assert protocol.tick(due_ns + 9 * SECOND) == []


def test_the_hub_may_end_before_its_deadline() -> None:
    """Its error is the end, and the deadline is forgotten."""
    protocol = make(1)
    protocol.receive(DRAIN, START)
    error = Error(ErrorCode.SHUTTING_DOWN, "now")
    assert protocol.receive(error, START) == [Ended(error)]
    assert protocol.tick(START + 9 * SECOND) == []


def test_a_hub_may_fall_silent_while_it_is_drained() -> None:
    """The end is told once."""
    protocol = make(1)
    protocol.receive(Drain("stopping", 0, 60_000), START)
    assert protocol.tick(START + 3 * SECOND) == [HubSilent(3 * SECOND)]
    assert protocol.tick(START + 90 * SECOND) == []


def test_a_hub_cannot_ask_for_a_silence_without_end() -> None:
    """Both times are cut to a minute."""
    protocol = make(1)
    (asked,) = protocol.receive(Drain("x", 2**32 - 1, 2**32 - 1), START)
    assert asked == DrainAsked("x", 60_000)
    for second in range(1, 60):
        protocol.receive(None, START + second * SECOND)
    (ended,) = protocol.tick(START + 60 * SECOND)
    assert isinstance(ended, Ended)


def test_only_the_first_drain_counts() -> None:
    """Neither a second one nor one after Bye begins anew."""
    protocol = make(1)
    protocol.receive(DRAIN, START)
    assert protocol.receive(DRAIN, START + SECOND) == []
    leaving = make(1)
    leaving.bye("stopping")
    assert leaving.receive(DRAIN, START) == []


def test_the_hub_asks_once_and_only_who_is_welcome() -> None:
    """Before the welcome and after the end there is nothing to drain."""
    protocol = HubProtocol(TERMS, START)
    protocol.drain("early", 1, 2)
    assert protocol.outgoing() == []
    protocol.receive(HELLO, START)
    protocol.accept(START)
    protocol.drain("stopping", 250, 1_500)
    protocol.drain("again", 0, 0)
    assert protocol.outgoing() == [TERMS, DRAIN]
    protocol.end(ErrorCode.SHUTTING_DOWN, "now")
    protocol.drain("late", 0, 0)
    assert protocol.outgoing() == [Error(ErrorCode.SHUTTING_DOWN, "now")]
