"""Events straight from rings as lines: one text for people, one JSON for programs."""

import json
import math
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from shmtel.cli.console import format_event
from shmtel.stamped import own

if TYPE_CHECKING:
    from shmtel.cli.following import Event


def text_line(event: "Event") -> str:
    """Put an event on a line for people; nothing in it steers a terminal."""
    line = format_event(event.name, event.worker.worker_id, event)
    ids = (("span", event.span_id), ("parent", event.parent_id))
    return line + "".join(f" {word}={value}" for word, value in ids if value)


def json_line(event: "Event") -> str:
    """Put an event on a line for programs, with the keys of the hub's JSON lines."""
    document = _document(event)
    try:
        return json.dumps(document, allow_nan=False)
    except (TypeError, ValueError):  # bytes, or a number that JSON does not know
        return json.dumps(_jsonable(document))


def json_document(event: "Event") -> dict[str, Any]:
    """Return an event as plain data that JSON knows, by the same keys."""
    document: dict[str, Any] = _jsonable(_document(event))
    return document


def _document(event: "Event") -> dict[str, Any]:
    return {
        "event": event.name,
        "measurements": event.measurements,
        "metadata": own(event.metadata),
        "correlation_id": event.correlation_id,
        "timestamp_ns": event.timestamp_ns,
        "ring_id": event.ring_id,
        "seq": event.seq,
        "span_id": event.span_id,
        "parent_id": event.parent_id,
        "sampling_probability": event.sampling_probability,
        "worker_id": event.worker.worker_id,
        "pool_name": event.worker.pool_name,
        "pid": event.worker.pid,
    }


def _jsonable(value: Any) -> Any:
    match value:
        case dict():
            return {key: _jsonable(item) for key, item in value.items()}
        case list():
            return list(map(_jsonable, value))
        case bytes():
            return b64encode(value).decode()
        case float() if not math.isfinite(value):
            return None
    return value
