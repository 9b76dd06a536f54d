"""Files of a user's catalog."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file and return its path."""

    def write_file(text: str, name: str = "own.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_file
