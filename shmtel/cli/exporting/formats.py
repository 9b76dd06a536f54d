"""What exported events are written as.

Rules:
- a file appears under its name when it is complete;
- what is no file (a pipe, a device) is written as it is, and a link is followed.
"""

import gzip
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import IO

import msgspec

from shmtel.cli.exporting.chrome import ChromeTrace, TraceEvent, midnight_before
from shmtel.hub.files.line import Line
from shmtel.safe_text import json_bytes

STDOUT = "-"
Counts = dict[str, int]
Write = Callable[[Iterable[Line], str], Counts]

_encoder = msgspec.json.Encoder(enc_hook=str)


def _encode(value: object) -> bytes:
    """Return JSON without a character that ends a line, or means more to a terminal."""
    return json_bytes(_encoder.encode(value))


def write_lines(lines: Iterable[Line], output: str) -> Counts:
    """Write events as lines of JSON."""
    count = 0
    with _opened(output) as file:
        for line in lines:
            file.write(_encode(line) + b"\n")
            count += 1
    return {"events": count}


def write_columns(lines: Iterable[Line], output: str) -> Counts:
    """Write events as a Parquet file."""
    from shmtel.hub.files.parquet import write_parquet

    with _draft(Path(output)) as path:
        return {"events": write_parquet(lines, path)}


def write_trace(lines: Iterable[Line], output: str) -> Counts:
    """Write events for trace viewers."""
    events = iter(lines)
    first = next(events, None)
    base_ns = 0 if first is None else midnight_before(first)
    trace = ChromeTrace(base_ns)
    all_events = events if first is None else chain((first,), events)
    with _opened(output) as file:
        midnight = datetime.fromtimestamp(_shown(base_ns), UTC).isoformat()
        head = {"displayTimeUnit": "ns", "otherData": {"times_since": midnight}}
        file.write(_encode(head)[:-1] + b',"traceEvents":[')
        for number, event in enumerate(_trace_events(trace, all_events)):
            file.write((b",\n" if number else b"\n") + _encode(event))
        file.write(b"\n]}\n")
    return {what: count for what, count in trace.counts.items() if count}


def _trace_events(trace: ChromeTrace, lines: Iterable[Line]) -> Iterator[TraceEvent]:
    for line in lines:
        yield from trace.add(line)
    yield from trace.finish()


def _shown(base_ns: int) -> float:
    """Return a time that a calendar has, whatever a worker's clock has said."""
    return max(0, min(base_ns // 10**9, 250_000_000_000))


FORMATS: dict[str, Write] = {
    "chrome": write_trace,
    "jsonl": write_lines,
    "parquet": write_columns,
}


@contextmanager
def _opened(output: str) -> Iterator[IO[bytes]]:
    if output == STDOUT:
        yield sys.stdout.buffer
        return
    with _draft(Path(output)) as draft:
        opened = gzip.open if output.endswith(".gz") else open
        with opened(draft, "wb") as file:
            yield file  # type: ignore[misc]


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """Name a file to write, which takes the place of the target at the end."""
    if target.exists() and not target.is_file():
        yield target
        return
    target = target.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield draft
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
