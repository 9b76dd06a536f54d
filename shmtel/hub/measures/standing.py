"""The series of all metrics as they are on record.

Rules:
- a series is never changed, but replaced, so that a reader needs no copy of it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from shmtel.hub.measures.instrument import Instrument, Labels
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.tally import Number, Tally
from shmtel.safe_text import OTHER

Key = tuple[Instrument, Labels]


@dataclass(frozen=True, slots=True)
class Series:
    """One series."""

    tally: Tally
    updated_s: int
    ends_s: float | None = None  # its worker is gone; when it goes

    def is_over(self, metric: Metric, now_s: float) -> bool:
        """Tell whether its time is over."""
        if self.ends_s is not None and now_s >= self.ends_s:
            return True
        expiry_s = metric.expiry_s
        return expiry_s is not None and now_s - self.updated_s >= expiry_s


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric at one moment.

    Attributes:
        series: by the values of the tags; numbers are as measured, and the metric's
            unit converts them.
        folded: events that are counted in `(other)`, for want of room.
        retired: events that were counted in series that are gone.
    """

    metric: Metric
    series: Mapping[Labels, Tally]
    folded: Number = 0
    retired: Number = 0


@dataclass(slots=True)
class Standing:
    """All series, and what has to be found of them."""

    series: dict[Instrument, dict[Labels, Series]] = field(default_factory=dict)
    retired: dict[Instrument, Number] = field(default_factory=dict)
    by_ring: defaultdict[str, set[Key]] = field(
        default_factory=lambda: defaultdict(set)
    )
    mortal: set[Key] = field(default_factory=set)  # those whose time may be over

    def get(self, key: Key) -> Series | None:
        """Return a series."""
        return self.series[key[0]].get(key[1])

    def all(self) -> Iterator[tuple[Key, Series]]:
        """Return every series."""
        for instrument, series in self.series.items():
            for labels, one in series.items():
                yield (instrument, labels), one

    def put(self, key: Key, series: Series | None) -> None:
        """Replace a series, or remove it."""
        instrument, labels = key
        before = self.series[instrument].pop(labels, None)
        for ring in before.tally.rings if before else ():
            self.by_ring[ring].discard(key)
            if not self.by_ring[ring]:
                del self.by_ring[ring]
        self.mortal.discard(key)
        if series is None:
            return
        self.series[instrument][labels] = series
        for ring in series.tally.rings:
            self.by_ring[ring].add(key)
        if series.ends_s is not None or instrument.metric.expiry_s is not None:
            self.mortal.add(key)

    def forget(self, instrument: Instrument) -> list[Labels]:
        """Remove all series of a metric; return their labels."""
        labels = list(self.series[instrument])
        for one in labels:
            self.put((instrument, one), None)
        del self.series[instrument], self.retired[instrument]
        return labels


def other(labels: Labels) -> Labels:
    """Return the labels of the series of all that find no room."""
    return (OTHER,) * len(labels)


def reading(
    instrument: Instrument,
    series: Mapping[Labels, Series],
    retired: Number,
    now_s: float,
) -> Reading:
    """Return what a metric stands at, without what is over."""
    metric = instrument.metric
    live = {k: s.tally for k, s in series.items() if not s.is_over(metric, now_s)}
    gone = [s.tally.count for k, s in series.items() if k not in live]
    if not metric.tags and metric.kind in ("counter", "sum") and not live:
        live = {(): Tally()}  # that nothing was counted is told as 0
    folded = live.get(other(tuple(metric.tags)), Tally()) if metric.tags else Tally()
    return Reading(metric, live, folded.count, retired + sum(gone))
