"""What a catalog holds, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from shmtel.toml_source import NAME_BYTES_MAX

LAYERS = ("infrastructure", "execution", "bridge", "shmtel", "application")
KINDS = ("point", "sample", "start", "stop", "exception")
EMITTERS = ("worker", "collector", "hub", "integration", "application")


class Mode(StrEnum):
    """What becomes of what the catalog does not know."""

    REJECT = "reject"
    STRIP = "strip"
    PASS = "pass"


@dataclass(frozen=True, slots=True)
class ModeRule:
    """The mode of the events whose names match a pattern."""

    pattern: str
    mode: Mode


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what an event may hold, and a bridge may show.

    Attributes:
        depth: containers in each other, the metadata map itself included.
        keys: of one map.
        string_bytes: of one text or byte string, in UTF-8.
        name_bytes: of the name of an event or a key, in UTF-8.
    """

    depth: int = 8
    keys: int = 1_024
    string_bytes: int = 16_384
    name_bytes: int = NAME_BYTES_MAX


# Inclusive. Where a record or a worker's encoder has a bound, no limit is beyond it:
# RING_DEPTH_MAX, RING_RECORD_MAX and RING_NAME_LENGTH_MAX.
LIMIT_RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "depth": (1, 8),
        "keys": (1, 65_536),
        "string_bytes": (1, 65_536),
        "name_bytes": (1, NAME_BYTES_MAX),
    }
)


@dataclass(frozen=True, slots=True)
class EventEntry:
    """What the catalog says of one event.

    Attributes:
        layer: one of LAYERS.
        kind: `point`: something happened; `sample`: read periodically; `start`,
            `stop`, `exception`: of a span.
        emitters: who emits it, of EMITTERS.
        summary: a sentence; empty if its author wrote none.
        how: for what an application emits, a line of code or a document.
        measurements: by key, the unit: `ns`, `bytes`, `1` for a count, and others.
        metadata: the keys.
    """

    name: str
    layer: str = "application"
    kind: str = "point"
    emitters: tuple[str, ...] = ("application",)
    summary: str = ""
    how: str = ""
    measurements: Mapping[str, str] = field(default_factory=dict)
    metadata: tuple[str, ...] = ()
