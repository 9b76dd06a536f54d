"""A collector of its own for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.memory_line import MemoryLine


@pytest.fixture
def line(namespace: str, tmp_path: Path) -> Iterator[MemoryLine]:
    """A collector of the namespace and a hub in memory, not yet connected."""
    line = MemoryLine(namespace, tmp_path / "state")
    yield line
    line.close()
