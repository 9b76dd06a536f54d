"""How long to wait until the next pass over the rings.

One interval serves all rings, so that they are visited together and the
process sleeps in between. It follows from what is measured:

- events: a pass should find at least a handful, so that a trickle of events
  costs a trickle of passes, and never waits longer than 200 ms;
- bytes: no ring may fill by more than a quarter within one interval;
- silence: the measured rates fade over a second or two, and the interval
  grows to its longest with them.

Nothing here reads a clock: time comes in as `now_ns`.
"""

import math

MILLISECOND_NS = 1_000_000
SHORTEST_NS = 1 * MILLISECOND_NS  # only where rings fill faster than the next
BUSY_NS = 5 * MILLISECOND_NS
LONGEST_NS = 200 * MILLISECOND_NS
EVENTS_PER_PASS = 20  # 4,000 events/s and more are polled each 5 ms
FADE_NS = 500 * MILLISECOND_NS  # time constant of the measured rates


class Pace:
    """Turns what each pass found into the delay before the next."""

    __slots__ = ("_events_per_ns", "_fill_per_ns", "_last_ns")

    def __init__(self, now_ns: int) -> None:
        self._last_ns = now_ns
        self._events_per_ns = 0.0
        self._fill_per_ns = 0.0
        self.hurry()

    def hurry(self) -> None:
        """Expect load: a ring has just appeared, or something else changed."""
        self._events_per_ns = max(self._events_per_ns, EVENTS_PER_PASS / BUSY_NS)

    def observe(self, now_ns: int, events: int, fill: float) -> None:
        """Take in a pass: events found, and the fullest ring's share of its size."""
        elapsed_ns = max(now_ns - self._last_ns, 1)
        self._last_ns = now_ns
        keep = math.exp(-elapsed_ns / FADE_NS)
        gain = (1.0 - keep) / elapsed_ns
        self._events_per_ns = self._events_per_ns * keep + events * gain
        # Bursts must not be averaged away: the fill rate rises at once.
        self._fill_per_ns = max(self._fill_per_ns * keep, fill / elapsed_ns)

    def interval_ns(self) -> int:
        """Return the delay before the next pass."""
        by_events = _quotient(EVENTS_PER_PASS, self._events_per_ns)
        by_fill = _quotient(0.25, self._fill_per_ns)
        wanted = max(min(by_events, LONGEST_NS), BUSY_NS)
        return int(max(min(wanted, by_fill), SHORTEST_NS))


def _quotient(amount: float, rate: float) -> float:
    return amount / rate if rate > 0.0 else math.inf
