"""Files that others have their hands on."""

import errno
import gzip
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shmtel.hub.files.chain import Chain, columns_of
from shmtel.hub.files.rotation import Rotation
from shmtel.hub.jsonlines import JsonLines
from support.event_files import DAMAGED_GZIP, batch, names_in, nothing, seqs_of
from support.processes import wait_until


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


@pytest.mark.parametrize("name", ["events.jsonl.1", "elsewhere"])
def test_a_file_that_others_renamed_while_no_hub_was(path: Path, name: str) -> None:
    """What stands behind the mark in it is not stored again."""
    mark = _left(path)
    path.rename(path.with_name(name))
    with JsonLines(path) as sink:
        sink.recover(mark, nothing)
        sink(batch(4, 7))
        assert sink.repeated == 3
    assert seqs_of(path) == [7]


def _left(path: Path) -> str:
    """Leave three events behind a mark, and return it."""
    with JsonLines(path) as sink:
        sink(batch(1, 3))
        mark = sink.mark()
        sink(batch(4, 6))
    return mark


def test_a_file_that_others_have_packed_while_no_hub_was(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is found by its name, although neither inode nor number tells of it."""
    mark = _left(path)
    packed = path.with_name("events.jsonl.2.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()  # the next file may get its inode
    with JsonLines(path) as sink, caplog.at_level(logging.WARNING):
        sink.recover(mark, nothing)
        sink(batch(4, 7))
    assert seqs_of(path) == [7]
    assert "all beside it is searched" in caplog.text or "has lost" in caplog.text


def test_a_packed_file_that_is_damaged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and keeps no hub from its start."""
    packed = path.with_name("events.000001.jsonl.gz")
    packed.write_bytes(DAMAGED_GZIP)
    with JsonLines(path) as sink:
        sink.recover(None, nothing)
        sink(batch(1, 1))
    assert f"what {packed} holds cannot be told" in caplog.text


def test_another_file_with_the_inode_of_a_mark(path: Path) -> None:
    """Its bytes are others: it is searched as a whole."""
    mark = _left(path)
    with path.open("r+b") as file:  # as a new file that got the inode
        file.truncate()
    with JsonLines(path) as sink:
        sink(batch(1, 3, "cd"))  # up to where the mark is
        sink(batch(1, 5, "ef"))
    assert path.stat().st_size > json.loads(mark)["end"]
    with JsonLines(path) as sink:
        sink.recover(mark, nothing)
        sink(batch(1, 3, "cd"))
        assert sink.repeated == 3


def test_events_of_another_sink_say_nothing(path: Path) -> None:
    """A file beside it, with the same events, is not what it was."""
    with JsonLines(path.with_name("events.copy.jsonl")) as other:
        other(batch(1, 3))
    with JsonLines(path) as sink:
        sink.recover(None, nothing)
        sink(batch(1, 3))
    assert seqs_of(path) == [1, 2, 3]


@pytest.mark.parametrize("name", ["events", "events.log"])
def test_columns_of_a_neighbor_are_kept(tmp_path: Path, name: str) -> None:
    """A file with the same stem removes its own, and has names of its own."""
    columns = [f"events.00000{number}.parquet" for number in range(1, 5)]
    for each in columns:
        (tmp_path / each).write_bytes(b"of another sink")
    path = tmp_path / name
    with JsonLines(path, Rotation(max_bytes=1, keep=1)) as sink:
        for seq in range(1, 4):
            sink(batch(seq, seq))
        wait_until(lambda: sink.file_counts.get("removed"))
    assert sink.file_counts == {"rotated": 2, "removed": 1}
    own = [chain_file.path for chain_file in Chain(path).files()]
    assert names_in(tmp_path) == sorted([*columns, name, *(p.name for p in own)])
    target = columns_of(own[0])
    own[0].rename(target)
    assert [each.path for each in Chain(path).files()] == [target]
    assert target.name not in columns


def test_a_file_that_others_cut(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted and said with the cure; what comes next is whole."""
    with JsonLines(path) as sink, caplog.at_level(logging.ERROR):
        sink(batch(1, 2))
        os.truncate(path, 0)
        sink(batch(3, 3))
        assert sink.file_counts == {"cut": 1}
    assert "have it renamed instead" in caplog.text
    assert seqs_of(path) == [3]


def test_a_link_is_not_rotated_in_place_of_its_file(path: Path) -> None:
    """It stays, and rotated files are beside the file."""
    store = path.parent / "store"
    store.mkdir()
    (store / "real.jsonl").touch()
    path.symlink_to(store / "real.jsonl")
    with JsonLines(path, Rotation(max_bytes=1)) as sink:
        sink(batch(1, 1))
        sink(batch(2, 2))
    assert names_in(store) == ["real.000001.jsonl", "real.jsonl"]
    assert path.is_symlink()
    assert seqs_of(path) == [2]


def test_a_directory_that_cannot_be_listed(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The file itself is looked at, and the rest is said."""
    with JsonLines(path) as sink:
        sink(batch(1, 2))

    def refuse(_directory: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with JsonLines(path) as sink, caplog.at_level(logging.ERROR):
        sink.recover(None, nothing)
        sink(batch(1, 3))
    assert seqs_of(path) == [1, 2, 3]
    assert "is not seen" in caplog.text


def test_a_call_after_the_end(path: Path) -> None:
    """It fails, and makes no file anew."""
    sink = JsonLines(path, Rotation(max_bytes=1))
    sink(batch(1, 1))
    sink.close()
    with pytest.raises(OSError, match="it is closed"):
        sink(batch(2, 2))
    assert names_in(path.parent) == ["events.jsonl"]
