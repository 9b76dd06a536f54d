"""A batch handler that writes events as JSON lines, each once.

    sink = JsonLines(path)
    hub.attach_batch("jsonl", "*", sink, required=True, own_thread=True)

An event is in the file, as far as the operating system is concerned, before the
handler returns, and so before the collector gets its ack. What JSON cannot say
is written as JSON: NaN and infinities as null, bytes as base64. Characters that
end a line for some readers, or that a terminal obeys, are escaped.

Where a write fails (the disk is full) the file is cut back to where the batch
began, and the handler raises. A hub that was killed between its write and its
transaction has left lines whose events come again: the next one finds them at
the end of the file, and does not write them once more.

Rules:
- whole lines only: many streams may call one sink, each in its own thread;
- one process writes a file at a time;
- no data of a collector makes it fail, or it would be detached.
"""

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from shmtel.hub.handlers import EventBatch
from shmtel.hub.jsontail import (
    Awaited,
    awaited_in,
    end_last_line,
    identity,
    mark_text,
)
from shmtel.hub.records import Record
from shmtel.hub.sinks import IsCommitted
from shmtel.safe_text import json_bytes
from shmtel.stamped import are_own, own

_CLOSE_S = 0.1  # a write that hangs is not waited for


class _Line(msgspec.Struct, gc=False):
    event: str
    measurements: dict[str, int | float]
    metadata: Mapping[str, Any]
    correlation_id: str | None
    timestamp_ns: int
    ring_id: str
    seq: int
    span_id: str | None
    parent_id: str | None
    sampling_probability: float
    node: str
    worker_id: str
    pool_name: str
    pid: int
    worker_index: int | None


class JsonLines:
    """Appends events to a file, one JSON object per line."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o644)
        try:
            end_last_line(self.path, self._file)
        except OSError:
            os.close(self._file)
            raise
        self.repeated = 0  # events that came again and were there already
        self._lock = threading.Lock()
        self._identity = identity(self._file)
        self._end = os.fstat(self._file).st_size
        self._awaited: Awaited = {}  # what a hub before has left, and may come again
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def __call__(self, batch: EventBatch, config: object = None) -> None:
        """Write the events of a batch."""
        records = self._unstored(batch) if self._awaited else batch.records
        data = json_bytes(self._encode([_line(batch, record) for record in records]))
        with self._lock:
            self._write(data)

    def mark(self) -> str:
        """Return which file it is, how far it is written, and what is awaited."""
        end = self._end  # first: what is awaited may come meanwhile, and is behind it
        return mark_text(self._identity, end, self._awaited)

    def recover(self, mark: str | None, is_committed: IsCommitted) -> None:
        """Remember which events may come again of those in the file."""
        self._awaited = awaited_in(self.path, self._file, mark, is_committed)

    def close(self) -> None:
        """Close the file."""
        if self._lock.acquire(timeout=_CLOSE_S):
            os.close(self._file)
            self._file = -1  # a late call fails, and writes into nothing of others
            self._lock.release()

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _unstored(self, batch: EventBatch) -> Sequence[Record]:
        """Return the events that are not in the file."""
        name = (batch.node, batch.ring_id)
        stored = self._awaited.get(name)
        if stored is None:
            return batch.records
        records = [r for r in batch.records if r.seq > stored.last_seq]
        with self._lock:
            self.repeated += len(batch.records) - len(records)
        if batch.records[-1].seq >= stored.last_seq:
            del self._awaited[name]  # all of it has come
        return records

    def _encode(self, lines: list[_Line]) -> bytes:
        try:
            return self._encoder.encode_lines(lines)
        except RecursionError:
            return b"".join(map(self._encode_deep, lines))

    def _encode_deep(self, line: _Line) -> bytes:
        # Workers and collectors bound the depth of metadata; only a collector
        # that lies can send what takes more stack to encode than to decode.
        try:
            return self._encoder.encode(line) + b"\n"
        except RecursionError:
            line.metadata = {"omitted": "nested too deep"}
            return self._encoder.encode(line) + b"\n"

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
            self._end = os.fstat(self._file).st_size
        except OSError as error:
            self._take_back(len(data) - len(view))
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _take_back(self, written: int) -> None:
        """Remove part of a batch; of what is no file nothing can be."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)


def _line(batch: EventBatch, record: Record) -> _Line:
    worker, sent = batch.worker, record.metadata or {}
    return _Line(
        batch.names[record.event_id],
        record.measurements,
        sent if are_own(sent) else own(sent),
        record.correlation_id,
        record.timestamp_ns,
        batch.ring_id,
        record.seq,
        record.span_id,
        record.parent_id,
        record.sampling_probability,
        batch.node,
        worker.worker_id,
        worker.pool_name,
        worker.pid,
        worker.worker_index,
    )
