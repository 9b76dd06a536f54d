"""A batch handler that writes events as JSON lines.

    sink = JsonLines(path)
    hub.attach_batch("jsonl", "*", sink, required=True)

An event is in the file, as far as the operating system is concerned, before the
handler returns, and so before the collector gets its ack. What JSON cannot say
is written as JSON: NaN and infinities as null, bytes as base64.

Where a write fails (the disk is full) the file is cut back to where the batch
began, and the handler raises. A hub that was killed while it wrote may leave
part of a line, which nobody has acknowledged: the next one removes it.

Rules:
- whole lines only: many streams call one sink, each in its own thread;
- one process writes a file at a time;
- no data of a collector makes it fail, or it would be detached.
"""

import contextlib
import logging
import os
import stat
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from shmtel.hub.handlers import EventBatch
from shmtel.hub.records import Record

_log = logging.getLogger(__name__)

_LINE_START = b'{"event":'
_LOOK_BACK_BYTES = 64 << 10


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
    worker_index: int | None


class JsonLines:
    """Appends events to a file, one JSON object per line."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o644)
        try:
            _end_last_line(self.path, self._file)
        except OSError:
            os.close(self._file)
            raise
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
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self._take_back(len(data) - len(view))
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _take_back(self, written: int) -> None:
        """Remove part of a batch; of what is no file nothing can be."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)


def _end_last_line(path: Path, file: int) -> None:
    """See to it that the next line begins as one."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        return
    rest = _unfinished_line(path, status.st_size)
    if _LINE_START.startswith(rest[: len(_LINE_START)]):
        if rest:
            _log.warning("%s ended in part of a line, which is removed", path)
            os.ftruncate(file, status.st_size - len(rest))
    else:
        os.write(file, b"\n")


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
        worker.worker_index,
    )
