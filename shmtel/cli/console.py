"""Events as lines for people: a batch handler that writes to a terminal."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from shmtel.cli.common import plain
from shmtel.stamped import own

if TYPE_CHECKING:
    from shmtel.hub.handlers import EventBatch

_AMBIGUOUS = re.compile(r"[\s=\"]|^$")  # where a value would not be seen to end


class Shown(Protocol):
    """What is shown of an event beside its name."""

    @property
    def timestamp_ns(self) -> int: ...
    @property
    def measurements(self) -> Mapping[str, Any]: ...
    @property
    def metadata(self) -> Mapping[str, Any] | None: ...
    @property
    def correlation_id(self) -> str | None: ...


def print_batch(batch: "EventBatch", stream: TextIO) -> None:
    """Print the events of a batch; the stream is the handler's config."""
    worker_id = batch.worker.worker_id
    stream.writelines(
        f"{format_event(batch.names[record.event_id], worker_id, record)}\n"
        for record in batch.records
    )
    stream.flush()


def format_event(name: str, worker_id: str, record: Shown) -> str:
    """Put an event on one line: time, worker, name, and what it carries."""
    moment = datetime.fromtimestamp(record.timestamp_ns / 1e9)
    words = [f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}", _value(worker_id)]
    words += [_value(name), *_pairs(record.measurements), *_pairs(record.metadata)]
    if record.correlation_id is not None:
        words.append(f"correlation_id={_value(record.correlation_id)}")
    return plain(" ".join(words))


def _pairs(values: Mapping[str, object] | None) -> Iterator[str]:
    return (f"{_value(key)}={_value(value)}" for key, value in own(values).items())


def _value(value: object) -> str:
    if isinstance(value, str) and _AMBIGUOUS.search(value):
        return '"' + value.replace('"', '\\"') + '"'
    return str(value)
