"""When files are rotated, and what becomes of them."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shmtel.errors import ConfigurationError
from shmtel.hub.files.forms import Gzip
from shmtel.hub.files.rotation import Rotation
from shmtel.hub.jsonlines import JsonLines
from support.event_files import all_seqs, batch, names_in, nothing, seqs_of
from support.processes import wait_until

LINE_BYTES = 330  # about


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the events go."""
    return tmp_path / "events.jsonl"


def test_by_size(path: Path) -> None:
    """No batch is divided, and only one that is larger makes a larger file."""
    limit = 5 * LINE_BYTES
    with JsonLines(path, Rotation(max_bytes=limit)) as sink:
        for first, last in ((1, 2), (3, 4), (5, 6), (7, 26), (27, 27)):
            sink(batch(first, last))
        assert sink.file_counts == {"rotated": 3}
    names = [f"events.00000{n}.jsonl" for n in (1, 2, 3)]
    assert names_in(path.parent) == [*names, "events.jsonl"]
    assert [seqs_of(path.with_name(name)) for name in names] == [
        *([1, 2, 3, 4], [5, 6], list(range(7, 27)))
    ]
    assert (path.parent / names[0]).stat().st_size <= limit
    assert seqs_of(path) == [27]


def test_by_the_clock(path: Path) -> None:
    """A file holds what came in one span, also over a restart; none is empty."""
    clock = Clock()
    clock.now_s = 7_200.0
    rotation = Rotation(every_s=3_600)
    with JsonLines(path, rotation, clock) as sink:
        sink(batch(1, 1))
        clock.now_s = 10_799.0
        sink(batch(2, 2))
        clock.now_s = 10_800.0
        sink(batch(3, 3))
    os.utime(path, (10_800, 10_800))
    clock.now_s = 50_000.0
    with JsonLines(path, rotation, clock) as sink:
        sink(batch(4, 4))
    rotated = [path.with_name(f"events.00000{n}.jsonl") for n in (1, 2)]
    assert [seqs_of(each) for each in (*rotated, path)] == [[1, 2], [3], [4]]


def test_a_file_whose_time_is_over_while_nothing_comes(path: Path) -> None:
    """It is rotated all the same, for those who wait for it."""
    with JsonLines(path, Rotation(every_s=0.05, form=Gzip())) as sink:
        sink.recover(None, nothing)
        sink(batch(1, 3))
        packed = path.with_name("events.000001.jsonl.gz")
        sink._keeper.wake()  # type: ignore[union-attr]
        wait_until(lambda: sink.file_counts.get("converted") == 1)
        assert seqs_of(packed) == [1, 2, 3]
        assert path.stat().st_size == 0


def test_a_file_that_others_took_and_whose_time_is_over(path: Path) -> None:
    """There is nothing to rotate, and so nothing that fails again and again."""
    clock = Clock()
    with JsonLines(path, Rotation(every_s=3_600), clock) as sink:
        sink(batch(1, 1))
        path.unlink()
        clock.now_s += 3_600
        assert sink._rotate() == float("inf")  # as the thread beside it does
        assert sink.file_counts == {"reopened": 1}
        sink(batch(2, 2))
    assert seqs_of(path) == [2]


def test_what_is_kept(path: Path) -> None:
    """So many of the newest are, in whatever form; and numbers go on."""
    for first in (1, 7):
        form = Gzip() if first == 7 else Rotation().form
        with JsonLines(path, Rotation(max_bytes=1, keep=3, form=form)) as sink:
            sink.recover(None, nothing)
            for seq in range(first, first + 6):
                sink(batch(seq, seq))
            wait_until(lambda sink=sink: _is_tidy(sink))
    assert names_in(path.parent) == [
        *(f"events.0000{n:02}.jsonl.gz" for n in (9, 10, 11)),
        "events.jsonl",
    ]
    assert all_seqs(path) == [9, 10, 11, 12]


def _is_tidy(sink: JsonLines) -> bool:
    files = sink._output.chain.files()
    has_form = sink._keeper._rotation.form.name(sink.path) is not None  # type: ignore[union-attr]
    return len(files) == 3 and not any(file.is_plain and has_form for file in files)


def test_a_file_that_cannot_be_rotated_is_written_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is counted, and tried again after a while."""
    clock = Clock()
    with JsonLines(path, Rotation(max_bytes=1), clock) as sink:
        sink(batch(1, 1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", _refuse)
            sink(batch(2, 2))
        sink(batch(3, 3))
        assert sink.file_counts == {"not_rotated": 1}
        clock.now_s += 1
        sink(batch(4, 4))
        assert sink.file_counts == {"not_rotated": 1, "rotated": 1}
    assert seqs_of(path) == [4]
    assert all_seqs(path) == [1, 2, 3, 4]


def test_a_time_that_is_over_and_a_file_that_cannot_be_rotated(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again soon, not when the next time is over."""
    clock = Clock()
    with JsonLines(path, Rotation(every_s=3_600), clock) as sink:
        sink(batch(1, 1))
        clock.now_s += 3_600
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", _refuse)
            sink(batch(2, 2))
        assert sink._output.due_s == clock.now_s + 1
        clock.now_s += 1
        sink(batch(3, 3))
    assert seqs_of(path) == [3]


def test_a_file_that_another_process_makes_at_that_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left alone, and the sink fails; what it had written stays."""
    with JsonLines(path, Rotation(max_bytes=1)) as sink:
        sink(batch(1, 1))
        rename = os.rename

        def lose(source: Path, target: Path) -> None:
            rename(source, target)
            path.write_text("theirs\n")

        monkeypatch.setattr(os, "rename", lose)
        with pytest.raises(FileExistsError, match="another process"):
            sink(batch(2, 2))
    assert path.read_text() == "theirs\n"
    assert seqs_of(path.with_name("events.000001.jsonl")) == [1]


def test_a_new_file_that_cannot_be_made(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the old one gets its name back."""
    with JsonLines(path, Rotation(max_bytes=1)) as sink:
        sink(batch(1, 1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", _refuse)
            sink(batch(2, 2))
        assert sink.file_counts == {"not_rotated": 1}
    assert names_in(path.parent) == ["events.jsonl"]
    assert seqs_of(path) == [1, 2]


def _refuse(*_arguments: object, **_more: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Broken(Gzip):
    """A form that fails until it is told not to."""

    def __init__(self, error: Exception) -> None:
        self.is_broken = True
        self.error = error

    def write(self, rotated: Path, target: Path, is_ending: Callable[[], bool]) -> None:
        """Write a part, and fail; or write it."""
        if self.is_broken:
            target.write_bytes(b"half")
            raise self.error
        super().write(rotated, target, is_ending)


def test_a_file_is_removed_when_the_disk_has_it_in_its_new_form(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that loses its power in between has the lines in one form or in both."""
    packed = path.with_name("events.000001.jsonl.gz")
    is_synced_before: dict[str, tuple[bool, ...]] = {}
    synced: set[int] = set()
    fsync, rename, unlink = os.fsync, os.rename, os.unlink

    def note_sync(file: int) -> None:
        fsync(file)
        synced.add(os.fstat(file).st_ino)

    def note(what: str, *files: Path) -> None:
        is_synced_before[what] = tuple(f.stat().st_ino in synced for f in files)

    def note_rename(source: Path, target: Path) -> None:
        if Path(target) == packed:
            note("rename", Path(source))
        rename(source, target)

    def note_unlink(gone: Path) -> None:
        note("unlink", packed, packed.parent)
        unlink(gone)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "rename", note_rename)
    monkeypatch.setattr(os, "unlink", note_unlink)
    with JsonLines(path, Rotation(max_bytes=LINE_BYTES, form=Gzip())) as sink:
        sink(batch(1, 1))
        sink(batch(2, 2))
        wait_until(lambda: sink.file_counts.get("converted") == 1)
    assert is_synced_before == {"rename": (True,), "unlink": (True, True)}


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "no space"), MemoryError("no memory")], ids=repr
)
def test_a_form_that_cannot_be_written(path: Path, error: Exception) -> None:
    """The lines stay as they are, and it is tried again."""
    form = Broken(error)
    with JsonLines(path, Rotation(max_bytes=1, form=form)) as sink:
        sink.recover(None, nothing)
        sink(batch(1, 1))
        sink(batch(2, 2))
        wait_until(lambda: sink.file_counts.get("not_converted"))
        assert names_in(path.parent) == ["events.000001.jsonl", "events.jsonl"]
        form.is_broken = False
        sink(batch(3, 3))
        wait_until(lambda: sink.file_counts.get("converted") == 2)
    assert all_seqs(path) == [1, 2, 3]


@pytest.mark.parametrize(
    "wrong", [{"max_bytes": 0}, {"every_s": -1.0}, {"keep": 0, "every_s": 1.0}]
)
def test_settings_that_make_no_sense(wrong: dict[str, float]) -> None:
    """They are refused by name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Rotation(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"keep": 1}, {"form": Gzip()}])
def test_settings_of_files_that_are_never_rotated(wrong: dict[str, object]) -> None:
    """They are refused, with the cure."""
    with pytest.raises(ConfigurationError, match="set `max_bytes` or `every_s`"):
        Rotation(**wrong)  # type: ignore[arg-type]
