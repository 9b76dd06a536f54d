"""A ring with one event name, and a consumer of it."""

from collections.abc import Iterator

import pytest

from shmtel._ring import Consumer
from support.ring_builder import RingBuilder


@pytest.fixture
def ring() -> Iterator[RingBuilder]:
    """A published ring of the smallest capacity that knows the event `a.b`."""
    with RingBuilder() as builder:
        builder.add_name("a.b")
        yield builder


@pytest.fixture
def consumer(ring: RingBuilder) -> Iterator[Consumer]:
    """The consumer of that ring."""
    made = Consumer(ring.open())
    yield made
    made.close()
