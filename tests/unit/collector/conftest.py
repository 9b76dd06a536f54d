"""A namespace and workers of their own for each test of the collector."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from support.emitter import Emitter
from support.processes import private_namespace


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace that nothing else uses."""
    with private_namespace() as name:
        yield name


@pytest.fixture
def start_worker(namespace: str) -> Iterator[Callable[..., Emitter]]:
    """Start workers in the namespace; they end with the test."""
    with ExitStack() as stack:
        yield lambda **variables: stack.enter_context(Emitter(namespace, **variables))
