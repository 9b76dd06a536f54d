"""What readings come to in lines.

    counter          |c
    sum              |c
    last_value       |g     each time, for a server may forget
    summary          .count |c, .sum |c
    distribution     .count |c, .sum |c, and .bucket |c by its bound `le`
                     or |d, |h: a value for each bucket, with the rate for its events

Rules:
- a line knows what it tells, and notes it when it was sent.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

from shmtel.hub.bridges.statsd.settings import StatsdSettings
from shmtel.hub.bridges.statsd.spread import spread
from shmtel.hub.bridges.statsd.told import Key, Pending, Told
from shmtel.hub.bridges.statsd.wording import Kind, number, rate_of, wording_of
from shmtel.hub.measures.standing import Reading
from shmtel.hub.measures.tally import Number, Tally

# Why a line is not sent, and never will be.
NO_TAGS, NOT_FINITE, ENDED = "no_tags", "not_finite", "ended"


@dataclass(frozen=True, slots=True)
class Line:
    """What is sent in one piece: a line, or two that belong together."""

    text: str
    key: Key
    note: Callable[[], object]  # it was sent

    @property
    def data(self) -> bytes:
        """As it goes over the wire."""
        return self.text.encode(errors="replace")


class Teller:
    """Makes lines of readings, and knows what has been told.

    Attributes:
        dropped: lines that are not sent, by reason.
    """

    def __init__(self, settings: StatsdSettings) -> None:
        self._words = wording_of(settings)
        self._has_buckets = settings.has_buckets
        self._kind: Kind = "h" if settings.distributions == "histogram" else "d"
        self._told = Told()
        self._waiting: Counter[Key] = Counter()
        self.dropped: Counter[str] = Counter()

    def begin(self, readings: Sequence[Reading]) -> None:
        """Take what there is for told."""
        self._told.begin(self._counted(readings))

    def lines(self, readings: Sequence[Reading]) -> list[Line]:
        """Return what is to be told, first what waits from before."""
        counted = self._counted(readings)
        self._told.begin(counted)
        self._give_up(readings)
        made = [*self._gauges(readings), *self._increments(counted)]
        made.sort(key=lambda line: line.key not in self._waiting)
        return made

    def keep(self, lines: Sequence[Line]) -> None:
        """Note which lines could not be sent; what they tell is told later."""
        self._waiting = Counter(line.key for line in lines)

    def _give_up(self, readings: Sequence[Reading]) -> None:
        """Count what series have taken with them that have ended."""
        there = {reading.metric: reading.series for reading in readings}
        for (metric, labels), lines in self._waiting.items():
            if labels not in there.get(metric, ()):
                self.dropped[ENDED] += lines

    def _counted(self, readings: Sequence[Reading]) -> list[Reading]:
        """Return all but last values; where buckets are told, by all up to a bound."""
        counted = [r for r in readings if r.metric.kind != "last_value"]
        if not self._has_buckets:
            return counted
        return [
            replace(r, series={k: _cumulated(t) for k, t in r.series.items()})
            if r.metric.buckets
            else r
            for r in counted
        ]

    # -- lines ---------------------------------------------------------------

    def _gauges(self, readings: Sequence[Reading]) -> Iterator[Line]:
        for reading in readings:
            metric = reading.metric
            if metric.kind != "last_value":
                continue
            for labels, tally in reading.series.items():
                value = metric.unit.convert(tally.last or 0)
                try:
                    text = self._words.gauge(metric, labels, value)
                except ValueError:
                    self.dropped[NOT_FINITE] += 1
                    continue
                if text is None:
                    self.dropped[NO_TAGS] += 1
                    continue
                yield Line(text, (metric, labels), bool)

    def _increments(self, readings: Sequence[Reading]) -> Iterator[Line]:
        for one in self._told.pending(readings):
            match one.metric.kind:
                case "counter":
                    yield from self._count(one)
                case "sum":
                    yield from self._sum(one)
                case "summary":
                    yield from self._count(one, "count")
                    yield from self._sum(one, "sum")
                case _ if self._has_buckets:
                    yield from self._count(one, "count")
                    yield from self._sum(one, "sum")
                    yield from self._buckets(one)
                case _:
                    yield from self._values(one)

    def _count(self, one: Pending, leaf: str = "") -> Iterator[Line]:
        note = partial(setattr, one.told, "count", one.now.count)
        return self._counter(one, one.added.count, note, leaf)

    def _sum(self, one: Pending, leaf: str = "") -> Iterator[Line]:
        note = partial(_note_sum, one, has_count=not leaf)
        amount = one.metric.unit.convert(one.added.total)
        return self._counter(one, amount, note, leaf)

    def _buckets(self, one: Pending) -> Iterator[Line]:
        for at, bound in enumerate(one.metric.buckets):  # the last one is the count
            note = partial(one.told.buckets.__setitem__, at, one.now.buckets[at])
            yield from self._counter(
                one, one.added.buckets[at], note, "bucket", number(bound)
            )

    def _counter(
        self,
        one: Pending,
        amount: Number,
        note: Callable[[], object],
        leaf: str,
        bound: str = "",
    ) -> Iterator[Line]:
        if amount <= 0:  # nothing, or less by what floats leave
            note()
            return
        try:
            text = self._words.line(
                one.metric, one.labels, amount, "c", leaf=leaf, bound=bound
            )
        except ValueError:
            self.dropped[NOT_FINITE] += 1
            note()
            return
        yield Line(text, (one.metric, one.labels), note)

    def _values(self, one: Pending) -> Iterator[Line]:
        """Tell whole events; what is left of sampled ones waits for its other part."""
        metric, added = one.metric, one.added
        counts = [int(events) for events in added.buckets]
        whole = sum(counts)
        if not whole:
            return
        total = (
            added.total if whole == added.count else added.total * whole / added.count
        )
        bounds = list(map(metric.unit.measured_bound, metric.buckets))
        values = spread(bounds, counts, total)
        for at, (events, value) in enumerate(zip(counts, values, strict=True)):
            if events:
                text = self._words.line(
                    *(metric, one.labels, metric.unit.convert(value), self._kind),
                    rate=rate_of(events),
                )
                note = partial(_note_values, one.told, at, events, value)
                yield Line(text, (metric, one.labels), note)


def _cumulated(tally: Tally) -> Tally:
    return replace(tally, buckets=list(accumulate(tally.buckets)))


def _note_sum(one: Pending, *, has_count: bool) -> None:
    one.told.total = one.now.total
    if has_count:  # it tells by itself when a series has begun anew
        one.told.count = one.now.count


def _note_values(told: Tally, at: int, events: int, value: float) -> None:
    told.buckets[at] += events
    told.count += events
    told.total += events * value
