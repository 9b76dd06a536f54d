"""Where rings live: names, creation and discovery of their segments.

The `posix` back end: POSIX shared memory, one segment per ring, named
`/shmtel.<namespace>.<ring id in hex>`. The pid is not in the name: it means
nothing outside its own namespace, and the ring id is unique without it.

Nothing here maps a segment or looks into one; that is the C core's work.

Rules:
- a segment is created exclusively and never opened with a size (posix_ipc
  would resize it under a live producer);
- a process never opens its own segment a second time: closing any descriptor
  of a file drops the POSIX lock that proves the process alive.
"""

import fcntl
import os
import re

import posix_ipc

from shmtel.errors import SegmentError

DIRECTORY = "/dev/shm"  # where Linux keeps POSIX shared memory
NAMESPACE_PATTERN = r"[A-Za-z0-9_-]{1,64}"
_RING_ID = r"[0-9a-f]{32}"


def segment_name(namespace: str, ring_id: bytes) -> str:
    """Return the name of the segment of a ring, without the leading slash."""
    return f"shmtel.{namespace}.{ring_id.hex()}"


def create(name: str, mode: int = 0o600) -> int:
    """Create an empty segment and return its descriptor, close-on-exec.

    Raises:
        SegmentError: the segment cannot be created; the text says why.
    """
    try:
        segment = posix_ipc.SharedMemory(f"/{name}", posix_ipc.O_CREX, mode=mode)
    except (posix_ipc.Error, OSError) as error:
        raise SegmentError(f"cannot create {DIRECTORY}/{name}: {error}") from error
    os.fchmod(segment.fd, mode)  # the umask has already cut the mode of creation
    return above_standard_streams(segment.fd)


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


def open_segment(name: str, *, writable: bool) -> int:
    """Open an existing segment and return its descriptor.

    Raises:
        SegmentError: it is gone, or this user may not open it.
    """
    try:
        return int(posix_ipc.SharedMemory(f"/{name}", read_only=not writable).fd)
    except (posix_ipc.Error, OSError) as error:
        raise SegmentError(f"cannot open {DIRECTORY}/{name}: {error}") from error


def unlink(name: str) -> None:
    """Remove a segment; one that is already gone is no error."""
    try:
        posix_ipc.unlink_shared_memory(f"/{name}")
    except posix_ipc.ExistentialError:
        return
    except (posix_ipc.Error, OSError) as error:
        raise SegmentError(f"cannot remove {DIRECTORY}/{name}: {error}") from error


def scan(namespace: str) -> list[str]:
    """List the names of the segments of a namespace; empty without a directory."""
    pattern = re.compile(rf"shmtel\.{re.escape(namespace)}\.{_RING_ID}")
    try:
        with os.scandir(DIRECTORY) as entries:
            return [entry.name for entry in entries if _is_segment(entry, pattern)]
    except OSError:
        return []


def _is_segment(entry: os.DirEntry[str], pattern: re.Pattern[str]) -> bool:
    """Anybody may put a pipe under a ring's name, and to open it would block."""
    is_named = pattern.fullmatch(entry.name) is not None
    return is_named and entry.is_file(follow_symlinks=False)


def changed_ns() -> int:
    """Return when the directory last changed; cheap, and coarse to some ms."""
    try:
        return os.stat(DIRECTORY).st_mtime_ns
    except OSError:
        return 0
