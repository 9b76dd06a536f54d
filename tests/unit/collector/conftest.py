"""A namespace and workers of their own for each test of the collector."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.emitter import Emitter
from support.memory_line import MemoryLine
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
def line(namespace: str, tmp_path: Path) -> Iterator[MemoryLine]:
    """A collector of the namespace and a hub in memory, not yet connected."""
    line = MemoryLine(namespace, tmp_path / "state")
    yield line
    line.close()


@pytest.fixture
def make_ring(namespace: str) -> Iterator[Callable[..., RingBuilder]]:
    """Build rings in the namespace; they are removed with the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            RingBuilder(namespace=namespace, **options)
        )
