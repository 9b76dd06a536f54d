"""The catalog held against an event, said again in Python.

A value is beyond a limit when any key, string or binary value in it is too long, any
map in it has too many keys, or containers are in one another too deep; the map
of metadata is the first of those.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shmtel._ring import MODE_PASS, MODE_REJECT, MODE_STRIP, Shape
from shmtel.wire.frames import Outcome


@dataclass(frozen=True)
class Sketch:
    """What a shape is made of."""

    mode: int = MODE_STRIP
    measurements: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    is_known: bool = True
    depth: int = 4
    keys: int = 8
    key_bytes: int = 32
    string_bytes: int = 64

    def shape(self) -> Shape:
        """Compile it."""
        return Shape(
            self.mode,
            self.measurements,
            self.metadata,
            is_known=self.is_known,
            depth=self.depth,
            keys=self.keys,
            key_bytes=self.key_bytes,
            string_bytes=self.string_bytes,
        )


@dataclass(frozen=True)
class Judged:
    """What becomes of an event: its maps, and the keys that went by reason."""

    outcome: int
    measurements: dict[str, Any]
    metadata: dict[str, Any] | None
    faults: Counter[str]


def judged(
    sketch: Sketch,
    measurements: Mapping[str, Any],
    metadata: Mapping[str, Any] | None,
) -> Judged:
    """Hold an event against what a shape is made of."""
    faults: Counter[str] = Counter()
    kept = _kept(sketch, sketch.measurements, measurements, faults)
    kept_metadata = None
    if metadata is not None:
        kept_metadata = _kept(sketch, sketch.metadata, metadata, faults)
    outcome = _outcome(sketch, faults)
    if outcome != Outcome.DELIVERED or sketch.mode != MODE_STRIP:
        faults = Counter()
    return Judged(outcome, kept, kept_metadata, faults)


def _outcome(sketch: Sketch, faults: Counter[str]) -> Outcome:
    if sketch.mode == MODE_STRIP:
        return Outcome.DELIVERED
    if sketch.mode == MODE_REJECT and not sketch.is_known:
        return Outcome.REJECTED_UNKNOWN_EVENT
    if faults["unknown_key"]:
        return Outcome.REJECTED_UNKNOWN_KEY
    return Outcome.REJECTED_OVER_LIMIT if faults["over_limit"] else Outcome.DELIVERED


def _kept(
    sketch: Sketch, known: tuple[str, ...], given: Mapping[str, Any], faults: Counter
) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in given.items():
        if sketch.mode != MODE_PASS and not sketch.is_known:
            faults["unknown_event"] += 1
        elif sketch.mode != MODE_PASS and key not in known:
            faults["unknown_key"] += 1
        elif len(kept) >= sketch.keys or _is_pair_beyond(sketch, key, value):
            faults["over_limit"] += 1
        else:
            kept[key] = value
    return kept


def _is_pair_beyond(sketch: Sketch, key: str, value: object) -> bool:
    return _is_key_beyond(sketch, key) or is_beyond(sketch, value, 1)


def _is_key_beyond(sketch: Sketch, key: str) -> bool:
    return len(key.encode()) > sketch.key_bytes


def is_beyond(sketch: Sketch, value: object, depth: int) -> bool:
    """Say whether anything in a value inside `depth` containers is too much."""
    if isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        return len(data) > sketch.string_bytes
    if not isinstance(value, list | dict):
        return False
    keys = list(value) if isinstance(value, dict) else []
    inside = value.values() if isinstance(value, dict) else value
    return (
        depth + 1 > sketch.depth
        or len(keys) > sketch.keys
        or any(_is_key_beyond(sketch, key) for key in keys)
        or any(is_beyond(sketch, item, depth + 1) for item in inside)
    )
