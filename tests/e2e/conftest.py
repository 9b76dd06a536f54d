"""A `Control` service that plays the collector of this host."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.control_server import NAMESPACE, ControlServer, serving


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
