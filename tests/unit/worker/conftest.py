"""The ring of the test process, shared by the tests of the worker's side."""

from collections.abc import Iterator

import pytest

import shmtel
from shmtel import _ring
from support.own_ring import OwnRing, make_own_ring


@pytest.fixture(scope="session")
def process_ring() -> Iterator[OwnRing]:
    """The one ring of this process."""
    ring = make_own_ring()
    yield ring
    shmtel.disable()
    ring.remove()


@pytest.fixture
def ring(process_ring: OwnRing) -> Iterator[OwnRing]:
    """The ring of this process, empty, with telemetry on and no words set."""
    shmtel.enable()
    process_ring.events()
    yield process_ring
    consumer = process_ring.consumer
    consumer.set_enabled(_ring.RING_ON)
    consumer.set_default_word(_ring.WORD_UNSET)
    for event_id in range(len(consumer.names(0))):
        consumer.set_word(event_id, _ring.WORD_UNSET)
    process_ring.events()
