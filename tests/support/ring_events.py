"""Events as the state machine of the ring makes them, and how they come back."""

from collections.abc import Iterator
from typing import Any

from support import own_ring
from support.ring_model import Event, Record

CORRELATIONS = tuple(f"request-{number}" for number in range(6))
TOO_LONG = "c" * 129
NO_EVENTS: tuple[tuple[tuple[Any, ...], Event], ...] = (
    ((5, {}), Event("", {})),
    (("", {}), Event("", {})),
    (("x" * 256, {}), Event("x" * 256, {})),
    (("long.id", {}, None, TOO_LONG), Event("long.id", {}, None, TOO_LONG)),
    (("a", {"n": "text"}, None, "id"), Event("a", {}, None, "id", is_plain=False)),
    (("a", {}, [1], "id"), Event("a", {}, None, "id", is_plain=False)),
)

# One for each size that the number of nanoseconds can have.
_DURATIONS = (1, 200, 3000, 70_000, 1 << 33)
_SYSTEM_TIME = 1 << 60


def padded(name: str, number: int, length: int, correlation_id: str) -> Event:
    """Make an event whose array has this many bytes; a short one has its least.

    It ends with so many bytes that no encoder wants more room than they take.
    """
    numbers = {"n": number}
    base = Event(name, numbers, {"p": b""}, correlation_id).length
    for head in (0, 1, 3):  # of a bin: 2, 3 or 5 bytes
        padding = {"p": bytes(max(2, length - base - head))}
        event = Event(name, numbers, padding, correlation_id)
        if event.length <= length:
            break
    return event


def arguments_of(event: Event) -> tuple[Any, ...]:
    """Return how it is emitted."""
    return event.name, event.measurements, event.metadata, event.correlation_id


def assert_same(events: list[own_ring.Event], records: list[Record]) -> None:
    """Compare what was read with what was committed."""
    assert [event.seq for event in events] == [record.seq for record in records]
    for event, record in zip(events, records, strict=True):
        expected = record.event
        assert event.name == expected.name
        assert event.threshold == record.threshold
        assert event.correlation_id == expected.correlation_id
        assert event.metadata == expected.metadata
        if expected.span_length == 1:
            assert (event.measurements, event.span) == (expected.measurements, None)
        else:  # how long it took is the worker's to know
            assert event.measurements.keys() == expected.measurements.keys()
            assert event.span_id > event.parent_id == "0" * 16


def span_start(operation: str, metadata: dict[str, Any], correlation_id: str) -> Event:
    """Return the first event of a span."""
    time = {"system_time": _SYSTEM_TIME}
    return Event(f"{operation}.start", time, metadata, correlation_id, span_length=18)


def span_ends(
    operation: str, metadata: dict[str, Any], correlation_id: str, *, fails: bool
) -> Iterator[Event]:
    """Yield what the last event of a span may be, by how long it took."""
    moment = "exception" if fails else "stop"
    if fails:
        metadata = metadata | {
            "outcome": "error",
            "error_type": "ValueError",
            "error_message": "as asked",
        }
    for duration in _DURATIONS:
        time = {"duration": duration}
        yield Event(
            f"{operation}.{moment}", time, metadata, correlation_id, span_length=18
        )
