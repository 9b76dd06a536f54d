"""A namespace, and workers and rings in it, for each test that asks for them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from support.emitter import Emitter
from support.program import fresh_namespace
from support.ring_builder import RingBuilder


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace that nothing else uses."""
    with fresh_namespace() as name:
        yield name


@pytest.fixture
def start_worker(namespace: str) -> Iterator[Callable[..., Emitter]]:
    """Start workers in the namespace; they end with the test."""
    with ExitStack() as stack:
        yield lambda **variables: stack.enter_context(Emitter(namespace, **variables))


@pytest.fixture
def make_ring(namespace: str) -> Iterator[Callable[..., RingBuilder]]:
    """Build rings in the namespace; they are removed with the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            RingBuilder(namespace=namespace, **options)
        )
