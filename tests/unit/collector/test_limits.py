"""A guard rail's rate beside a sampling rate of the worker's own."""

from collections.abc import Callable

import pytest

from shmtel import _ring
from shmtel.config import threshold_of
from shmtel.policy.model import GUARD, Layer, Rule, Sampling, Selector
from shmtel.wire.frames import Outcome
from shmtel_collector.guard import Guard
from support.memory_line import SECOND_NS, MemoryLine
from support.ring_builder import RingBuilder
from support.ring_layout import ControlZone, Identity

MakeRing = Callable[..., RingBuilder]
HALF, TENTH = threshold_of(0.5), threshold_of(0.1)
ABOVE_ALL = 0xFFFF_0000


@pytest.fixture
def limited(line: MemoryLine) -> MemoryLine:
    """A collector whose guard rail keeps at most half of everything."""
    line.close()
    rules = (Rule(Selector(), Sampling(0.5)),)
    line.guard = Guard(Layer(GUARD, rules, is_guard=True))
    line._start()
    line.connect()
    return line


def _worker(make_ring: MakeRing, own: int) -> RingBuilder:
    ring = make_ring()
    ring.poke(Identity, initial_threshold=own)
    ring.add_name("a.b", own)
    return ring


def _totals(line: MemoryLine, ring: RingBuilder) -> dict[int, int]:
    line.step(SECOND_NS)
    return dict(line.hub.rings[ring.ring_id].position.totals)


def test_a_stricter_worker_is_not_loosened(
    limited: MemoryLine, make_ring: MakeRing
) -> None:
    """It goes on by its own rate, and what survived that arrives as it is."""
    ring = _worker(make_ring, TENTH)
    ring.append(0, threshold=TENTH, draw=ABOVE_ALL)
    assert _totals(limited, ring) == {Outcome.DELIVERED: 1}
    zone = ring.peek(ControlZone)
    assert (zone.word[0], zone.default_word) == (_ring.WORD_UNSET, _ring.WORD_UNSET)


def test_a_looser_worker_is_told(limited: MemoryLine, make_ring: MakeRing) -> None:
    """It reads the limit as its word; new names meet it when they are drained."""
    ring = _worker(make_ring, threshold_of(0.9))
    ring.append(0, threshold=threshold_of(0.9), draw=ABOVE_ALL)
    assert _totals(limited, ring) == {Outcome.DELIVERED: 1}
    zone = ring.peek(ControlZone)
    assert (zone.word[0], zone.default_word) == (HALF, _ring.WORD_UNSET)


def test_a_worker_that_claims_to_be_strict_is_held_to_the_limit(
    limited: MemoryLine, make_ring: MakeRing
) -> None:
    """What it says of itself in its ring does not let it past."""
    ring = _worker(make_ring, TENTH)
    ring.append(0, threshold=0, draw=HALF - 1)
    ring.append(0, threshold=0, draw=HALF)
    assert _totals(limited, ring) == {
        Outcome.SAMPLED_OUT_BY_COLLECTOR: 1,
        Outcome.DELIVERED: 1,
    }
