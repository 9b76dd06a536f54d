"""Files that others have their hands on."""

import errno
import logging
import os
from pathlib import Path

import pytest

from shmtel.hub.jsonlines import JsonLines
from support.event_files import batch, nothing, seqs_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the events go."""
    return tmp_path / "events.jsonl"


def test_two_sinks_on_one_file(path: Path) -> None:
    """The second is refused, until the first is closed."""
    with JsonLines(path), pytest.raises(OSError, match="another process") as caught:
        JsonLines(path)
    assert caught.value.errno == errno.EAGAIN
    JsonLines(path).close()


def test_a_file_that_others_rename(path: Path) -> None:
    """What comes next goes into a new file of the name, as from logrotate."""
    with JsonLines(path) as sink:
        sink(batch(1, 2))
        path.rename(path.with_suffix(".1"))
        sink(batch(3, 3))
        path.rename(path.with_suffix(".2"))
        path.touch()  # `create` of logrotate
        sink(batch(4, 4))
        assert sink.file_counts == {"reopened": 2}
    assert seqs_of(path.with_suffix(".1")) == [1, 2]
    assert seqs_of(path.with_suffix(".2")) == [3]
    assert seqs_of(path) == [4]


def test_a_file_that_others_renamed_while_no_hub_was(path: Path) -> None:
    """What stands behind the mark in it is not stored again."""
    with JsonLines(path) as sink:
        sink(batch(1, 3))
        mark = sink.mark()
        sink(batch(4, 6))
    path.rename(path.with_suffix(".1"))
    with JsonLines(path) as sink:
        sink.recover(mark, nothing)
        sink(batch(4, 7))
        assert sink.repeated == 3
    assert seqs_of(path) == [7]


def test_a_file_that_is_gone_is_told(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can say then what was in it."""
    with JsonLines(path) as sink:
        sink(batch(1, 3))
        mark = sink.mark()
    path.rename(path.with_suffix(".1"))
    path.with_suffix(".1").write_bytes(b"packed")
    os.replace(path.with_suffix(".1"), path.with_suffix(".1.gz"))
    path.with_suffix(".2").touch()
    (path.parent / "sub").mkdir()
    os.replace(path.with_suffix(".1.gz"), path.parent / "sub" / "moved")
    with JsonLines(path) as sink, caplog.at_level(logging.WARNING):
        sink.recover(mark, nothing)
    assert "is not beside it any more" in caplog.text


def test_a_file_that_others_cut(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted and said with the cure; what comes next is whole."""
    with JsonLines(path) as sink, caplog.at_level(logging.ERROR):
        sink(batch(1, 2))
        os.truncate(path, 0)
        sink(batch(3, 3))
        assert sink.file_counts == {"cut": 1}
    assert "have it renamed instead" in caplog.text
    assert seqs_of(path) == [3]
