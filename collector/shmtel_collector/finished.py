"""What stays of a ring when it is gone: its identity, totals and claims.

Plain data with a JSON form: a hostile worker can claim numbers that no database
integer holds, and JSON holds any.

Counts by event are bounded: what goes beyond is still in the totals, and only
no longer under a name.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from shmtel.accounting.counts import (
    Claims,
    EventCounts,
    EventTable,
    add_counts,
    add_events,
    heaviest,
)

EVICTED = "evicted"  # the reason of a ring that was removed undrained
EVENTS_MAX = 256  # names of one ring, those that say most
FOLDED_EVENTS_MAX = 1_024


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
    service: str = ""
    worker_index: int | None = None
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
