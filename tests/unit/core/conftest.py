"""A ring with one event name, or with those of a span too, and a consumer of it."""

from collections.abc import Iterator

import pytest

from shmtel._ring import Consumer
from support.judgement import NAMES
from support.ring_builder import RingBuilder


@pytest.fixture
def ring() -> Iterator[RingBuilder]:
    """A published ring of the smallest capacity that knows the event `a.b`."""
    with RingBuilder() as builder:
        builder.add_name("a.b")
        yield builder


@pytest.fixture
def span_ring(ring: RingBuilder) -> RingBuilder:
    """That ring, which also knows the events of a span."""
    for name in NAMES[1:]:
        ring.add_name(name)
    return ring


@pytest.fixture
def consumer(ring: RingBuilder) -> Iterator[Consumer]:
    """The consumer of that ring."""
    made = Consumer(ring.open())
    yield made
    made.close()
