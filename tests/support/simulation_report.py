"""A step of a simulation in one line that can be read."""

from dataclasses import fields, is_dataclass
from typing import Any

from shmtel.wire.collector_events import Acked
from shmtel.wire.frames import Batch, RingClosed, Segment

LINE_MAX = 200


def line(at_ns: int, step: tuple[Any, ...]) -> str:
    """Return when it happened, and what."""
    text = " ".join(map(brief, step))
    return f"{at_ns / 1e9:9.6f}  {text}"[:LINE_MAX]


def brief(value: Any) -> str:
    """Return as much of a value as tells it apart from others."""
    match value:
        case str():
            return value
        case float():
            return f"{value:.3f}"
        case list() | tuple():
            return ", ".join(map(brief, value))
        case Acked(batch, rejected):
            return f"acked {brief(batch)} {brief(rejected)}".strip()
        case Batch(number, segments, closed):
            return f"batch {number} ({brief([*segments, *closed])})"
        case Segment():
            marked = f" resent to {value.resent_through}" * bool(value.resent_through)
            return f"ring {value.ring}: {value.seq_before}..{value.seq_last}{marked}"
        case RingClosed():
            return f"ring {value.ring}: closed at {value.last_seq}"
    return _fields(value) if is_dataclass(value) else str(value)


def _fields(value: Any) -> str:
    given = ((field, getattr(value, field.name)) for field in fields(value))
    named = (f"{field.name}={item}" for field, item in given if item != field.default)
    return f"{type(value).__name__} {' '.join(named)}"
