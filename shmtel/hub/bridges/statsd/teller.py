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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import accumulate
from typing import NamedTuple

from shmtel.hub.bridges.statsd.settings import StatsdSettings
from shmtel.hub.bridges.statsd.spread import spread
from shmtel.hub.bridges.statsd.told import Key, Pending, Told
from shmtel.hub.bridges.statsd.wording import (
    Kind,
    Words,
    number,
    rate_of,
    wording_of,
)
from shmtel.hub.measures.instrument import Labels
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.standing import Reading
from shmtel.hub.measures.tally import Number, Tally

# Why a line is not sent, and never will be.
NO_TAGS, NOT_FINITE, ENDED = "no_tags", "not_finite", "ended"


Seen = Mapping[Metric, Mapping[Labels, Tally]]


class Bounds(NamedTuple):
    """Bounds of buckets: in the unit that is measured, and as text of the other."""

    measured: list[float]
    texts: list[str]


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
        self._wording = wording_of(settings)
        self._has_buckets = settings.has_buckets
        self._kind: Kind = "h" if settings.distributions == "histogram" else "d"
        self._told = Told()
        self._seen: Seen = {}  # what the last flush has looked at
        self._looked: Seen = {}  # and what this one does
        self._waiting: Counter[Key] = Counter()
        self.dropped: Counter[str] = Counter()

    def begin(self, readings: Sequence[Reading]) -> None:
        """Take what there is for told."""
        counted = filter(_is_counted, readings)
        self._told.begin(
            r if self._told.knows(r.metric) else self._cumulated(r) for r in counted
        )

    def lines(self, readings: Sequence[Reading]) -> list[Line]:
        """Return what is to be told, first what waits from before."""
        self.begin(readings)
        self._looked = {reading.metric: reading.series for reading in readings}
        self._give_up()
        changed = [
            self._cumulated(self._changed(r)) for r in readings if _is_counted(r)
        ]
        made = [*self._gauges(readings), *self._increments(changed)]
        made.sort(key=lambda line: line.key not in self._waiting)
        return made

    def keep(self, lines: Sequence[Line]) -> None:
        """End a flush: of these lines, which could not be sent, the next one tells."""
        self._waiting = Counter(line.key for line in lines)
        self._seen = self._looked

    def _give_up(self) -> None:
        """Count what series have taken with them that have ended."""
        for (metric, labels), lines in self._waiting.items():
            if labels not in self._looked.get(metric, ()):
                self.dropped[ENDED] += lines

    def _changed(self, reading: Reading) -> Reading:
        """Return a reading without what has rested: that is another tally, or none."""
        metric, seen = reading.metric, self._seen.get(reading.metric, {})
        series = {
            labels: tally
            for labels, tally in reading.series.items()
            if seen.get(labels) is not tally or (metric, labels) in self._waiting
        }
        return replace(reading, series=series)

    def _cumulated(self, reading: Reading) -> Reading:
        """Return buckets, where they are told, by all up to a bound."""
        if not self._has_buckets or not reading.metric.buckets:
            return reading
        series = {k: _up_to_bounds(tally) for k, tally in reading.series.items()}
        return replace(reading, series=series)

    # -- lines ---------------------------------------------------------------

    def _gauges(self, readings: Sequence[Reading]) -> Iterator[Line]:
        for reading in readings:
            metric = reading.metric
            if _is_counted(reading):
                continue
            for labels, tally in reading.series.items():
                value = metric.unit.convert(tally.last or 0)
                try:
                    text = self._wording.words(metric, labels).gauge(value)
                except ValueError:
                    self.dropped[NOT_FINITE] += 1
                    continue
                if text is None:
                    self.dropped[NO_TAGS] += 1
                    continue
                yield Line(text, (metric, labels), bool)

    def _increments(self, readings: Sequence[Reading]) -> Iterator[Line]:
        for one in self._told.pending(readings):
            words = self._wording.words(one.metric, one.labels)
            match one.metric.kind:
                case "counter":
                    yield from self._count(one, words)
                case "sum":
                    yield from self._sum(one, words)
                case "summary":
                    yield from self._count(one, words, "count")
                    yield from self._sum(one, words, "sum")
                case _ if self._has_buckets:
                    yield from self._count(one, words, "count")
                    yield from self._sum(one, words, "sum")
                    yield from self._buckets(one, words)
                case _:
                    yield from self._values(one, words)

    def _count(self, one: Pending, words: Words, leaf: str = "") -> Iterator[Line]:
        note = partial(setattr, one.told, "count", one.now.count)
        return self._counter(one, words, one.added.count, note, leaf)

    def _sum(self, one: Pending, words: Words, leaf: str = "") -> Iterator[Line]:
        note = partial(_note_sum, one, has_count=not leaf)
        amount = one.metric.unit.convert(one.added.total)
        return self._counter(one, words, amount, note, leaf)

    def _buckets(self, one: Pending, words: Words) -> Iterator[Line]:
        texts = _bounds_of(one.metric).texts
        for at, text in enumerate(texts):  # the last bucket is the count
            amount = one.added.buckets[at]
            if amount:
                note = partial(one.told.buckets.__setitem__, at, one.now.buckets[at])
                yield from self._counter(one, words, amount, note, "bucket", text)

    def _counter(
        self,
        one: Pending,
        words: Words,
        amount: Number,
        note: Callable[[], object],
        leaf: str,
        bound: str = "",
    ) -> Iterator[Line]:
        if amount <= 0:  # nothing, or less by what floats leave
            note()
            return
        try:
            text = words.line(amount, "c", leaf=leaf, bound=bound)
        except ValueError:
            self.dropped[NOT_FINITE] += 1
            note()
            return
        yield Line(text, (one.metric, one.labels), note)

    def _values(self, one: Pending, words: Words) -> Iterator[Line]:
        """Tell whole events; what is left of sampled ones waits for its other part."""
        added, convert = one.added, one.metric.unit.convert
        counts = [int(events) for events in added.buckets]
        whole = sum(counts)
        if not whole:
            return
        total = added.total
        if whole != added.count:
            total = total * whole / added.count
        values = spread(_bounds_of(one.metric).measured, counts, total)
        for at, (events, value) in enumerate(zip(counts, values, strict=True)):
            if events:
                rate = rate_of(events)
                text = words.line(convert(value), self._kind, rate=rate)
                note = partial(_note_values, one.told, at, events, value)
                yield Line(text, (one.metric, one.labels), note)


@lru_cache(maxsize=1_024)
def _bounds_of(metric: Metric) -> Bounds:
    return Bounds(
        list(map(metric.unit.measured_bound, metric.buckets)),
        list(map(number, metric.buckets)),
    )


def _is_counted(reading: Reading) -> bool:
    return reading.metric.kind != "last_value"


def _up_to_bounds(tally: Tally) -> Tally:
    return replace(tally, buckets=list(accumulate(tally.buckets)))


def _note_sum(one: Pending, *, has_count: bool) -> None:
    one.told.total = one.now.total
    if has_count:  # it tells by itself when a series has begun anew
        one.told.count = one.now.count


def _note_values(told: Tally, at: int, events: int, value: float) -> None:
    told.buckets[at] += events
    told.count += events
    told.total += events * value
