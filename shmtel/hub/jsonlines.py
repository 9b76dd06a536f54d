"""A batch handler that writes events as JSON lines.

    sink = JsonLines(path)
    hub.attach_batch("jsonl", "*", sink)

An event is in the file, as far as the operating system is concerned, before the
handler returns, and so before the collector gets its ack. What JSON cannot say
is written as JSON: NaN and infinities as null, bytes as base64.

Rules:
- whole lines only: many streams call one sink, each in its own thread;
- no data of a collector makes it fail, or it would be detached.
"""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from shmtel.hub.dispatch import EventBatch
from shmtel.hub.records import Record


class _Line(msgspec.Struct, gc=False):
    event: str
    measurements: dict[str, int | float]
    metadata: dict[str, Any]
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


class JsonLines:
    """Appends events to a file, one JSON object per line."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o644)
        self._lock = threading.Lock()
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def __call__(self, batch: EventBatch, config: object = None) -> None:
        """Write the events of a batch."""
        lines = [_line(batch, record) for record in batch.records]
        data = self._encode(lines)
        with self._lock:
            self._write(data)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            os.close(self._file)

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

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
        while view:
            view = view[os.write(self._file, view) :]


def _line(batch: EventBatch, record: Record) -> _Line:
    worker = batch.worker
    return _Line(
        batch.names[record.event_id],
        record.measurements,
        record.metadata or {},
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
    )
