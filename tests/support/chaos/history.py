"""What there is to judge: everything that the parts of a run have left behind.

Rules:
- nothing is judged here; what cannot be read is an error of the harness.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.chaos.actor import End
from support.chaos.calls import CallLog, call_files, read_calls
from support.chaos.faults import FullDisk
from support.chaos.notes import Note, read_notes
from support.chaos.payload import index_of

UNFINISHED = "no_magic"  # what a ledger says of a ring that its worker did not make
FRESH = "fresh"  # the worker that emits when all faults are over


@dataclass(frozen=True, slots=True)
class Line:
    """One event in the file of the exactly-once sink."""

    event: str
    measurements: Mapping[str, Any]
    metadata: Mapping[str, Any]
    correlation_id: str | None
    worker: str
    ring_id: str
    seq: int

    @property
    def index(self) -> int:
        """The index of the call that it says it comes from; -1: it says none."""
        try:
            return index_of(self.event, self.measurements, self.metadata)
        except (KeyError, TypeError, ValueError):
            return -1

    def __str__(self) -> str:
        return f"seq {self.seq} of ring {self.ring_id[:8]} of {self.worker}"


@dataclass(frozen=True, slots=True)
class History:
    """One run, as it is judged.

    Attributes:
        faults: how often each scheduled kind of fault was really done.
        torn: lines of the sink's file that are no JSON.
        alarms: what programs have logged that none of them should.
        is_quiet: everything came to rest in time after the faults.
    """

    calls: Mapping[str, CallLog]
    lines: Sequence[Line]
    notes: Sequence[Note]
    ledger: Mapping[str, Any]
    ends: Sequence[End] = ()
    faults: Mapping[str, int] = field(default_factory=dict)
    full: Sequence[FullDisk] = ()
    torn: int = 0
    alarms: Sequence[str] = ()
    is_quiet: bool = True

    def by_ring(self) -> dict[str, dict[int, Line]]:
        """Return each ring's lines by seq; of a repetition the first."""
        result: dict[str, dict[int, Line]] = defaultdict(dict)
        for line in self.lines:
            result[line.ring_id].setdefault(line.seq, line)
        return result

    def delivered(self) -> dict[str, set[int]]:
        """Return the calls of each worker that were delivered."""
        result: dict[str, set[int]] = defaultdict(set)
        for line in self.lines:
            result[line.worker].add(line.index)
        return result

    def rows(self) -> list[Mapping[str, Any]]:
        """Return the ledger's rows of single rings."""
        return [row for row in self.ledger["rings"] if row["ring_id"]]

    def sums(self) -> list[Mapping[str, Any]]:
        """Return the ledger's rows that each stand for many rings."""
        return [row for row in self.ledger["rings"] if not row["ring_id"]]


def left_out(row: Mapping[str, Any]) -> Counter[str]:
    """Return what of a row was committed and not delivered, by reason."""
    counts = Counter(row["lost"]) + Counter(row["rejected"])
    for word in ("sampled_out", "filtered", "disabled"):
        counts[word] += row[f"{word}_by_collector"]
    return +counts


def title(row: Mapping[str, Any]) -> str:
    """Return how a row of the ledger is called in a sentence."""
    return f"ring {row['ring_id'][:8]} of {row['worker_id']} ({row['state']})"


def read_lines_of_sink(path: Path) -> tuple[list[Line], int]:
    """Read the sink's file; also return how many lines are no JSON."""
    lines, torn = [], 0
    for text in path.read_bytes().splitlines() if path.exists() else ():
        try:
            lines.append(_line(json.loads(text)))
        except (ValueError, KeyError):
            torn += 1
    return lines, torn


def read_all_calls(directory: Path) -> dict[str, CallLog]:
    """Read what all workers have noted."""
    return {log.worker: log for log in map(read_calls, call_files(directory))}


def read_history(directory: Path, jsonl: Path, **known: Any) -> History:
    """Put together what a run has left; `known` is what its runner knows."""
    lines, torn = read_lines_of_sink(jsonl)
    return History(
        calls=read_all_calls(directory),
        lines=lines,
        notes=read_notes(directory),
        torn=torn,
        alarms=_alarms(directory),
        **known,
    )


def _alarms(directory: Path) -> list[str]:
    words = ("Traceback (most recent call last)", "a defect", "the stream broke on")
    return [
        f"{path.name}: {line}"
        for path in sorted(directory.glob("*.log"))
        for line in path.read_text(errors="replace").splitlines()
        if any(word in line for word in words)
    ]


def _line(document: Mapping[str, Any]) -> Line:
    return Line(
        event=document["event"],
        measurements=document["measurements"],
        metadata=document["metadata"],
        correlation_id=document["correlation_id"],
        worker=document["worker_id"],
        ring_id=document["ring_id"],
        seq=document["seq"],
    )
