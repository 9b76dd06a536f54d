"""What the laws of accounting are computed from: counts, by name where one is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

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
