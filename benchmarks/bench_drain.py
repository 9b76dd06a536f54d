"""What copying and judging an event costs the consumer, in CPU time.

A ring of 1 MiB is filled once with the standard event; each round drains all of
it and goes back to its head, which costs nothing. The passes differ in their
budget: the largest is what a batch holds. Beside them stand what a settlement
costs, and a look whether anything is new.

The rounds are interleaved, and the best of each counts: CPU time has no waiting
in it, and what another process does to the caches is not the consumer's.
"""

import os
from collections.abc import Callable
from functools import partial
from time import thread_time_ns

from measure import (
    CORRELATION_ID,
    EVENT,
    MEASUREMENTS,
    METADATA,
    report,
    row,
    summary,
)

RING_SIZE = 1 << 20
ROUNDS = 200
CALLS = 1000
BUDGETS = {"16KiB": 16 << 10, "64KiB": 64 << 10, "120KiB": 120 << 10}


def _fill() -> tuple[str, int]:
    """Fill the ring of this process; return its segment and the events in it."""
    import shmtel
    from shmtel import segments

    while not shmtel.stats()["dropped"]["ring_full"]:
        shmtel.emit(EVENT, MEASUREMENTS, METADATA, CORRELATION_ID)
    [name] = segments.scan(os.environ["SHMTEL_NAMESPACE"])
    return name, shmtel.stats()["committed"]


class Drain:
    """The scenarios on one full ring; each returns how often it did its work."""

    def __init__(self, name: str, events: int) -> None:
        from shmtel import _ring, segments

        self.consumer = _ring.Consumer(segments.open_segment(name, writable=True))
        self.events = events

    def drain(self, budget: int) -> int:
        """Drain the whole ring, and go back."""
        delivered = 0
        while (drained := self.consumer.drain(budget)) is not None:
            delivered += drained.delivered
        assert delivered == self.events, delivered
        self.consumer.rewind()
        return delivered

    def settle(self) -> int:
        """Write what is settled already, again and again."""
        totals = [0] * 32
        for _ in range(CALLS):
            self.consumer.settle(0, 0, totals)
        return CALLS

    def look(self) -> int:
        """Look whether anything is new, which it is not."""
        for _ in range(CALLS):
            self.consumer.tail()
        return CALLS


def _measure(drain: Drain) -> dict[str, list[float]]:
    scenarios: dict[str, Callable[[], int]] = {
        f"drain, budget {text}": partial(drain.drain, budget)
        for text, budget in BUDGETS.items()
    }
    scenarios |= {"settle": drain.settle, "look": drain.look}
    times: dict[str, list[float]] = {name: [] for name in scenarios}
    for _ in range(ROUNDS):
        for name, scenario in scenarios.items():
            start = thread_time_ns()
            operations = scenario()
            times[name].append((thread_time_ns() - start) / operations)
    return times


def main() -> None:
    """Measure, and print the JSON."""
    namespace = f"bench-{os.getpid()}"
    os.environ.update(
        SHMTEL_ENABLED="1", SHMTEL_NAMESPACE=namespace, SHMTEL_RING_SIZE=str(RING_SIZE)
    )
    name, events = _fill()
    try:
        times = _measure(Drain(name, events))
    finally:
        from shmtel import segments

        segments.unlink(name)
    best = {scenario: min(values) for scenario, values in times.items()}
    report(
        [
            row("drain: copy and validation", best["drain, budget 64KiB"], 100,
                "ns CPU/event"),
            row("drain, in passes of a batch", best["drain, budget 120KiB"], 100,
                "ns CPU/event"),
        ],
        {
            "ring_size": RING_SIZE,
            "events_in_ring": events,
            "rounds": ROUNDS,
            **{scenario: summary(values) for scenario, values in times.items()},
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
