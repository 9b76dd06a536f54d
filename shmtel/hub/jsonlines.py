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
the end of the file, and does not write them once more; in rotated files too, see
`shmtel.hub.files`.

Rules:
- whole lines only: many streams may call one sink, each in its own thread;
- one process writes a file at a time;
- no data of a collector makes it fail, or it would be detached.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from shmtel.hub.files.keeper import Keeper
from shmtel.hub.files.line import Line
from shmtel.hub.files.output import Output
from shmtel.hub.files.rotation import Rotation
from shmtel.hub.handlers import EventBatch
from shmtel.hub.jsontail import Awaited, awaited_in, mark_text
from shmtel.hub.records import Record
from shmtel.hub.sinks import IsCommitted
from shmtel.safe_text import json_bytes
from shmtel.stamped import are_own, own

_CLOSE_S = 0.1  # a write that hangs is not waited for


class JsonLines:
    """Appends events to a file, one JSON object per line.

    Args:
        rotation: when the file is rotated, and what becomes of it; None: never.
        now_s: the clock by which it is.

    Raises:
        OSError: the file cannot be written, or another process writes it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        rotation: Rotation | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._now_s = now_s
        rotation = rotation or Rotation()
        self._output = output = Output(Path(path), rotation, now_s)
        self.path = output.path
        self._keeper = (
            Keeper(output.chain, rotation, output.counts, self._rotate)
            if rotation.is_on
            else None
        )
        self.repeated = 0  # events that came again and were there already
        self._lock = threading.Lock()
        self._awaited: Awaited = {}  # what a hub before has left, and may come again
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def __call__(self, batch: EventBatch, config: object = None) -> None:
        """Write the events of a batch."""
        records = self._unstored(batch) if self._awaited else batch.records
        data = json_bytes(self._encode([_line(batch, record) for record in records]))
        with self._lock:
            number = self._output.place.number
            self._output.write(data)
            is_rotated = self._output.place.number != number
        if is_rotated and self._keeper is not None:
            self._keeper.wake()

    def mark(self) -> str:
        """Return which file it is, how far it is written, and what is awaited."""
        place = self._output.place  # first: what comes meanwhile is behind it
        return mark_text(place, self._awaited)

    def recover(self, mark: str | None, is_committed: IsCommitted) -> None:
        """Remember which events may come again of those in the file."""
        file = self._output.file
        self._awaited = awaited_in(self.path, file, mark, is_committed)
        if self._keeper is not None:
            self._keeper.wake()

    @property
    def file_counts(self) -> Mapping[str, int]:
        """What happened to files: rotated, converted, removed, failures, and so on."""
        return dict(self._output.counts)

    def close(self) -> None:
        """Close the file."""
        if self._keeper is not None:
            self._keeper.close()
        if self._lock.acquire(timeout=_CLOSE_S):
            self._output.close()
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

    def _encode(self, lines: list[Line]) -> bytes:
        try:
            return self._encoder.encode_lines(lines)
        except RecursionError:
            return b"".join(map(self._encode_deep, lines))

    def _encode_deep(self, line: Line) -> bytes:
        # Workers and collectors bound the depth of metadata; only a collector
        # that lies can send what takes more stack to encode than to decode.
        try:
            return self._encoder.encode(line) + b"\n"
        except RecursionError:
            line.metadata = {"omitted": "nested too deep"}
            return self._encoder.encode(line) + b"\n"

    def _rotate(self) -> float:
        """Rotate a file whose time is over; return the seconds until it is."""
        with self._lock:
            if self._output.file >= 0:
                self._output.follow()  # of one that others renamed nothing is due
                self._output.rotate_if_due()
            return self._output.due_s - self._now_s()


def _line(batch: EventBatch, record: Record) -> Line:
    worker, sent = batch.worker, record.metadata or {}
    return Line(
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
