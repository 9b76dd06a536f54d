"""What stands at the end of a file of JSON lines.

A hub that was killed while it wrote may have left lines that it never acknowledged,
and part of one. The part is removed; the whole ones are remembered until their
events have come again, so that they are not written once more. Their host may be
away for longer than the next hub lives, so what is remembered is part of the mark.

The file may have been rotated since the mark, by the hub or by others. It is found
by its inode and the bytes before the mark, or by the number that it got with a new
form, and read from the mark on, and then all that is newer.

Rules:
- lines that others have written are left alone, and say nothing;
- what is remembered is bounded: the rings of the newest lines, for a week.
"""

import logging
import time
from pathlib import Path
from zlib import crc32

import msgspec

from shmtel.hub.files.chain import Chain
from shmtel.hub.files.held import FORMS, Piece, last_seqs
from shmtel.hub.files.last_line import bytes_before, identity, identity_of
from shmtel.hub.files.line import RingName
from shmtel.hub.files.output import Place
from shmtel.hub.sinks import IsCommitted

_log = logging.getLogger(__name__)

AWAITED_S = 7 * 24 * 3_600  # longer than any host is away that comes back
RINGS_MAX = 10_000  # remembered; what comes again was in work a moment before the end
UNMARKED_BYTES = 1 << 30  # are read without a mark, which takes some seconds


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
    number: int = 0  # that the file gets, or has got, when it is rotated
    check: int | None = None  # of the bytes before the end: inodes are used again


Awaited = dict[RingName, Stored]

_mark_decoder = msgspec.json.Decoder(_Mark)


def mark_text(place: Place, awaited: Awaited) -> str:
    """Return a mark."""
    rings = [_Ring(*name, stored) for name, stored in list(awaited.items())]
    mark = _Mark(place.file, place.end, rings, place.number, crc32(place.tail))
    return msgspec.json.encode(mark).decode()


def awaited_in(
    path: Path, file: int, mark: str | None, is_committed: IsCommitted
) -> Awaited:
    """Return what may come again of what is in the file, or was before it."""
    if not identity(file):
        return {}
    now_s = int(time.time())
    try:
        pieces, awaited = _pieces(path, file, mark)
    except PermissionError as error:
        _log.error("what %s was before it was rotated is not seen: %s", path, error)
        pieces, awaited = [(path, 0)], {}
    for name, seq in last_seqs(pieces, RINGS_MAX).items():
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


# -- from where on -----------------------------------------------------------


def _pieces(path: Path, file: int, text: str | None) -> tuple[list[Piece], Awaited]:
    """Return what to read, oldest first, and what to remember without."""
    try:
        mark = None if text is None else _mark_decoder.decode(text)
    except msgspec.MsgspecError:
        mark = None
    found = mark and _find(path, file, mark)
    if not mark or not found:
        return _newest([*_before(path), path]), {}
    pieces = [(found[0], mark.end), *((later, 0) for later in found[1:])]
    return pieces, {(ring.node, ring.ring_id): ring.stored for ring in mark.awaited}


def _find(path: Path, file: int, mark: _Mark) -> list[Path] | None:
    """Return the file of a mark, and those that are newer."""
    chain = Chain(path)
    is_newest = mark.number == 0 or mark.number >= chain.next_number()
    if is_newest and mark.file == identity(file):
        return [path] if _holds(path, mark) else None
    rotated = chain.files()
    for at, each in enumerate(rotated):
        is_it = mark.number in (0, each.number) and (
            _is_of(each.path, mark) if each.is_plain else mark.number != 0
        )
        if is_it:
            return [*(later.path for later in rotated[at:]), path]
    for other in path.parent.iterdir() if is_newest else ():
        if _is_of(other, mark):  # renamed by others, to whatever name
            return [other, *_newer(other, _before(path)), path]
    _log.warning("%s is not the file that it was; all beside it is searched", path)
    return None


def _newer(than: Path, paths: list[Path]) -> list[Path]:
    since_ns = than.stat().st_mtime_ns
    return [p for p in paths if p != than and p.stat().st_mtime_ns >= since_ns]


def _is_of(path: Path, mark: _Mark) -> bool:
    is_it = mark.file != "" and identity_of(path.lstat()) == mark.file
    return is_it and _holds(path, mark)


def _holds(path: Path, mark: _Mark) -> bool:
    """Say whether a file holds what it did when it was marked."""
    lost = mark.end - path.stat().st_size
    if lost > 0:
        _log.error("%s has lost %d bytes that were acknowledged", path, lost)
    if mark.end < 0 or lost > 0:
        return False
    tail = bytes_before(path, mark.end)
    if mark.check is None:
        return tail[-1:] in (b"", b"\n")
    return mark.check == crc32(tail)


def _before(path: Path) -> list[Path]:
    """Return what the file may have been before, oldest first.

    It was rotated here, or by others who put something behind its name, as logrotate
    does. No more than that: a file with events of another sink says nothing of this.
    """
    own = {each.path for each in Chain(path).files()}
    others = (
        other
        for other in path.parent.iterdir()
        if other.name.startswith((f"{path.name}.", f"{path.name}-"))
        and identity_of(other.lstat())
    )
    return sorted(own.union(others), key=lambda each: each.stat().st_mtime_ns)


def _newest(paths: list[Path]) -> list[Piece]:
    """Return the newest part of files, of a bounded size."""
    pieces: list[Piece] = []
    left = UNMARKED_BYTES
    for path in reversed(paths):
        size = path.stat().st_size
        pieces.append((path, 0 if path.suffix in FORMS else max(0, size - left)))
        left -= size
        if left <= 0:
            break
    return pieces[::-1]
