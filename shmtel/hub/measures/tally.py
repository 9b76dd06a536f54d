"""What one series has seen: the sum of events, in the unit of its measurement.

Rules:
- adding is all there is, so that parts may be added in any order, and a part that is
  thrown away has never been;
- integers stay integers, exact, as long as nothing was sampled; what would leave the
  range of numbers that a database and a scrape can hold becomes the greatest float.
"""

import sys
from dataclasses import dataclass, field
from operator import add

Number = int | float

INTEGER_MAX = 1 << 62
_FLOAT_MAX = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One event that stands for those counted with it."""

    correlation_id: str
    value: Number  # as measured
    timestamp_ns: int


@dataclass(slots=True, eq=False)
class Tally:
    """Counts of one series, or of a part of its events.

    Attributes:
        count: events, each as many as it stands for.
        total: sum of the measurement.
        buckets: events by bucket; empty unless it is a distribution.
        last: the last value; None: not kept.
        last_seq: of that value, among those of one ring.
        exemplars: by bucket; 0 where there are none.
        rings: keys of the rings that keep the series alive, if it is of workers.
    """

    count: Number = 0
    total: Number = 0
    buckets: list[Number] = field(default_factory=list)
    last: Number | None = None
    exemplars: dict[int, Exemplar] = field(default_factory=dict)
    rings: set[str] = field(default_factory=set)
    last_seq: int = 0

    def add(self, other: "Tally") -> None:
        """Add what another has seen after this one."""
        self.count = bounded(self.count + other.count)
        self.total = bounded(self.total + other.total)
        if not self.buckets:
            self.buckets = other.buckets.copy()
        elif other.buckets:
            self.buckets = list(map(add, self.buckets, other.buckets))
            if self.count >= INTEGER_MAX:  # else none of them can be
                self.buckets = list(map(bounded, self.buckets))
        if other.last is not None:
            self.last = other.last
        self.exemplars |= other.exemplars
        self.rings |= other.rings

    def copy(self) -> "Tally":
        """Return one that can be added to."""
        return Tally(
            *(self.count, self.total, self.buckets.copy(), self.last),
            *(self.exemplars.copy(), self.rings.copy()),
        )


def bounded(number: Number) -> Number:
    """Return a number that everybody can hold."""
    if isinstance(number, int):
        if -INTEGER_MAX < number < INTEGER_MAX:
            return number
        number = float(number)
    return max(-_FLOAT_MAX, min(_FLOAT_MAX, number))
