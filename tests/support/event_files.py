"""Batches for sinks of files, and what is in the files afterwards."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shmtel.hub.files.chain import Chain
from shmtel.hub.handlers import EventBatch
from shmtel.hub.records import decode_segment
from shmtel.wire.frames import Segment
from support.frames import WORKER
from support.uplink import make_event, pack

# A file of gzip whose head is sound, and then a kind of block that there is not.
DAMAGED_GZIP = gzip.compress(b"")[:10] + b"\xff" * 8


def batch(first: int, last: int, ring: str = "ab", **fields: object) -> EventBatch:
    """Return a batch of the events first to last of a ring."""
    events = [make_event(seq, **fields) for seq in range(first, last + 1)]
    segment = Segment(1, first - 1, last, len(events), pack(events))
    return EventBatch("node", WORKER, ring * 16, ["a.b"], decode_segment(segment, 1))


def nothing(_ring_id: str, _seq: int) -> bool:
    """Say that nothing is on record."""
    return False


def seqs_of(path: Path) -> list[int]:
    """Return the seqs in a file, whatever its form."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        seqs: list[int] = table.column("seq").to_pylist()
        return seqs
    return [line["seq"] for line in lines_of(path)]


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Return the lines of a file, packed or not."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        yield from map(json.loads, lines)


def all_seqs(path: Path) -> list[int]:
    """Return the seqs in the rotated files, oldest first, and in the file."""
    rotated = [each.path for each in Chain(path).files()]
    return [seq for each in (*rotated, path) for seq in seqs_of(each)]


def names_in(directory: Path) -> list[str]:
    """Return what is in a directory."""
    return sorted(path.name for path in directory.iterdir())
