"""Which file it is, and how its last line ends.

Rules:
- what a killed hub has left of a line is removed; lines of others are only ended.
"""

import logging
import os
import stat
from pathlib import Path

_log = logging.getLogger(__name__)

LINE_START = b'{"event":'
TAIL_BYTES = 512  # hold a ring and a seq, and so are those of one file alone
_LOOK_BACK_BYTES = 64 << 10


def identity(file: int) -> str:
    """Return which file it is; empty for what is no file."""
    return identity_of(os.fstat(file))


def identity_of(status: os.stat_result) -> str:
    """Return which file has this status; empty for what is no file."""
    return f"{status.st_dev}:{status.st_ino}" if stat.S_ISREG(status.st_mode) else ""


def bytes_before(path: Path, position: int) -> bytes:
    """Return the last bytes before a position, TAIL_BYTES of them if there are."""
    start = max(0, position - TAIL_BYTES)
    with path.open("rb") as reader:
        reader.seek(start)
        return reader.read(position - start)


def end_last_line(path: Path, file: int) -> None:
    """See to it that the next line begins as one."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        return
    rest = _unfinished_line(path, status.st_size)
    if LINE_START.startswith(rest[: len(LINE_START)]):
        if rest:
            _log.warning("%s ended in part of a line, which is removed", path)
            os.ftruncate(file, status.st_size - len(rest))
    else:
        os.write(file, b"\n")


def _unfinished_line(path: Path, size: int) -> bytes:
    """Return what stands behind the last line of a file that is complete."""
    rest = b""
    with path.open("rb") as reader:
        while size and b"\n" not in rest:
            start = max(0, size - _LOOK_BACK_BYTES)
            reader.seek(start)
            rest = reader.read(size - start) + rest
            size = start
    return rest.rpartition(b"\n")[2]
