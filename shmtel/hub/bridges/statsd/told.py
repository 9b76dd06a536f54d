"""What a server has been told of each series.

It is kept as a reading, so what is still to be told are the increments since then. A
line that was sent moves it on by what it has told, and one that was not leaves it.

Rules:
- what stood when a metric was first seen is no increment: it was counted for, and
  told by, whoever was there before.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from shmtel.hub.bridges.base import increments, is_new
from shmtel.hub.measures.instrument import Labels
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.standing import Reading
from shmtel.hub.measures.tally import Tally

Key = tuple[Metric, Labels]


@dataclass(frozen=True, slots=True)
class Pending:
    """A series of which something is to be told."""

    metric: Metric
    labels: Labels
    added: Tally
    now: Tally
    told: Tally  # is moved on by who tells it


class Told:
    """The series that a server knows, as far as it knows them."""

    def __init__(self) -> None:
        self._series: dict[Metric, dict[Labels, Tally]] = {}

    def knows(self, metric: Metric) -> bool:
        """Tell whether a metric was seen before."""
        return metric in self._series

    def begin(self, readings: Iterable[Reading]) -> None:
        """Take what metrics that are new stand at for told; forget those that ended."""
        before, self._series = self._series, {}
        for reading in readings:
            metric, now = reading.metric, reading.series
            if metric in before:
                told = before[metric]
                self._series[metric] = {k: told[k] for k in told if k in now}
            else:
                self._series[metric] = {k: tally.copy() for k, tally in now.items()}

    def pending(self, readings: Sequence[Reading]) -> Iterator[Pending]:
        """Return what is to be told, of series that are known by `begin`."""
        known = [Reading(metric, told) for metric, told in self._series.items()]
        now = {reading.metric: reading.series for reading in readings}
        for metric, series in increments(known, readings):
            for labels, added in series.items():
                tally, told = now[metric][labels], self._series[metric].get(labels)
                if told is None or is_new(told, tally):
                    told = Tally(buckets=[0] * len(tally.buckets))
                    self._series[metric][labels] = told
                yield Pending(metric, labels, added, tally, told)
