"""The file that is written, now: opened, locked, rotated, followed.

    rotate    rename it, then make a new one; cut off in between there is none, and
              the next hub makes it
    follow    somebody else renamed or removed it: what comes next goes into a new
              file of its name, as `logrotate` expects

A file is locked (flock) while it is written: two hubs on one file would each take
the other's lines for their own.

Rules:
- one caller at a time; `place` is read from any thread;
- what is no regular file (a pipe, a terminal) is written, and none of the above.
"""

import contextlib
import errno
import fcntl
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shmtel.hub.files.chain import Chain
from shmtel.hub.files.last_line import (
    TAIL_BYTES,
    bytes_before,
    end_last_line,
    identity,
)
from shmtel.hub.files.rotation import Rotation

_log = logging.getLogger(__name__)

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_RETRY_S = 1.0
_TAKEN = "another process writes it"


class Place(NamedTuple):
    """Where a file ends: its number when it is rotated, identity, size, last bytes.

    The number is 0 where nobody rotates here.
    """

    number: int
    file: str
    end: int
    tail: bytes


class Output:
    """Appends to a file.

    Raises:
        OSError: it cannot be written, or another process writes it.
    """

    def __init__(
        self,
        path: Path,
        rotation: Rotation,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        # A link (/dev/stdout is one) would be renamed in place of its file.
        is_linked = rotation.is_on and path.is_symlink() and path.is_file()
        self.path = path = path.resolve() if is_linked else path
        self.chain = Chain(path)
        self.counts: Counter[str] = Counter()
        self._rotation = rotation
        self._now_s = now_s
        self._no_rotation_before_s = 0.0
        self.file = -1
        self._number = 0
        self.place: Place
        self._take(self._open())
        if self._identity and rotation.is_on:
            self._number = self.chain.next_number()
            self.place = self.place._replace(number=self._number)
        begun_s = self._status.st_mtime if self.place.end else now_s()
        self._ends_s = rotation.end_of(begun_s)

    @property
    def due_s(self) -> float:
        """When to rotate the file, or to try again; never, while nothing is in it."""
        if not self.place.end:
            return float("inf")
        return max(self._ends_s, self._no_rotation_before_s)

    def write(self, data: bytes) -> None:
        """Append whole lines, all or none.

        Raises:
            OSError: it cannot be; the error names the file.
        """
        try:
            if self.file < 0:
                raise OSError(errno.EBADF, "it is closed")
            self.follow()
            if self._identity:
                self.rotate_if_due(len(data))
            self._append(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self.place = self._measure((self.place.tail + data[-TAIL_BYTES:])[-TAIL_BYTES:])

    def rotate_if_due(self, more_bytes: int = 0) -> bool:
        """Rotate a file that has no room for more, or whose time is over; tell whether.

        What keeps it from that is counted and said, and the file is written on.

        Raises:
            FileExistsError: another process writes there now.
        """
        now_s, size = self._now_s(), self.place.end
        if size == 0:
            self._ends_s = self._rotation.end_of(now_s)  # it begins now
            return False
        is_full = more_bytes > 0 and self._rotation.is_full(size, more_bytes)
        is_due = is_full or now_s >= self._ends_s
        if not is_due or now_s < self._no_rotation_before_s:
            return False
        try:
            self._rotate()
        except FileExistsError:
            raise
        except OSError as error:
            self.counts["not_rotated"] += 1
            self._no_rotation_before_s = now_s + _RETRY_S
            _log.error("%s is not rotated: %s", self.path, error)
            return False
        self._ends_s = self._rotation.end_of(now_s)
        return True

    def follow(self) -> None:
        """See whether the file is still the one of its name, and what it was.

        Raises:
            OSError: a new file of the name cannot be written.
        """
        if not self._identity:
            return
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            status = None
        if status is None or not os.path.samestat(status, self._status):
            self._take(self._open())
            self.counts["reopened"] += 1
            _log.info("%s is another file now, and is written on", self.path)
        elif status.st_size < self.place.end:
            cut = self.place.end - status.st_size
            self.counts["cut"] += 1
            _log.error(
                "%s has lost %d bytes: somebody has cut it; have it renamed instead",
                *(self.path, cut),
            )
            self.place = self._measure(self._read_tail())

    def close(self) -> None:
        """Close the file; a late call fails, and writes into nothing of others."""
        file, self.file = self.file, -1
        if file >= 0:
            os.close(file)

    # -- parts ---------------------------------------------------------------

    def _open(self, flags: int = 0) -> int:
        while True:
            file = os.open(self.path, _FLAGS | flags, 0o644)
            try:
                if not identity(file):
                    return file
                _lock(file, self.path)
                if _is_at(self.path, file):
                    end_last_line(self.path, file)
                    return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # it was rotated between our open and our lock

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.file, view) :]
        except OSError:
            self._take_back(len(data) - len(view))
            raise

    def _take_back(self, written: int) -> None:
        """Remove part of a batch; of what is no file nothing can be."""
        with contextlib.suppress(OSError):
            os.ftruncate(self.file, os.fstat(self.file).st_size - written)

    def _measure(self, tail: bytes) -> Place:
        return Place(self._number, self._identity, self._end(), tail)

    def _rotate(self) -> None:
        while self.chain.all_forms(self._number):  # others name files, too
            self._number += 1
        target = self.chain.name(self._number)
        os.rename(self.path, target)
        try:
            file = self._open(os.O_EXCL)
        except OSError as error:
            if os.path.lexists(self.path):
                raise FileExistsError(errno.EEXIST, _TAKEN, str(self.path)) from error
            os.rename(target, self.path)
            raise
        self._number += 1
        self._take(file)
        self.counts["rotated"] += 1

    def _take(self, file: int) -> None:
        """Write this file from now on."""
        old, self.file = self.file, file
        self._identity, self._status = identity(file), os.fstat(file)
        self.place = self._measure(self._read_tail())
        if old >= 0:
            os.close(old)

    def _read_tail(self) -> bytes:
        return bytes_before(self.path, self._end()) if self._identity else b""

    def _end(self) -> int:
        return os.fstat(self.file).st_size


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        raise OSError(errno.EAGAIN, _TAKEN, str(path)) from error


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False
