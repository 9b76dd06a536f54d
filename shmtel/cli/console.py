"""Events as lines for people: a batch handler that writes to a terminal."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from shmtel.cli.common import plain

if TYPE_CHECKING:
    from shmtel.hub.dispatch import EventBatch
    from shmtel.hub.records import Record


def print_batch(batch: "EventBatch", stream: TextIO) -> None:
    """Print the events of a batch; the stream is the handler's config."""
    worker_id = batch.worker.worker_id
    stream.writelines(
        f"{format_event(batch.names[record.event_id], worker_id, record)}\n"
        for record in batch.records
    )
    stream.flush()


def format_event(name: str, worker_id: str, record: "Record") -> str:
    """Put an event on one line: time, worker, name, and what it carries."""
    moment = datetime.fromtimestamp(record.timestamp_ns / 1e9)
    words = [f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}", worker_id, name]
    words += _pairs(record.measurements)
    words += _pairs(record.metadata or {})
    if record.correlation_id is not None:
        words.append(f"correlation_id={record.correlation_id}")
    return plain(" ".join(words))


def _pairs(values: Mapping[str, object]) -> Iterator[str]:
    return (f"{key}={value}" for key, value in values.items())
