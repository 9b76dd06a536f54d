"""What stands at the end of a file of JSON lines.

A hub that was killed while it wrote may have left lines that it never acknowledged,
and part of one. The part is removed; the whole ones are remembered until their
events have come again, so that they are not written once more. Their host may be
away for longer than the next hub lives, so what is remembered is part of the mark.

Rules:
- lines that others have written are left alone, and say nothing;
- what is remembered is bounded: the rings of the newest lines, for a week.
"""

import logging
import os
import stat
import time
from pathlib import Path

import msgspec

from shmtel.hub.sinks import IsCommitted

_log = logging.getLogger(__name__)

LINE_START = b'{"event":'
AWAITED_S = 7 * 24 * 3_600  # longer than any host is away that comes back
RINGS_MAX = 10_000  # remembered; what comes again was in work a moment before the end
_LOOK_BACK_BYTES = 64 << 10
_READ_BYTES = 1 << 20


class _Place(msgspec.Struct, gc=False):
    node: str
    ring_id: str
    seq: int


class Stored(msgspec.Struct, gc=False, frozen=True):
    """Up to which event a ring is in the file, and since when that is awaited."""

    last_seq: int
    since_s: int


class _Ring(msgspec.Struct, gc=False, array_like=True):
    node: str
    ring_id: str
    stored: Stored


class _Mark(msgspec.Struct):
    file: str
    end: int
    awaited: list[_Ring] = []  # lines of these rings may stand before the end


RingName = tuple[str, str]  # node and ring id
Awaited = dict[RingName, Stored]

_place_decoder = msgspec.json.Decoder(_Place)
_mark_decoder = msgspec.json.Decoder(_Mark)


def identity(file: int) -> str:
    """Return which file it is; empty for what is no file."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        return ""
    return f"{status.st_dev}:{status.st_ino}"


def mark_text(file: str, end: int, awaited: Awaited) -> str:
    """Return a mark."""
    rings = [_Ring(*name, stored) for name, stored in list(awaited.items())]
    return msgspec.json.encode(_Mark(file, end, rings)).decode()


def awaited_in(
    path: Path, file: int, mark: str | None, is_committed: IsCommitted
) -> Awaited:
    """Return what may come again of what is in the file."""
    now_s = int(time.time())
    start, awaited = _start(path, file, mark)
    for name, seq in _last_seqs(path, file, start).items():
        before = awaited.pop(name, None)
        if before is None or seq > before.last_seq:
            before = Stored(seq, now_s)
        awaited[name] = before
    for name, stored in list(awaited.items()):
        is_old = now_s - stored.since_s > AWAITED_S
        if is_old or is_committed(name[1], stored.last_seq):
            del awaited[name]
    for name in list(awaited)[: max(0, len(awaited) - RINGS_MAX)]:
        del awaited[name]
    return awaited


def _start(path: Path, file: int, text: str | None) -> tuple[int, Awaited]:
    """Return where to begin to read, and what to remember without."""
    try:
        mark = _mark_decoder.decode(text or "")
    except msgspec.MsgspecError:
        return 0, {}
    size = os.fstat(file).st_size
    if mark.file != identity(file) or mark.end < 0:
        return 0, {}
    if mark.end > size:
        lost = mark.end - size
        _log.error("%s has lost %d bytes that were acknowledged", path, lost)
        return 0, {}
    if not _is_line_start(path, mark.end):
        return 0, {}
    return mark.end, {(r.node, r.ring_id): r.stored for r in mark.awaited}


def _last_seqs(path: Path, file: int, start: int) -> dict[RingName, int]:
    """Return the last seq of each ring in the lines from a position on."""
    seqs: dict[RingName, int] = {}
    if not identity(file):
        return seqs
    with path.open("rb", _READ_BYTES) as lines:
        lines.seek(start)
        for line in lines:
            try:
                place = _place_decoder.decode(line)
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
