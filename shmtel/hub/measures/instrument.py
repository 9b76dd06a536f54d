"""A metric that is attached: how it takes a group of events into its tallies.

Groups, not events: all of a group are of one series and were sampled alike, so that
the loops run in C. Each counts as the inverse of the probability with which it was
kept (Horvitz-Thompson), 1 where nothing was sampled.

Rules:
- pure: what is taken goes into the `Delta` of a batch, and nowhere else.
"""

import logging
from bisect import bisect_left
from builtins import sum as sum_of
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import repeat
from math import isfinite
from typing import Any

from shmtel.hub.measures.conditions import matches
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.tally import Exemplar, Number, Tally, bounded
from shmtel.hub.records import Record

_log = logging.getLogger(__name__)

# Why an event that a metric is about is not in it.
FILTERED, MISSING, NEGATIVE = "filtered", "missing", "negative"
NOT_FINITE, RAISED, ENDED = "not_finite", "raised", "ended"
_WHOLE = 1 << 32
_FEW = 8  # values, for which a Counter costs more than it saves

Labels = tuple[str, ...]


class Delta:
    """What the events of some segments add to all metrics."""

    __slots__ = ("skipped", "tallies")

    def __init__(self) -> None:
        self.tallies: dict[Instrument, dict[Labels, Tally]] = {}
        self.skipped: Counter[tuple[str, str]] = Counter()  # by metric and reason

    def tally(self, instrument: "Instrument", labels: Labels) -> Tally:
        """Return the tally of a series."""
        series = self.tallies.get(instrument)
        if series is None:
            series = self.tallies[instrument] = {}
        tally = series.get(labels)
        if tally is None:
            tally = series[labels] = Tally()
        return tally

    def add(self, other: "Delta") -> None:
        """Add a later one, which is not used any more."""
        for instrument, series in other.tallies.items():
            mine = self.tallies.setdefault(instrument, series)
            if mine is not series:
                for labels, tally in series.items():
                    if mine.setdefault(labels, tally) is not tally:
                        mine[labels].add(tally)
        self.skipped.update(other.skipped)


def weight_of(threshold: int) -> Number:
    """Return for how many events one stands that survived a threshold."""
    return _WHOLE / (_WHOLE - threshold) if threshold else 1


@dataclass(slots=True, eq=False)
class Instrument:
    """An attached metric."""

    metric: Metric
    fingerprint: str = field(init=False)  # what its series are kept under
    bounds: list[Number] = field(init=False)  # of buckets, as measured
    has_raised: bool = False

    def __post_init__(self) -> None:
        self.fingerprint = _fingerprint(self.metric)
        self.bounds = list(map(self.metric.unit.measured_bound, self.metric.buckets))

    def left_out(self, metadata: Mapping[str, Any]) -> bool:
        """Tell whether conditions keep an event out."""
        keep, drop = self.metric.keep, self.metric.drop
        is_kept = keep(metadata) if callable(keep) else matches(keep or {}, metadata)
        if not is_kept:
            return True
        if callable(drop):
            return bool(drop(metadata))
        return drop is not None and matches(drop, metadata)

    def take(
        self,
        delta: Delta,
        labels: Labels,
        records: Sequence[Record],
        values: Sequence[Number] | None,
        ring: str | None = None,
    ) -> None:
        """Take events of one series that share a threshold.

        Args:
            values: of the measurement, fewer where some have none; None: it counts.
            ring: what keeps the series alive; None: it needs nothing.
        """
        if values is not None:
            values = self._judged(values, len(records), delta)
            if not values:
                return
        weight = weight_of(records[0].threshold)
        tally = delta.tally(self, labels)
        number = len(records if values is None else values)
        tally.count = bounded(tally.count + number * weight)
        if ring is not None:
            tally.rings.add(ring)
        if values is None:
            self._exemplify(tally, 0, records[-1], 1)
        elif self.metric.kind == "last_value":
            self._keep_last(tally, values[-1], records[-1].seq)
        else:
            tally.total = bounded(tally.total + sum_of(values) * weight)
            if self.bounds:
                self._fill(tally, records, values, weight)

    def _judged(
        self, values: Sequence[Number], number: int, delta: Delta
    ) -> Sequence[Number]:
        """Return the values that can be measured, and count the others."""
        if len(values) < number:
            delta.skipped[self.metric.name, MISSING] += number - len(values)
        if values and not isfinite(sum_of(values)):
            finite = [value for value in values if isfinite(value)]
            if len(finite) < len(values):
                delta.skipped[self.metric.name, NOT_FINITE] += len(values) - len(finite)
            values = finite
        if self.metric.kind != "last_value" and values and min(values) < 0:
            positive = [value for value in values if value >= 0]
            delta.skipped[self.metric.name, NEGATIVE] += len(values) - len(positive)
            values = positive
        return values

    def _fill(
        self,
        tally: Tally,
        records: Sequence[Record],
        values: Sequence[Number],
        weight: Number,
    ) -> None:
        buckets = tally.buckets or [0] * (len(self.bounds) + 1)
        places = map(bisect_left, repeat(self.bounds), values)
        is_many = len(values) > _FEW
        counts = Counter(places).items() if is_many else zip(places, repeat(1))
        for at, events in counts:
            buckets[at] = bounded(buckets[at] + events * weight)
        tally.buckets = buckets
        if len(values) == len(records):  # else nobody knows whose value it is
            greatest = max(values)
            at = bisect_left(self.bounds, greatest)
            self._exemplify(tally, at, records[values.index(greatest)], greatest)

    def _keep_last(self, tally: Tally, value: Number, seq: int) -> None:
        if seq >= tally.last_seq:  # groups come in any order
            tally.last, tally.last_seq = bounded(value), seq

    def _exemplify(self, tally: Tally, at: int, record: Record, value: Number) -> None:
        if record.correlation_id is not None:
            tally.exemplars[at] = Exemplar(
                record.correlation_id, value, record.timestamp_ns
            )

    def note_raised(self, delta: Delta, error: BaseException) -> None:
        """Count an event that a function of the definition did not like."""
        delta.skipped[self.metric.name, RAISED] += 1
        if not self.has_raised:  # one line says enough
            self.has_raised = True
            _log.warning(
                "metric %r: its function raised; such events are counted as skipped",
                self.metric.name,
                exc_info=error,
            )


def _fingerprint(metric: Metric) -> str:
    """Return the same for definitions whose counts may go on in each other.

    Functions cannot be compared: it says only where there are some.
    """
    told = repr(
        [
            *(metric.name, metric.kind, metric.patterns, dict(metric.tags)),
            *(metric.unit.measured, metric.unit.told, metric.buckets),
            *(
                "function" if callable(part) else part
                for part in (metric.measurement, metric.keep, metric.drop)
            ),
            metric.tag_values is not None,
        ]
    )
    return blake2b(told.encode(), digest_size=12).hexdigest()
