"""The end of a worker, as far as it is known: plain data with a msgpack form.

Counts are those of its ring, final: what the worker says it left out, and what
became of the events that it committed. Rules: nothing is guessed; what was not seen
is None.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import UnionType
from typing import Any

import msgpack

from shmtel import _ring
from shmtel.wire.frames import Worker
from shmtel_collector.finished import FinishedRing
from shmtel_collector.last_words import LastWords

LARGEST = (1 << 63) - 1  # what every reader of a measurement holds


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """How a worker ended, or its ring.

    Attributes:
        reason: closed, vanished, retired, quarantined or evicted.
        ended_ns: when the end was noticed.
        lifetime_ns: from its ring's making until then; None: never seen alive.
        counts: events by word, and `dropped`, `rejected` and `lost` by reason too,
            as `lost.evicted`.
        words: None: nothing could be read, or nobody will ask.
    """

    ring_id: bytes
    worker: Worker
    reason: str
    ended_ns: int
    lifetime_ns: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    words: LastWords | None = None


def counts_of(ring: FinishedRing) -> dict[str, int]:
    """Return the final counters of a ring."""
    claims = ring.claims
    counts = {
        "committed": ring.last_seq,
        "delivered": 0,
        "dropped": sum(claims.dropped.values()),
        "rejected": 0,
        "lost": 0,
        "sampled_out": claims.sampled_out,
        "filtered": claims.filtered,
        "disabled": claims.disabled,
    }
    if ring.spooled:
        counts["spooled"] = ring.spooled
    counts |= {f"dropped.{why}": n for why, n in claims.dropped.items() if n}
    for outcome, events in ring.totals.items():
        word, reason = _ring.OUTCOMES.get(outcome, ("lost", "unknown_outcome"))
        counts[word] = counts.get(word, 0) + events
        if word in ("rejected", "lost"):
            key = f"{word}.{reason}"
            counts[key] = counts.get(key, 0) + events
    return {word: min(events, LARGEST) for word, events in counts.items()}


def to_bytes(end: WorkerEnd) -> tuple[bytes, bytes | None]:
    """Return an end as bytes, and apart from it the last words, which are large."""
    fields = asdict(end)
    words = fields.pop("words")
    return msgpack.packb(fields), None if words is None else msgpack.packb(words)


def from_bytes(data: bytes, words: bytes | None) -> WorkerEnd:
    """Read what `to_bytes` wrote.

    Raises:
        ValueError, TypeError, LookupError: it is something else.
    """
    fields: dict[str, Any] = msgpack.unpackb(data, strict_map_key=False)
    for name, kinds in _KINDS.items():
        if not isinstance(fields[name], kinds):
            raise TypeError(f"{name} is {fields[name]!r}")
    return WorkerEnd(
        **fields
        | {
            "worker": Worker(**fields["worker"]),
            "words": None if words is None else _words(words),
            "counts": {str(word): int(n) for word, n in fields["counts"].items()},
        }
    )


_KINDS: dict[str, type | UnionType] = {
    "ring_id": bytes,
    "worker": dict,
    "reason": str,
    "ended_ns": int,
    "lifetime_ns": int | None,
    "counts": dict,
}


def _words(data: bytes) -> LastWords:
    fields: dict[str, Any] = msgpack.unpackb(data, strict_map_key=False)
    arrays = {key: tuple(map(bytes, fields[key])) for key in ("events", "open_spans")}
    names = {int(event_id): str(name) for event_id, name in fields["names"].items()}
    return LastWords(**fields | arrays | {"names": names})
