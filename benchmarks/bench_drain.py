"""What copying and judging an event costs the consumer, in CPU time.

A ring of 1 MiB is filled once with the standard event; each round drains all of
it and goes back to its head, which costs nothing. The passes differ in their
budget: the largest is what a batch holds. Beside them stand what a settlement
costs, and a look whether anything is new.

Two more rings are drained under a policy. One holds 256 names in turn, each with
a threshold of its own, so that about half of the events are left out and nearly
all others patched; the other holds nothing but spans of one name, of whose
starts half are left out and half patched, so that every decision is remembered.
Each is drained without the policy too, for the difference.

Two last rings hold events of 100 names, each with keys of its own. One is drained
against nothing; the other against a catalog that knows all keys, and against one
that knows all but two of each event, so that every record is stripped.

The rounds are interleaved, and the best of each counts: CPU time has no waiting
in it, and what another process does to the caches is not the consumer's.
"""

import os
from collections.abc import Callable
from functools import partial
from time import thread_time_ns
from typing import TYPE_CHECKING

from measure import (
    CORRELATION_ID,
    EVENT,
    MEASUREMENTS,
    METADATA,
    report,
    row,
    size,
    summary,
)

if TYPE_CHECKING:
    from shmtel import _ring

RING_SIZE = 1 << 20
ROUNDS = size(200, 3)
NAMES = 256
SHAPES = 100
CALLS = 1000
BUDGETS = {"16KiB": 16 << 10, "64KiB": 64 << 10, "120KiB": 120 << 10}


def _fill_standard(number: int) -> None:
    import shmtel

    shmtel.emit(EVENT, MEASUREMENTS, METADATA, CORRELATION_ID)


def _fill_many_names(number: int) -> None:
    import shmtel

    name = f"{EVENT[:-4]}{number % NAMES:04}"
    shmtel.emit(name, MEASUREMENTS, METADATA, f"{number:016x}")


def _keys_of(number: int) -> tuple[list[str], list[str]]:
    """Return the keys of an event of the 100."""
    measurements = ["duration", f"bytes_{number:02}"]
    return measurements, ["tool", f"model_{number:02}", "worker"]


def _fill_shapes(number: int) -> None:
    import shmtel

    number %= SHAPES
    measurements, metadata = _keys_of(number)
    shmtel.emit(
        f"{EVENT[:-2]}{number:02}",
        dict(zip(measurements, MEASUREMENTS.values(), strict=True)),
        dict(zip(metadata, METADATA.values(), strict=True)),
        CORRELATION_ID,
    )


def _fill_spans(number: int) -> None:
    import shmtel

    with shmtel.span("tool.execution", METADATA):
        pass


def _fill(namespace: str, event: Callable[[int], None]) -> str:
    """Fill the ring of a child that ends; return the name of its segment."""
    from shmtel import segments

    known = set(segments.POSIX.scan(namespace))
    child = os.fork()
    if child == 0:
        import shmtel

        for number in range(RING_SIZE):
            event(number)
            if shmtel.stats()["dropped"]["ring_full"]:
                break
        os._exit(0)
    os.waitpid(child, 0)
    [name] = set(segments.POSIX.scan(namespace)) - known
    return name


class Drain:
    """The scenarios on one full ring; each returns how often it did its work."""

    def __init__(self, name: str) -> None:
        from shmtel import _ring, segments

        self.consumer = _ring.Consumer(segments.POSIX.open(name, writable=True))
        self.events = self.drain(1 << 20)

    def drain(self, budget: int) -> int:
        """Drain the whole ring, and go back."""
        self.delivered = 0
        while (drained := self.consumer.drain(budget)) is not None:
            self.delivered += drained.delivered
        taken = self.consumer.cursor_seq
        self.consumer.rewind()
        return taken

    def judged(self, is_judged: bool, words: list[int], kinds: bytes) -> int:
        """Drain the whole ring under a policy, or under none."""
        from shmtel import _ring

        unset = [_ring.WORD_UNSET] * len(words)
        self.consumer.set_judgement(
            is_on=True, words=words if is_judged else unset, kinds=kinds
        )
        taken = self.drain(BUDGETS["120KiB"])
        assert 0.4 < self.delivered / taken < 0.6 or not is_judged
        return taken

    def checked(self, shapes: "list[_ring.Shape]") -> int:
        """Drain the whole ring against a catalog."""
        self.consumer.set_shapes(shapes, shapes[0])
        taken = self.drain(BUDGETS["120KiB"])
        assert self.delivered == taken
        return taken

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


def _shapes(known: slice) -> "list[_ring.Shape]":
    """Return the shapes of the 100 names, with some of their keys."""
    from shmtel import _ring

    others = [f"other_{number}" for number in range(4)]
    return [
        _ring.Shape(
            _ring.MODE_STRIP,
            [*measurements[known], *others],
            [*metadata[known], *others],
            is_known=True,
            depth=8,
            keys=1_024,
            key_bytes=255,
            string_bytes=16_384,
        )
        for measurements, metadata in map(_keys_of, range(SHAPES))
    ]


def _scenarios(
    standard: Drain, many_names: Drain, spans: Drain, unchecked: Drain, shapes: Drain
) -> dict[str, Callable[[], int]]:
    from shmtel import _ring

    step = _ring.THRESHOLD_MAX // NAMES
    policy = [step * number for number in range(NAMES)], bytes(NAMES)
    # A start registers the names of its ends before its own.
    kinds = _ring.EVENT_STOP, _ring.EVENT_EXCEPTION, _ring.EVENT_START
    of_span = [0, 0, 1 << 31], bytes(kinds)
    return {
        **{
            f"drain, budget {text}": partial(standard.drain, budget)
            for text, budget in BUDGETS.items()
        },
        "256 names, no policy": partial(many_names.judged, False, *policy),
        "256 names, a policy": partial(many_names.judged, True, *policy),
        "spans, no policy": partial(spans.judged, False, *of_span),
        "spans, a policy": partial(spans.judged, True, *of_span),
        "100 shapes, no catalog": partial(unchecked.drain, BUDGETS["120KiB"]),
        "100 shapes, a catalog": partial(shapes.checked, _shapes(slice(None))),
        "100 shapes, stripped": partial(shapes.checked, _shapes(slice(1, None))),
        "settle": standard.settle,
        "look": standard.look,
    }


def _measure(scenarios: dict[str, Callable[[], int]]) -> dict[str, list[float]]:
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
    from shmtel import segments

    try:
        rings = [
            Drain(_fill(namespace, event))
            for event in (
                _fill_standard,
                _fill_many_names,
                _fill_spans,
                _fill_shapes,
                _fill_shapes,
            )
        ]
        times = _measure(_scenarios(*rings))
    finally:
        for name in segments.POSIX.scan(namespace):
            segments.POSIX.unlink(name)
    best = {scenario: min(values) for scenario, values in times.items()}
    report(
        [
            row("drain: copy and validation", best["drain, budget 64KiB"], 100,
                "ns CPU/event"),
            row("drain, in passes of a batch", best["drain, budget 120KiB"], 100,
                "ns CPU/event"),
            row("drain, 256 names under a policy", best["256 names, a policy"], 100,
                "ns CPU/event"),
            row("drain, spans under a policy", best["spans, a policy"], 100,
                "ns CPU/event"),
            row("drain, 100 shapes by a catalog", best["100 shapes, a catalog"], 300,
                "ns CPU/event"),
            row("drain, each event stripped", best["100 shapes, stripped"], 300,
                "ns CPU/event"),
        ],
        {
            "ring_size": RING_SIZE,
            "events_in_ring": rings[0].events,
            "rounds": ROUNDS,
            **{scenario: summary(values) for scenario, values in times.items()},
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
