"""The back end `file`: rings as files in a directory of the user's."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from shmtel import _ring, config
from shmtel.errors import SegmentError
from shmtel.segments import POSIX, Home, home_of, segment_name
from support.processes import run_python
from support.program import fresh_namespace

NAME = segment_name("files", bytes(16))


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory on a tmpfs."""
    with TemporaryDirectory(dir=POSIX.directory) as name:
        yield Path(name)


@pytest.fixture
def home(directory: Path) -> Home:
    """The home in that directory."""
    return home_of(str(directory))


@pytest.mark.parametrize("umask", [0, 0o777])
def test_segment_is_for_its_user_alone(home: Home, directory: Path, umask: int) -> None:
    """Whatever the umask, the file can be opened by its owner, and by no other."""
    before = os.umask(umask)
    try:
        fd = home.create(NAME)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert home.scan("files") == [NAME]
    home.unlink(NAME)
    home.unlink(NAME)  # that it is gone is no error
    assert list(directory.iterdir()) == []


def _file(path: Path) -> None:
    path.touch()


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("trap", [_file, _link, _dangling_link, _pipe, _directory])
def test_what_is_there_is_never_taken_for_a_new_segment(
    home: Home, directory: Path, trap: Callable[[Path], None]
) -> None:
    """A segment is created, or nothing is."""
    trap(directory / NAME)
    with pytest.raises(SegmentError, match="exists"):
        home.create(NAME)
    assert not (directory / "elsewhere").exists()


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("trap", [_link, _dangling_link, _pipe, _directory, None])
def test_readers_fall_into_no_trap(
    home: Home, directory: Path, trap: Callable[[Path], None] | None, writable: bool
) -> None:
    """Links are not followed, pipes not waited for, and nothing is created."""
    if trap is not None:
        trap(directory / NAME)
    before = sorted(directory.iterdir())
    with pytest.raises(SegmentError, match=NAME):
        home.open(NAME, writable=writable)
    assert sorted(directory.iterdir()) == before
    assert home.scan("files") == []


def test_workers_put_their_rings_there(directory: Path) -> None:
    """With SHMTEL_DIR a worker and its child leave everything in the directory."""
    code = """
import os, shmtel
shmtel.emit("parent", {})
if os.fork() == 0:
    shmtel.emit("child", {})
    os._exit(0)
os.wait()
assert shmtel.stats()["committed"] == 1
"""
    with fresh_namespace() as namespace:
        before = set(os.listdir(POSIX.directory))
        done = run_python(code, namespace, SHMTEL_DIR=str(directory))
        added = set(os.listdir(POSIX.directory)) - before
        assert not any(namespace in name for name in added)
        rings = home_of(str(directory)).scan(namespace)
    assert done.stderr == ""
    assert len(rings) == 2
    files = {path.name for path in directory.iterdir()}
    assert files == {*rings, f"shmtel-index.{os.geteuid()}"}


@pytest.mark.parametrize("below", ["missing", "file/below"])
def test_unusable_directory_is_named_once(directory: Path, below: str) -> None:
    """A worker without its directory counts every event, and says what to mend."""
    (directory / "file").touch()
    code = """
import os, shmtel
for number in range(10):
    shmtel.emit("e", {})
assert shmtel.stats()["dropped"]["no_ring"] == 10, shmtel.stats()
"""
    with fresh_namespace() as namespace:
        done = run_python(code, namespace, SHMTEL_DIR=f"{directory}/{below}")
        assert POSIX.scan(namespace) == []
    assert done.stderr.count("ShmtelWarning") == 1
    assert f"Cure: {directory}/{below}: check that it exists" in done.stderr


def test_disk_is_warned_of_once_and_works(directory: Path) -> None:
    """Off a tmpfs the ring is made, and one warning names the cure."""
    code = """
import os, shmtel
from shmtel import _ring
_ring.is_in_memory = lambda fd: False
shmtel.emit("e", {})
if os.fork() == 0:
    shmtel.emit("e", {})
    os._exit(shmtel.stats()["committed"] - 1)
assert os.wait()[1] == 0
assert shmtel.stats()["committed"] == 1
"""
    with fresh_namespace() as namespace:
        done = run_python(code, namespace, SHMTEL_DIR=str(directory))
    assert done.stderr.count("ShmtelWarning") == 1
    assert "medium: Memory" in done.stderr


def test_memory_is_told_from_other_file_systems(directory: Path) -> None:
    """A file on a tmpfs lives in memory; one of /proc, a pipe, nothing do not."""
    fds = [os.open(path, os.O_RDONLY) for path in (directory, "/proc/self/stat")]
    fds += os.pipe()
    try:
        answers = [_ring.is_in_memory(fd) for fd in (*fds, -1, 1 << 40)]
    finally:
        for fd in fds:
            os.close(fd)
    assert answers == [True] + [False] * 5


def test_relative_directory_is_refused() -> None:
    """A path that changes with the current directory is warned of, and not used."""
    config._warned.clear()
    with pytest.warns(config.ShmtelWarning, match="absolute"):
        assert config.load({"SHMTEL_DIR": "rings"}).directory is None
    assert config.load({"SHMTEL_DIR": "/dev/shm/x/"}).directory == "/dev/shm/x"
