"""Damaged state databases: what is damage, and where it goes."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shmtel.statefiles import is_damage, set_aside


def test_everything_of_a_database_is_set_aside_together(tmp_path: Path) -> None:
    """The log goes along, and an earlier one that was set aside stays."""
    path = tmp_path / "state.sqlite3"
    for content in (b"first", b"second"):
        path.write_bytes(content)
        path.with_name("state.sqlite3-wal").write_bytes(content)
        target = set_aside(path)
        assert target.read_bytes() == content
        assert target.with_name(target.name + "-wal").read_bytes() == content
    assert not path.exists()
    assert (tmp_path / "state.sqlite3.damaged-1").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 4


def test_what_is_damage(tmp_path: Path) -> None:
    """A file that is no database is damaged; one that cannot be opened is not."""
    path = tmp_path / "state.sqlite3"
    path.write_bytes(b"no database" * 100)
    with (
        closing(sqlite3.connect(path)) as database,
        pytest.raises(sqlite3.Error) as refused,
    ):
        database.execute("PRAGMA user_version").fetchone()
    assert is_damage(refused.value)
    with pytest.raises(sqlite3.Error) as missing:
        sqlite3.connect(tmp_path / "no" / "such").execute("SELECT 1")
    assert not is_damage(missing.value)
