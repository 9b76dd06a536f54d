"""Which events of one ring the collector has left out, by name and outcome.

The totals of a settlement slot survive any kill, but know no names. These counts
do, and are written down once a second: a collector that is killed forgets the
names of what it left out since then, never that it was left out.

Rules: what is read back is foreign input; what does not make sense is dropped,
and then there are only the totals.
"""

import json
from collections.abc import Iterable, Mapping

from shmtel import _ring
from shmtel.accounting.counts import EventCounts, add_counts
from shmtel.wire.frames import UNKNOWN_EVENT_ID, Segment

Counts = Mapping[int, Mapping[int, int]]  # event id -> outcome -> events


class LeftOut:
    """The counts of one ring, as far as the hub has acknowledged them."""

    def __init__(self, text: str | None = None) -> None:
        """Go on from what an earlier collector has written down."""
        self._counts = {
            event_id: dict(counts) for event_id, counts in parse(text).items()
        }
        self._is_noted = True

    def add(self, segment: Segment) -> None:
        """Count a segment that was acknowledged."""
        for count in segment.counts:
            if count.event_id != UNKNOWN_EVENT_ID:
                counts = self._counts.setdefault(count.event_id, {})
                counts[count.outcome] = counts.get(count.outcome, 0) + count.events
                self._is_noted = False

    def news(self) -> str | None:
        """Return what is to be written down; None: nothing since the last call."""
        if self._is_noted:
            return None
        self._is_noted = True
        return self.text()

    def text(self) -> str:
        """Return all of it, to be written down."""
        return text_of(self._counts)

    def counts(self) -> Counts:
        """Return all of it."""
        return self._counts


def text_of(counts: Counts) -> str:
    """Return counts as they are written down."""
    return json.dumps({event_id: dict(events) for event_id, events in counts.items()})


def parse(text: str | None) -> Counts:
    """Read what `text_of` returned."""
    try:
        given = json.loads(text) if text is not None else {}
        return {
            int(event_id): {int(outcome): int(n) for outcome, n in counts.items()}
            for event_id, counts in given.items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def event_table(
    events: Iterable["_ring.EventCounters"], left_out: Counts, totals: Mapping[int, int]
) -> dict[str, EventCounts]:
    """Put a worker's counters by event and the collector's together, by name."""
    known = _within(left_out, totals)
    result: dict[str, EventCounts] = {}
    for event_id, event in enumerate(events):
        counts = EventCounts(
            event["committed"],
            event["sampled_out"],
            event["filtered"],
            {reason: n for reason, n in event["dropped"].items() if n},
            known.get(event_id, {}),
        )
        # A hostile worker may register a name twice.
        result[event["name"]] = result.get(event["name"], EventCounts()).plus(counts)
    return result


def _within(left_out: Counts, totals: Mapping[int, int]) -> Counts:
    """Leave out outcomes of which more is said by name than there were.

    A hub that lost its state takes the totals of a ring back.
    """
    sums: Mapping[int, int] = {}
    for counts in left_out.values():
        sums = add_counts(sums, counts)
    believed = {outcome for outcome, n in sums.items() if n <= totals.get(outcome, 0)}
    return {
        event_id: {outcome: n for outcome, n in counts.items() if outcome in believed}
        for event_id, counts in left_out.items()
    }
