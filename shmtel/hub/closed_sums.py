"""The sums of the rings that the table still keeps, and shows as closed, by host.

A scrape tells nothing of single rings. Ten thousand dead workers would take it a
tenth of a second all the same, were they added up each time; so what has changed
since the last time is added to what there was, or taken away.

Rules:
- what is shown of an entry changes only by being replaced: what it was is compared
  with what it is.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shmtel.accounting.fleet import counted_of
from shmtel.accounting.rings import (
    NOTHING_CLAIMED,
    Claimed,
    Counted,
    Placed,
    sum_of_counted,
)
from shmtel.hub.ring_entry import RingEntry, Shown

_NOTHING = Counted({}, NOTHING_CLAIMED, Placed(0))


@dataclass(frozen=True, slots=True)
class ClosedRings:
    """All closed rings at one moment.

    Attributes:
        by_host: how many they are, and their sum, by host id.
        by_reason: how many they are, by host id and reason.
    """

    by_host: Mapping[str, tuple[int, Counted]]
    by_reason: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class _Added:
    """What was shown of an entry when it was added."""

    host_id: str
    reason: str
    shown: Shown
    counted: Counted


class ClosedSums:
    """Keeps the sums up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._added: dict[str, _Added] = {}
        self._by_host: dict[str, tuple[int, Counted]] = {}
        self._by_reason: Counter[tuple[str, str]] = Counter()

    def of(self, rings: Iterable[tuple[RingEntry, Shown]]) -> ClosedRings:
        """Return the sums of those of these rings that are closed."""
        with self._lock:
            closed = {entry.key: (entry, s) for entry, s in rings if s.closed_reason}
            for key in self._added.keys() - closed.keys():
                self._change(self._added.pop(key), -1)
            for key, (entry, now) in closed.items():
                added = self._added.get(key)
                if added is None or added.shown is not now:
                    if added is not None:
                        self._change(added, -1)
                    self._added[key] = new = _add(entry, now)
                    self._change(new, 1)
            return ClosedRings(dict(self._by_host), dict(+self._by_reason))

    def _change(self, added: _Added, sign: int) -> None:
        self._by_reason[added.host_id, added.reason] += sign
        rings, sum_ = self._by_host.get(added.host_id, (0, _NOTHING))
        rings += sign
        if not rings:
            del self._by_host[added.host_id]
            return
        one = added.counted if sign > 0 else _negative(added.counted)
        self._by_host[added.host_id] = (rings, _without_zeros(sum_, one))


def _add(entry: RingEntry, shown: Shown) -> _Added:
    counted = counted_of(entry.for_metrics(shown))
    return _Added(entry.host_id, shown.closed_reason or "", shown, counted)


def _without_zeros(*parts: Counted) -> Counted:
    """Return the sum, without reasons that are not there any more."""
    totals, claims, placed = sum_of_counted(parts)
    dropped = {reason: events for reason, events in claims.dropped.items() if events}
    own = (claims.committed, claims.sampled_out, claims.filtered, claims.disabled)
    totals = {outcome: events for outcome, events in totals.items() if events}
    return Counted(totals, Claimed(*own, dropped), placed)


def _negative(counted: Counted) -> Counted:
    claims = counted.claims
    return Counted(
        {outcome: -events for outcome, events in counted.totals.items()},
        Claimed(
            *(-claims.committed, -claims.sampled_out, -claims.filtered),
            -claims.disabled,
            {reason: -events for reason, events in claims.dropped.items()},
        ),
        Placed(*(-part for part in counted.placed)),
    )
