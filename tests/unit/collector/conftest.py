"""A collector of its own for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.memory_line import MemoryLine
from support.spools import OpenedSpool


@pytest.fixture
def line(namespace: str, tmp_path: Path) -> Iterator[MemoryLine]:
    """A collector of the namespace and a hub in memory, not yet connected."""
    line = MemoryLine(namespace, tmp_path / "state")
    yield line
    line.close()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenedSpool]:
    """An empty spool."""
    opened = OpenedSpool(tmp_path / "spool" / "n.spool.sqlite3")
    yield opened
    opened.spool.abandon()
