"""One collector per namespace: a locked file beside the rings.

The lock is an flock, so it ends with the process, however that ends. The file
holds the pid, for the message that the second collector gives; without room for it
the lock holds all the same.

Rules: the file is removed only while it is locked, and whoever gets the lock
checks that the file it locked is still the one at that path; else two
collectors could hold locks on two files of one name.
"""

import contextlib
import errno
import fcntl
import os
import stat
from types import TracebackType

from shmtel.errors import ShmtelError

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class AlreadyRunning(ShmtelError):
    """Another collector serves this namespace."""


class NamespaceLock:
    """Held from construction to `release`."""

    def __init__(self, namespace: str, directory: str) -> None:
        """Take the lock.

        Raises:
            AlreadyRunning: another collector has it; the text names its pid.
            ShmtelError: the file cannot be made.
        """
        self.path = f"{directory}/shmtel.{namespace}.collector"
        self._namespace = namespace
        fd = self._try_lock()
        while fd is None:  # its owner removed it between our open and our lock
            fd = self._try_lock()
        self._fd = fd
        os.ftruncate(fd, 0)
        with contextlib.suppress(OSError):  # it is full; to drain is what helps
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> "NamespaceLock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Remove the file and drop the lock; a second call does nothing."""
        if self._fd < 0:
            return
        os.unlink(self.path)
        os.close(self._fd)
        self._fd = -1

    def _try_lock(self) -> int | None:
        try:
            fd = os.open(self.path, _FLAGS, 0o600)
        except OSError as error:
            raise ShmtelError(
                f"cannot open {self.path}: {error.strerror}; if no collector of "
                "another user runs, remove it, or use another --namespace"
            ) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # in a directory of anybody's
            os.close(fd)
            raise ShmtelError(f"{self.path} is not a file; remove it")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _read_pid(fd)
            os.close(fd)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise ShmtelError(f"cannot lock {self.path}: {error}") from error
            raise AlreadyRunning(
                f"a collector already serves namespace {self._namespace!r}{holder}; "
                "stop it first, or give this one another --namespace"
            ) from error
        if _is_same_file(fd, self.path):
            return fd
        os.close(fd)
        return None


def _read_pid(fd: int) -> str:
    text = os.pread(fd, 32, 0).strip()
    return f" (pid {text.decode()})" if text.isdigit() else ""


def _is_same_file(fd: int, path: str) -> bool:
    try:
        ours, theirs = os.fstat(fd), os.stat(path)
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
