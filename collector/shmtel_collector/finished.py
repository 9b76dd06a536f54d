"""What stays of a ring when it is gone: its identity, totals and claims.

Plain data with a JSON form: a hostile worker can claim numbers that no database
integer holds, and JSON holds any.

Counts by event are bounded: what goes beyond is still in the totals, and only
no longer under a name.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

EVENTS_MAX = 256  # names of one ring, those that say most
FOLDED_EVENTS_MAX = 1_024

_Key = TypeVar("_Key", int, str)


def add_counts(left: Mapping[_Key, int], right: Mapping[_Key, int]) -> dict[_Key, int]:
    """Return the sum of two tables of counts, key by key."""
    result = dict(left)
    for key, count in right.items():
        result[key] = result.get(key, 0) + count
    return result


@dataclass(frozen=True, slots=True)
class Claims:
    """The producer's own counters; a worker may say what it likes here."""

    committed: int = 0
    sampled_out: int = 0
    filtered: int = 0
    disabled: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)

    def plus(self, other: "Claims") -> "Claims":
        """Return the sum of both."""
        return Claims(
            self.committed + other.committed,
            self.sampled_out + other.sampled_out,
            self.filtered + other.filtered,
            self.disabled + other.disabled,
            add_counts(self.dropped, other.dropped),
        )


@dataclass(frozen=True, slots=True)
class EventCounts:
    """What became of the events of one name, as far as it is known by name.

    Attributes:
        left_out: what was committed and not delivered, by outcome.
    """

    committed: int = 0
    sampled_out: int = 0
    filtered: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[int, int] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """Return how many calls it speaks of."""
        left_out = self.sampled_out + self.filtered
        return self.committed + left_out + sum(self.dropped.values())

    def plus(self, other: "EventCounts") -> "EventCounts":
        """Return the sum of both."""
        return EventCounts(
            self.committed + other.committed,
            self.sampled_out + other.sampled_out,
            self.filtered + other.filtered,
            add_counts(self.dropped, other.dropped),
            add_counts(self.left_out, other.left_out),
        )


EventTable = Mapping[str, EventCounts]  # by event name


def add_events(left: EventTable, right: EventTable) -> dict[str, EventCounts]:
    """Return the sum of two tables, name by name."""
    result = dict(left)
    for name, counts in right.items():
        result[name] = result.get(name, EventCounts()).plus(counts)
    return result


def heaviest(events: EventTable, limit: int) -> dict[str, EventCounts]:
    """Return the names that say most, at most so many."""
    if len(events) <= limit:
        return dict(events)
    ranked = sorted(events.items(), key=lambda item: -item[1].weight)
    return dict(ranked[:limit])


@dataclass(frozen=True, slots=True)
class FinishedRing:
    """A ring that was drained to its end and removed.

    Attributes:
        totals: events by outcome; with `spooled` they sum to last_seq.
        spooled: events that are in the spool, not acknowledged yet.
    """

    ring_id: bytes
    worker_id: str
    pool_name: str
    pid: int
    closed_ns: int
    reason: str
    last_seq: int
    totals: Mapping[int, int]
    claims: Claims
    events: EventTable = field(default_factory=dict)
    spooled: int = 0


@dataclass(frozen=True, slots=True)
class FoldedRings:
    """The sum of the finished rings that are too old for a row of their own."""

    rings: int = 0
    last_seq: int = 0
    totals: Mapping[int, int] = field(default_factory=dict)
    claims: Claims = field(default_factory=Claims)
    events: EventTable = field(default_factory=dict)

    def plus(self, ring: FinishedRing) -> "FoldedRings":
        """Return the sum with one more ring in it."""
        return FoldedRings(
            self.rings + 1,
            self.last_seq + ring.last_seq,
            add_counts(self.totals, ring.totals),
            self.claims.plus(ring.claims),
            heaviest(add_events(self.events, ring.events), FOLDED_EVENTS_MAX),
        )


def ring_to_json(ring: FinishedRing) -> str:
    """Return a finished ring as text, without its id and time."""
    fields = asdict(replace(ring, events=heaviest(ring.events, EVENTS_MAX)))
    del fields["ring_id"], fields["closed_ns"]
    return json.dumps(fields)


def ring_from_json(ring_id: bytes, closed_ns: int, text: str) -> FinishedRing:
    """Read what `ring_to_json` wrote."""
    fields = _with_counts(json.loads(text))
    return FinishedRing(ring_id=ring_id, closed_ns=closed_ns, **fields)


def folded_to_json(folded: FoldedRings) -> str:
    """Return the folded rings as text."""
    return json.dumps(asdict(folded))


def folded_from_json(text: str) -> FoldedRings:
    """Read what `folded_to_json` wrote."""
    return folded_of_table(json.loads(text))


def folded_of_table(table: Mapping[str, Any]) -> FoldedRings:
    """Read the plain form of a sum of rings."""
    return FoldedRings(**_with_counts(dict(table)))


def _with_counts(fields: dict[str, Any]) -> dict[str, Any]:
    events = {
        name: EventCounts(**counts | {"left_out": _by_outcome(counts["left_out"])})
        for name, counts in fields.get("events", {}).items()  # older rows have none
    }
    return fields | {
        "totals": _by_outcome(fields["totals"]),
        "claims": Claims(**fields["claims"]),
        "events": events,
    }


def _by_outcome(counts: Mapping[str, Any]) -> dict[int, int]:
    return {int(outcome): int(events) for outcome, events in counts.items()}
