"""What the death of a worker, or doubt about it, does to its ring."""

from collections.abc import Callable, Iterator

import pytest

from shmtel import _ring
from shmtel.procfs import this_host
from shmtel_collector.backlog import Backlog
from shmtel_collector.lifeline import RETIREMENT_NS, Lifeline
from shmtel_collector.ring import Ring
from shmtel_collector.source import Source
from shmtel_collector.spool import Spool
from support.quiet_log import QuietLog
from support.ring_builder import RingBuilder
from support.ring_layout import ControlZone, ProducerZone


@pytest.fixture
def built(make_ring: Callable[..., RingBuilder]) -> RingBuilder:
    """A ring of this process, whose lock nobody holds: nothing can be proven."""
    return make_ring()


@pytest.fixture
def lifeline(built: RingBuilder) -> Iterator[Lifeline]:
    """The watch over it."""
    source = Source(_ring.Consumer(built.open()))
    backlog = Backlog(Spool(None, 0, QuietLog()), built.ring_id)
    ring = Ring(built.name, source, lambda _ring: None, backlog)
    lifeline = Lifeline(ring, this_host())
    yield lifeline
    lifeline.close()
    ring.source.close()


def test_doubt_retires_and_a_second_later_ends(
    lifeline: Lifeline, built: RingBuilder
) -> None:
    """However often it is probed in between, the worker has its second."""
    for now_ns in (0, 1, RETIREMENT_NS - 1):
        lifeline.probe(now_ns)
        assert lifeline.ring.end is None
        assert built.peek(ControlZone).enabled == _ring.RING_RETIRED
    lifeline.probe(RETIREMENT_NS)
    assert lifeline.ring.end is not None
    assert lifeline.ring.end.reason == "retired"


def test_proof_ends_the_doubt(lifeline: Lifeline, built: RingBuilder) -> None:
    """A retired ring that its worker then leaves is finished without waiting."""
    lifeline.probe(0)
    built.poke(ProducerZone, state=2)
    lifeline.probe(1)
    assert lifeline.ring.end is not None
    assert lifeline.ring.end.reason == "closed"


def test_end_is_final(lifeline: Lifeline, built: RingBuilder) -> None:
    """What is written behind the end of a ring does not move it."""
    built.poke(ProducerZone, state=2)
    lifeline.probe(0)
    end = lifeline.ring.end
    built.add_name("a.b")
    built.append(0)
    lifeline.probe(1)
    assert lifeline.ring.end == end
