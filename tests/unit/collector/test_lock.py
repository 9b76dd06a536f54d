"""One collector per namespace, whatever happened to the one before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shmtel.errors import ShmtelError
from shmtel_collector.lock import AlreadyRunning, NamespaceLock
from support.home import HOME


def test_second_collector_is_told_the_pid_of_the_first(namespace: str) -> None:
    """The refusal names who has the namespace and what to do."""
    with (
        NamespaceLock(namespace, HOME.directory),
        pytest.raises(AlreadyRunning, match=rf"pid {os.getpid()}\).*--namespace"),
    ):
        NamespaceLock(namespace, HOME.directory)


def test_release_leaves_no_file(namespace: str) -> None:
    """After a clean end nothing remains, and the next one gets the lock."""
    with NamespaceLock(namespace, HOME.directory) as lock:
        assert os.stat(lock.path).st_mode & 0o777 == 0o600
    assert not os.path.exists(lock.path)
    lock.release()
    NamespaceLock(namespace, HOME.directory).release()


def test_killed_collector_does_not_hold_its_namespace(namespace: str) -> None:
    """The file that a killed collector leaves behind locks nobody out."""
    code = (
        "import os, sys; from shmtel_collector.lock import NamespaceLock; "
        "lock = NamespaceLock(*sys.argv[1:]); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, namespace, HOME.directory], cwd="/", check=False
    )
    assert done.returncode == -9
    NamespaceLock(namespace, HOME.directory).release()


def test_lock_is_taken_without_room_for_the_pid(namespace: str) -> None:
    """Where the rings have filled everything, the collector comes all the same."""
    code = (
        "import resource, sys; from shmtel_collector.lock import NamespaceLock\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "with NamespaceLock(*sys.argv[1:]) as lock:\n"
        "    print(open(lock.path).read(), end='locked')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, namespace, HOME.directory],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "locked"), done.stderr


def test_lock_on_a_removed_file_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that its owner removed between open and lock is not taken."""
    path = tmp_path / "shmtel.race.collector"
    opened: list[int] = []
    really_open = os.open

    def open_and_lose(name: str, flags: int, mode: int) -> int:
        fd = really_open(name, flags, mode)
        if not opened:
            path.unlink()
        opened.append(fd)
        return fd

    monkeypatch.setattr("shmtel_collector.lock.os.open", open_and_lose)
    with NamespaceLock("race", str(tmp_path)):
        assert len(opened) == 2
        assert path.exists()


def test_file_of_the_lock_is_not_a_ring(namespace: str) -> None:
    """No listing of rings shows the lock."""
    with NamespaceLock(namespace, HOME.directory):
        assert HOME.scan(namespace) == []


def test_file_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """An unusable directory is named."""
    with pytest.raises(ShmtelError, match="nowhere"):
        NamespaceLock("test", str(tmp_path / "nowhere"))


def test_lock_file_that_cannot_be_opened_is_named(
    namespace: str, tmp_path: Path
) -> None:
    """Another user's collector may have left it; the refusal says what to do."""
    path = tmp_path / f"shmtel.{namespace}.collector"
    path.mkdir()
    with pytest.raises(ShmtelError, match=rf"{path}: .*remove it, or .*--namespace"):
        NamespaceLock(namespace, str(tmp_path))


def test_pipe_in_its_place_is_a_clear_error(tmp_path: Path) -> None:
    """What anybody may have put there is neither waited for nor locked."""
    os.mkfifo(tmp_path / "shmtel.test.collector")
    with pytest.raises(ShmtelError, match="is not a file"):
        NamespaceLock("test", str(tmp_path))
