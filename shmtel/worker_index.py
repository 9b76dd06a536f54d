"""The index of a worker in its pool: small, stable, taken over by the next one.

A worker takes the lowest number that no living worker of its pool has, when it
makes its ring. It holds a POSIX record lock on one byte of a file for life:

    file   shmtel-index.<uid> in the home of the rings, empty, one for each user,
           never removed
    byte   (32-bit hash of namespace and pool) * 65536 + index

The kernel frees the byte when the process dies, however it dies, and so the next
worker takes the number over. No other process is asked, and none waits.

Rules:
- not flock, and no lock of an open file description: a forked child would hold
  its parent's for as long as it lives;
- the file is opened once in a process and kept open: closing any descriptor of
  it drops the locks;
- where anything fails the index is unknown, and the worker runs on without.
"""

import fcntl
import os
import stat
from binascii import crc32

from shmtel import segments
from shmtel.interruptions import pass_on

MAX_INDEX = 0xFFFF

# This process's descriptors of files, by pid and path: in a forked child, its
# parent's.
_files: dict[tuple[int, str], int] = {}
_claimed: dict[tuple[int, str, int], int] = {}  # by pid, path and first byte


def claim(namespace: str, pool_name: str, home: segments.Home) -> int | None:
    """Return this process's index in a pool; the same one each time."""
    path = path_in(home)
    first_byte = crc32(f"{namespace}\0{pool_name}".encode()) * (MAX_INDEX + 1)
    try:
        file = _open_file(path)
        known = _claimed.get((os.getpid(), path, first_byte))
        index = _lock_lowest(file, first_byte, known)
    except OSError as error:
        pass_on(error)
        return None
    if index is not None:
        _claimed[os.getpid(), path, first_byte] = index
    return index


def path_in(home: segments.Home) -> str:
    """Return the path of the file of this user."""
    return home.path(f"shmtel-index.{os.geteuid()}")


def _open_file(path: str) -> int:
    _close_inherited()
    key = (os.getpid(), path)
    file = _files.get(key)
    if file is not None and _is_ours(file, path):
        return file
    _files.pop(key, None)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    file = segments.above_standard_streams(os.open(path, flags, 0o600))
    if not _is_ours(file, path):
        os.close(file)
        raise PermissionError("the file belongs to somebody else, or is none")
    # Another thread may have been faster. Its descriptor is used, and this one is
    # left open, since to close it would drop the lock.
    return _files.setdefault(key, file)


def _close_inherited() -> None:
    for key in list(_files):
        if key[0] == os.getpid():
            continue
        file = _files.pop(key, None)
        if file is not None and _is_ours(file, key[1]):
            os.close(file)


def _is_ours(file: int, path: str) -> bool:
    """Say whether a descriptor is that of the file: a daemon closes what it has
    inherited, and the number may be another file's by now."""
    try:
        found, expected = os.fstat(file), os.lstat(path)
    except OSError as error:
        pass_on(error)
        return False
    is_file = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    return is_file and os.path.samestat(found, expected)


def _lock_lowest(file: int, first_byte: int, known: int | None) -> int | None:
    if known is not None and _lock(file, first_byte + known):
        return known
    free = (n for n in range(MAX_INDEX + 1) if _lock(file, first_byte + n))
    return next(free, None)


def _lock(file: int, byte: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except (BlockingIOError, PermissionError):
        return False
    return True
