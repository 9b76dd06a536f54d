"""Which events files hold, in whatever form.

Rules:
- what cannot be read is said, and holds nothing.
"""

import gzip
import logging
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from shmtel.hub.files.line import RingName

_log = logging.getLogger(__name__)

_READ_BYTES = 1 << 20

Piece = tuple[Path, int]  # a file, and from where on it is read


class _Place(msgspec.Struct, gc=False):
    node: str
    ring_id: str
    seq: int


_place_decoder = msgspec.json.Decoder(_Place)


class _Seqs:
    """The last seq of each ring, of those that were seen last."""

    def __init__(self, rings_max: int) -> None:
        self._rings_max = rings_max
        self.by_ring: dict[RingName, int] = {}

    def note(self, name: RingName, seq: int) -> None:
        """Note that a ring has come so far."""
        seqs = self.by_ring
        seqs[name] = max(seqs.pop(name, 0), seq)
        if len(seqs) > self._rings_max:
            del seqs[next(iter(seqs))]


def last_seqs(pieces: list[Piece], rings_max: int) -> dict[RingName, int]:
    """Return the last seq of each ring, of so many; the newest are last."""
    seqs = _Seqs(rings_max)
    for path, start in pieces:
        try:
            FORMS.get(path.suffix, _lines)(path, start, seqs)
        except (OSError, EOFError, zlib.error, ValueError, ImportError) as error:
            _log.error("what %s holds cannot be told: %s", path, error)
    return seqs.by_ring


def _lines(path: Path, start: int, seqs: _Seqs) -> None:
    with path.open("rb", _READ_BYTES) as lines:
        lines.seek(start)
        _note(lines, seqs)


def _gzip(path: Path, start: int, seqs: _Seqs) -> None:
    with gzip.open(path) as lines:
        lines.seek(start)
        _note(lines, seqs)


def _parquet(path: Path, _start: int, seqs: _Seqs) -> None:
    from shmtel.hub.files.parquet import rings_of

    for name, (_, last_seq) in rings_of(path).items():
        seqs.note(name, last_seq)


FORMS = {".gz": _gzip, ".parquet": _parquet}  # else lines as they were written


def _note(lines: Iterable[bytes], seqs: _Seqs) -> None:
    for line in lines:
        try:
            place = _place_decoder.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        seqs.note((place.node, place.ring_id), place.seq)
