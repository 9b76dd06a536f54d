"""What stands at the end of a file of JSON lines.

A hub that was killed while it wrote may have left lines that it never acknowledged,
and part of one. The part is removed; the whole ones are remembered, so that they
are not written again when their events come again.

Rules:
- lines that others have written are left alone, and say nothing;
- what is remembered is bounded: the rings of the newest lines.
"""

import logging
import os
import stat
from pathlib import Path

import msgspec

_log = logging.getLogger(__name__)

LINE_START = b'{"event":'
RINGS_MAX = 100_000  # remembered; what comes again was in work a moment before the end
_LOOK_BACK_BYTES = 64 << 10
_READ_BYTES = 1 << 20

RingName = tuple[str, str]  # node and ring id


class _Place(msgspec.Struct, gc=False):
    node: str
    ring_id: str
    seq: int


_decoder = msgspec.json.Decoder(_Place)


def identity(file: int) -> str:
    """Return which file it is, as marks begin; empty for what is no file."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        return ""
    return f"{status.st_dev}:{status.st_ino}"


def start_of(path: Path, file: int, mark: str | None) -> int:
    """Return where to begin to read: at the mark, if it is of this file."""
    name, _, digits = (mark or "").rpartition(":")
    if name != identity(file) or not digits.isdecimal():
        return 0
    end, size = int(digits), os.fstat(file).st_size
    if end > size:
        _log.error("%s has lost %d bytes that were acknowledged", path, end - size)
        return 0
    return end if _is_line_start(path, end) else 0


def last_seqs(path: Path, file: int, start: int) -> dict[RingName, int]:
    """Return the last seq of each ring in the lines from a position on."""
    seqs: dict[RingName, int] = {}
    if not identity(file):
        return seqs
    with path.open("rb", _READ_BYTES) as lines:
        lines.seek(start)
        for line in lines:
            try:
                place = _decoder.decode(line)
            except (msgspec.MsgspecError, ValueError):
                continue
            name = (place.node, place.ring_id)
            seqs[name] = max(seqs.pop(name, 0), place.seq)  # the newest are last
            if len(seqs) > RINGS_MAX:
                del seqs[next(iter(seqs))]
    return seqs


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


def _is_line_start(path: Path, position: int) -> bool:
    if position == 0:
        return True
    with path.open("rb") as reader:
        reader.seek(position - 1)
        return reader.read(1) == b"\n"


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
