"""What the hub's handler notes, a line per batch; and what programs tell of themselves.

Handlers other than the exactly-once sink may see events again after a hub was
killed. So this one writes down what it was called with, in a file per life of
the hub, by one write per call: only the last line of a file can be in part.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Note:
    """One call of the handler.

    Attributes:
        redelivered_through: up to this seq another hub may have called it before.
    """

    life: int
    at_ns: int
    ring_id: str
    seqs: tuple[int, ...]
    redelivered_through: int = 0


class LineFile:
    """A file that is appended to, a line per write."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, document: object) -> None:
        """Append a line."""
        os.write(self._file, json.dumps(document).encode() + b"\n")


class NotingHandler:
    """A batch handler that notes the seqs it was called with."""

    def __init__(self, directory: Path, life: int) -> None:
        self._lines = LineFile(directory / f"notes-{life}")

    def __call__(self, batch: Any, _config: object = None) -> None:
        """Note a batch."""
        seqs = [record.seq for record in batch.records]
        through = batch.redelivered_through
        self._lines.write([time.monotonic_ns(), batch.ring_id, seqs, through])


def read_lines(path: Path) -> list[Any]:
    """Read the lines that are whole."""
    *whole, _rest = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in whole]


def read_notes(directory: Path) -> list[Note]:
    """Read what all lives of the hub have noted, in the order of the lives."""
    notes = []
    lives = sorted(
        int(path.name.partition("-")[2]) for path in directory.glob("notes-*")
    )
    for life in lives:
        for at_ns, ring_id, seqs, through in read_lines(directory / f"notes-{life}"):
            notes.append(Note(life, at_ns, ring_id, tuple(seqs), through))
    return notes
