"""Where rings live: names, creation and discovery of their segments.

A home is where the rings of some workers are, one segment per ring, named
`shmtel.<namespace>.<ring id in hex>`. The pid is not in the name: it means
nothing outside its own namespace, and the ring id is unique without it. A home is
POSIX shared memory, or a directory of the user's, which should be a tmpfs: the
same files under the same names, only elsewhere.

Nothing here maps a segment or looks into one; that is the C core's work.

Rules:
- a segment is created exclusively and never opened with a size (posix_ipc
  would resize it under a live producer);
- a directory of the user's may be anybody's: readers follow no links, wait for no
  pipes, and create nothing;
- a process never opens its own segment a second time: closing any descriptor
  of a file drops the POSIX lock that proves the process alive.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import Protocol

import posix_ipc

from shmtel.errors import SegmentError
from shmtel.interruptions import pass_on

DIRECTORY = "/dev/shm"  # where Linux keeps POSIX shared memory
_RING_ID = r"[0-9a-f]{32}"
_MODE = 0o600
_NO_TRAPS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def segment_name(namespace: str, ring_id: bytes) -> str:
    """Return the name of the segment of a ring, without the leading slash."""
    return f"shmtel.{namespace}.{ring_id.hex()}"


def above_standard_streams(fd: int) -> int:
    """Move a descriptor up if it is one of the first three.

    A daemon may have closed those; it will open them anew, and until then any
    library that prints would write into the segment.
    """
    if fd > 2:
        return fd
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return moved


class _Access(Protocol):
    """How segments of a home are made, opened and removed, each by its name.

    What fails raises posix_ipc.Error or OSError.
    """

    def create(self, name: str) -> int:
        """Create an empty segment and return its descriptor, close-on-exec."""

    def open(self, name: str, *, writable: bool) -> int:
        """Open an existing segment and return its descriptor, close-on-exec."""

    def unlink(self, name: str) -> None:
        """Remove a segment; one that is already gone is no error."""


def _open(path: str, *, writable: bool) -> int:
    """Open a plain file, and nothing that has come into its place since it was seen."""
    fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | _NO_TRAPS)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file")


class _PosixAccess:
    """POSIX shared memory, by posix_ipc.

    It opens without O_NONBLOCK, so that a pipe would keep a reader for ever: what is
    there already is opened as the file that it is on Linux.
    """

    def create(self, name: str) -> int:
        return int(posix_ipc.SharedMemory(f"/{name}", posix_ipc.O_CREX, mode=_MODE).fd)

    def open(self, name: str, *, writable: bool) -> int:
        return _open(f"{DIRECTORY}/{name}", writable=writable)

    def unlink(self, name: str) -> None:
        with contextlib.suppress(posix_ipc.ExistentialError):
            posix_ipc.unlink_shared_memory(f"/{name}")


class _FileAccess:
    """Files in a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def create(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        return os.open(f"{self._directory}/{name}", flags | _NO_TRAPS, _MODE)

    def open(self, name: str, *, writable: bool) -> int:
        return _open(f"{self._directory}/{name}", writable=writable)

    def unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._directory}/{name}")


class Home:
    """A place where rings live.

    Attributes:
        directory: where its segments can be seen as files.
    """

    __slots__ = ("_access", "directory")

    def __init__(self, directory: str, access: _Access) -> None:
        self.directory = directory
        self._access = access

    def create(self, name: str) -> int:
        """Create an empty segment and return its descriptor, close-on-exec.

        Raises:
            SegmentError: the segment cannot be created; the text says why.
        """
        try:
            fd = self._access.create(name)
        except (posix_ipc.Error, OSError) as error:
            raise SegmentError(
                f"cannot create {self.path(name)}: {_why(error)}"
            ) from error
        os.fchmod(fd, _MODE)  # the umask has already cut the mode of creation
        return above_standard_streams(fd)

    def open(self, name: str, *, writable: bool) -> int:
        """Open an existing segment and return its descriptor.

        Raises:
            SegmentError: it is gone, or this user may not open it.
        """
        try:
            return self._access.open(name, writable=writable)
        except (posix_ipc.Error, OSError) as error:
            raise SegmentError(
                f"cannot open {self.path(name)}: {_why(error)}"
            ) from error

    def unlink(self, name: str) -> None:
        """Remove a segment; one that is already gone is no error."""
        try:
            self._access.unlink(name)
        except (posix_ipc.Error, OSError) as error:
            raise SegmentError(
                f"cannot remove {self.path(name)}: {_why(error)}"
            ) from error

    def rename(self, name: str, new_name: str) -> None:
        """Give a segment another name.

        Raises:
            SegmentError: it keeps its name.
        """
        try:
            os.rename(self.path(name), self.path(new_name))
        except OSError as error:
            raise SegmentError(f"cannot rename {self.path(name)}: {error}") from error

    def scan(self, namespace: str) -> list[str]:
        """List the names of the segments of a namespace; none without a directory."""
        try:
            with os.scandir(self.directory) as entries:
                return [entry.name for entry in _segments_among(entries, namespace)]
        except OSError:
            return []

    def scan_kinds(self, namespace: str) -> dict[str, str]:
        """Return all that has a ring's name, with what is wrong with it, if anything.

        `link` is a symbolic link, `not_a_file` a directory, a pipe or a socket; of
        what `scan` lists nothing is wrong by its kind.
        """
        try:
            with os.scandir(self.directory) as entries:
                return {e.name: _fault_of(e) for e in _named_for(entries, namespace)}
        except OSError:
            return {}

    def stat_all(self, namespace: str) -> dict[str, os.stat_result]:
        """Return what the file system says of each segment; none where `scan` has."""
        found: dict[str, os.stat_result] = {}
        try:
            with os.scandir(self.directory) as entries:
                for entry in _segments_among(entries, namespace):
                    with contextlib.suppress(FileNotFoundError):
                        found[entry.name] = entry.stat(follow_symlinks=False)
        except OSError as error:
            pass_on(error)
        return found

    def size_bytes(self) -> int:
        """Return how large the file system of the home is; 0: no limit is known."""
        try:
            status = os.statvfs(self.directory)
        except OSError as error:
            pass_on(error)
            return 0
        return status.f_blocks * status.f_frsize

    def has(self, name: str) -> bool:
        """Say whether there is something under a name."""
        return os.path.lexists(self.path(name))

    def is_at(self, name: str, fd: int) -> bool:
        """Say whether an open segment still has a name."""
        try:
            return os.path.samestat(os.fstat(fd), os.lstat(self.path(name)))
        except OSError:
            return False

    def path(self, name: str) -> str:
        """Return where a segment can be seen as a file."""
        return f"{self.directory}/{name}"

    def changed_ns(self) -> int:
        """Return when the home last changed; cheap, and coarse to some ms."""
        try:
            return os.stat(self.directory).st_mtime_ns
        except OSError:
            return 0


POSIX = Home(DIRECTORY, _PosixAccess())


def home_of(directory: str | None) -> Home:
    """Return the home in a directory, by its absolute path; None: POSIX."""
    return Home(directory, _FileAccess(directory)) if directory else POSIX


def _why(error: Exception) -> str:
    """Say what went wrong, without the path that OSError would repeat."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _segments_among(
    entries: Iterable[os.DirEntry[str]], namespace: str
) -> Iterator[os.DirEntry[str]]:
    """Anybody may put a pipe under a ring's name, and to open it would block."""
    for entry in _named_for(entries, namespace):
        if not _fault_of(entry):
            yield entry


def _named_for(
    entries: Iterable[os.DirEntry[str]], namespace: str
) -> Iterator[os.DirEntry[str]]:
    pattern = re.compile(rf"shmtel\.{re.escape(namespace)}\.{_RING_ID}")
    for entry in entries:
        if pattern.fullmatch(entry.name):
            yield entry


def _fault_of(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "link"
    return "" if entry.is_file(follow_symlinks=False) else "not_a_file"
