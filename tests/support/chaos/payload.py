"""What a worker emits at each call: a function of its name and the call's index.

So the oracle knows every event to the last byte without having been told.

Calls come in rounds of ROUND. Most are plain events; one opens a span, the next
one closes it, and both say the index of the first. Of a span's measurements the
worker chooses nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROUND = 16
_OPENING = 7  # in each round
_EVENTS = 12
_LETTERS = "abcdefghijklmnopqrstuvwxyz äöüß€😀"
_STOP = ".stop"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a worker, and so at most one event.

    Attributes:
        measurements: None: not the worker's choice.
    """

    event: str
    measurements: Mapping[str, int | float] | None
    metadata: Mapping[str, Any]
    correlation_id: str | None


@dataclass(frozen=True, slots=True)
class Operation:
    """A span as its worker opens it."""

    name: str
    metadata: Mapping[str, Any]
    correlation_id: str


def opens_span(index: int) -> bool:
    """Say whether a call opens a span; the next one closes it."""
    return index % ROUND == _OPENING


def operation_of(worker: str, index: int) -> Operation:
    """Return the span that a call opens."""
    draw = _draw(worker, index)
    metadata = {"i": index, "text": draw.hex()}
    return Operation(f"chaos.operation.{draw[0] % 3}", metadata, draw[4:12].hex())


def call_of(worker: str, index: int, largest_text: int) -> Call:
    """Return the call with an index, counted from 0."""
    if opens_span(index):
        return _end_of_span(operation_of(worker, index), ".start")
    if opens_span(index - 1):
        return _end_of_span(operation_of(worker, index - 1), _STOP)
    draw = _draw(worker, index)
    return Call(
        event=f"chaos.event.{draw[0] % _EVENTS}",
        measurements={"i": index, "x": int.from_bytes(draw[1:4]) / 7},
        metadata=_metadata(draw, largest_text),
        correlation_id=draw[4:12].hex() if draw[3] % 2 else None,
    )


def index_of(
    event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]
) -> int:
    """Return the index of the call that an event says it comes from."""
    if "i" in measurements:
        return int(measurements["i"])
    return int(metadata["i"]) + event.endswith(_STOP)


def canonical(value: object) -> str:
    """Return a text that two values share only if they are the same."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _end_of_span(operation: Operation, suffix: str) -> Call:
    return Call(
        f"{operation.name}{suffix}",
        None,
        operation.metadata,
        operation.correlation_id,
    )


def _metadata(draw: bytes, largest_text: int) -> dict[str, Any]:
    length = int.from_bytes(draw[12:14]) % (largest_text + 1)
    first = draw[14] % len(_LETTERS)
    text = (_LETTERS[first:] + _LETTERS) * (length // len(_LETTERS) + 1)
    nested = {"ok": bool(draw[15] & 1), "none": None, "list": [draw[16], -draw[17]]}
    return {"text": text[:length], "nested": nested, "float": draw[18] / 3}


def _draw(worker: str, index: int) -> bytes:
    return hashlib.blake2b(f"{worker}/{index}".encode(), digest_size=32).digest()
