"""The account of evicted rings: exact, whoever is killed at whatever step."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shmtel import evictions
from shmtel.errors import SegmentError
from shmtel.evictions import (
    SLOT_BYTES,
    DamagedEvictions,
    Evictions,
    add,
    file_name,
    read_evictions,
)
from shmtel.segments import Home, segment_name
from support.home import HOME

ACCOUNT = {"rings": 1, "last_seq": 7, "totals": {"0": 3, "19": 4}}


class Killed(BaseException):
    """Stands for a SIGKILL."""


def _segment(namespace: str) -> str:
    name = segment_name(namespace, os.urandom(16))
    os.close(HOME.create(name))
    return name


def _evict(namespace: str, *names: str) -> None:
    log = Evictions.open(HOME, namespace)
    assert log is not None
    try:
        for name in names:
            log.evict(name, ACCOUNT)
    finally:
        log.close()


def _path(namespace: str) -> Path:
    return Path(HOME.path(file_name(namespace, os.geteuid())))


def test_tables_are_added_key_by_key() -> None:
    """A count that one side lacks is zero there, at any depth."""
    left = {"a": 1, "t": {"x": 1, "y": 2}}
    right = {"b": 2, "t": {"y": 3, "z": {"w": 1}}}
    expected = {"a": 1, "b": 2, "t": {"x": 1, "y": 5, "z": {"w": 1}}}
    assert add(left, right) == expected
    assert left == {"a": 1, "t": {"x": 1, "y": 2}}


def test_sum_survives_whoever_wrote_it(namespace: str) -> None:
    """Each writer adds to what the ones before have left; only the user can read it."""
    assert read_evictions(HOME, namespace) == {}
    for _ in range(3):
        _evict(namespace, _segment(namespace), _segment(namespace))
    assert read_evictions(HOME, namespace) == add(
        {}, {"rings": 6, "last_seq": 42, "totals": {"0": 18, "19": 24}}
    )
    assert HOME.scan(namespace) == []
    assert _path(namespace).stat().st_mode & 0o777 == 0o600
    others = [name for name in os.listdir(HOME.directory) if namespace in name]
    assert others == [_path(namespace).name]


def test_second_writer_does_not_wait(namespace: str) -> None:
    """While one writes, another is told so at once, also in the same process."""
    first = Evictions.open(HOME, namespace)
    assert first is not None
    assert Evictions.open(HOME, namespace) is None
    first.close()
    _evict(namespace)


@pytest.mark.parametrize("step", range(4))
def test_kill_at_any_step_counts_once_or_not_at_all(
    namespace: str, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The ring is there, or it is counted; and the next writer goes on from there."""
    _evict(namespace, _segment(namespace))
    name, taken = _segment(namespace), []

    def dying(act: Callable[..., None]) -> Callable[..., None]:
        def die_or_act(*arguments: Any) -> None:
            if len(taken) == step:
                raise Killed
            taken.append(act)
            act(*arguments)

        return die_or_act

    log = Evictions.open(HOME, namespace)
    assert log is not None
    with monkeypatch.context() as patch:
        for owner, method in (
            (Evictions, "_write"),
            (Home, "rename"),
            (Home, "unlink"),
        ):
            patch.setattr(owner, method, dying(getattr(owner, method)))
        with pytest.raises(Killed):
            log.evict(name, ACCOUNT)
    log.close()
    is_there = HOME.has(name)
    assert is_there == (step < 2)
    assert read_evictions(HOME, namespace)["rings"] == (1 if is_there else 2)
    if is_there and step == 1:  # a collector may drain and remove it now
        HOME.unlink(name)
        assert read_evictions(HOME, namespace)["rings"] == 1
        is_there = False
        expected = 1
    else:
        expected = 2
    _evict(namespace, *([name] if is_there else []))
    assert read_evictions(HOME, namespace)["rings"] == expected
    others = [file for file in os.listdir(HOME.directory) if namespace in file]
    assert others == [_path(namespace).name]


def test_torn_slot_leaves_the_one_before_in_force(namespace: str) -> None:
    """A write that was cut short does not count, and what was before still does."""
    _evict(namespace, _segment(namespace))  # generations 1 and 2
    with _path(namespace).open("r+b") as file:
        file.seek(0 * SLOT_BYTES + 30)
        file.write(b"\xff\xff")
    # Generation 1, in slot 1: the account is pending, and there is no tomb.
    assert read_evictions(HOME, namespace) == {}
    _evict(namespace, _segment(namespace))
    assert read_evictions(HOME, namespace) == ACCOUNT


def test_damaged_file_is_said_and_nothing_removed(namespace: str) -> None:
    """Without a sound slot nobody evicts, and no reader takes it for zero."""
    _path(namespace).write_bytes(b"garbage" * 4096)
    name = _segment(namespace)
    with pytest.raises(DamagedEvictions):
        read_evictions(HOME, namespace)
    for _ in range(2):  # the lock is let go of, too
        with pytest.raises(DamagedEvictions):
            Evictions.open(HOME, namespace)
    assert HOME.scan(namespace) == [name]


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("trap", [_link, _pipe])
def test_traps_are_not_the_file(namespace: str, trap: Callable[[Path], None]) -> None:
    """A link is not followed, a pipe not waited for, and neither is believed."""
    trap(_path(namespace))
    with pytest.raises(OSError):  # noqa: PT011  of several kinds
        Evictions.open(HOME, namespace)
    assert read_evictions(HOME, namespace) == {}


def test_superuser_reads_the_files_of_all(
    namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root sums over users; whose name does not fit its owner is passed over."""
    _evict(namespace, _segment(namespace))
    forged = Path(HOME.path(file_name(namespace, os.geteuid() + 1)))
    forged.write_bytes(_path(namespace).read_bytes())
    mine = os.geteuid()
    monkeypatch.setattr(evictions, "_users", lambda *_: [mine, mine + 1])
    assert read_evictions(HOME, namespace) == ACCOUNT


def test_segment_that_is_gone_is_not_counted(namespace: str) -> None:
    """Where there is nothing to remove, the sum stays as it is."""
    log = Evictions.open(HOME, namespace)
    assert log is not None
    with pytest.raises(SegmentError):
        log.evict(segment_name(namespace, bytes(16)), ACCOUNT)
    log.close()
    assert read_evictions(HOME, namespace) == {}
    _evict(namespace)
    assert read_evictions(HOME, namespace) == {}


def test_child_that_was_forked_meanwhile_does_not_keep_the_lock(namespace: str) -> None:
    """It has inherited the descriptor, and may live for long."""
    log = Evictions.open(HOME, namespace)
    assert log is not None
    inherited = os.dup(log._fd)
    log.close()
    try:
        _evict(namespace, _segment(namespace))
    finally:
        os.close(inherited)


def test_tomb_of_somebody_else_buries_nothing(
    namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another user has put in its place does not make an account count."""
    name, log = _segment(namespace), Evictions.open(HOME, namespace)
    assert log is not None

    def fail(home: Home, name: str, new_name: str) -> None:
        raise SegmentError("the tomb is somebody else's")

    with monkeypatch.context() as patch:
        patch.setattr(Home, "rename", fail)
        with pytest.raises(SegmentError):
            log.evict(name, ACCOUNT)
    log.close()
    tomb = HOME.path(f"shmtel.{namespace}.evicting.{os.geteuid()}")
    Path(tomb).touch()
    assert read_evictions(HOME, namespace) == ACCOUNT  # a tomb of our own does
    really_lstat, stranger = os.lstat, os.geteuid() + 1

    def lstat(path: str) -> os.stat_result:
        fields = list(really_lstat(path))
        fields[4] = stranger
        return os.stat_result(fields)

    monkeypatch.setattr("shmtel.evictions.os.lstat", lstat)
    assert read_evictions(HOME, namespace) == {}
