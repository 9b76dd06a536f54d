"""A line of a test's own, and a `Control` service that plays a host's collector."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.collector_process import CollectorProcess, NotingHub
from support.control_server import NAMESPACE, ControlServer, serving
from support.program import fresh_namespace


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace that nothing else uses."""
    with fresh_namespace() as name:
        yield name


@pytest.fixture
def hub() -> Iterator[NotingHub]:
    """A hub that notes what arrives."""
    with NotingHub() as hub:
        yield hub


@pytest.fixture
def collector(
    namespace: str, hub: NotingHub, tmp_path: Path
) -> Iterator[CollectorProcess]:
    """A running collector that knows the hub."""
    with CollectorProcess(namespace, hub.hub.address, tmp_path) as collector:
        yield collector


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """Give a runtime directory of the test's own."""
    directory = tmp_path / "shmtel"
    directory.mkdir()
    return directory


@pytest.fixture
def server(runtime: Path) -> Iterator[ControlServer]:
    """Serve as the collector of the namespace of `ctl`."""
    with serving(runtime / f"{NAMESPACE}.sock") as running:
        yield running
