"""What bridges for metrics have in common.

A bridge that is asked, as Prometheus asks, tells what metrics stand at. One that
tells by itself keeps the last readings and sends what was added since.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from shmtel.hub.measures.instrument import Labels
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.standing import Reading
from shmtel.hub.measures.tally import Number, Tally


class MetricSource(Protocol):
    """Where a bridge reads: the `measures` of a hub."""

    def read(self) -> Sequence[Reading]:
        """Return what all metrics stand at, as committed."""


def increments(
    before: Sequence[Reading], now: Sequence[Reading]
) -> list[tuple[Metric, dict[Labels, Tally]]]:
    """Return what series have seen between two readings, without those that rest.

    A series that is less than it was has ended and begun anew, and is new like one
    that was not there before: what it stands at now was added. Last values are those
    that are now.
    """
    known = {reading.metric: reading.series for reading in before}
    return [
        (reading.metric, _added(known.get(reading.metric, {}), reading.series))
        for reading in now
    ]


def _added(
    before: Mapping[Labels, Tally], now: Mapping[Labels, Tally]
) -> dict[Labels, Tally]:
    pairs = ((labels, tally, before.get(labels)) for labels, tally in now.items())
    added = {labels: _difference(was, tally) for labels, tally, was in pairs}
    return {labels: tally for labels, tally in added.items() if _has_any(tally)}


def is_new(was: Tally | None, now: Tally) -> bool:
    """Tell whether a series has begun since the reading before."""
    return was is None or now.count < was.count


def _has_any(tally: Tally) -> bool:
    """Tell whether anything was added; a bridge may have told a part before."""
    return bool(tally.count or tally.total or any(tally.buckets))


def _difference(was: Tally | None, now: Tally) -> Tally:
    if was is None or is_new(was, now):
        return now
    return Tally(
        now.count - was.count,
        now.total - was.total,
        _less(now.buckets, was.buckets),
        now.last,
        {at: e for at, e in now.exemplars.items() if was.exemplars.get(at) != e},
    )


def _less(now: Sequence[Number], was: Sequence[Number]) -> list[Number]:
    pairs = zip(now, was or [0] * len(now), strict=True)
    return [one - other for one, other in pairs]
