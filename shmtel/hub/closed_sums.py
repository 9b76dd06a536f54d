"""The sums of the closed rings that the table still keeps, by host.

A scrape tells nothing of single rings. Ten thousand dead workers would take it a
tenth of a second all the same, were they added up each time; so what has changed
since the last time is added to what there was, or taken away.

Rules:
- an entry that is closed changes only by being replaced, piece by piece: what it was
  is compared with what it is.
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
from shmtel.hub.table import RingEntry
from shmtel.wire.frames import WorkerCounters
from shmtel.wire.protocol import Position

_NOTHING = Counted({}, NOTHING_CLAIMED, Placed(0))


@dataclass(frozen=True, slots=True)
class ClosedRings:
    """All closed rings at one moment.

    Attributes:
        by_host: how many they are, and their sum, by host id.
        by_state: how many they are, by node and reason.
    """

    by_host: Mapping[str, tuple[int, Counted]]
    by_state: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class _Added:
    """What an entry was when it was added."""

    host_id: str
    state: tuple[str, str]
    position: Position
    counters: WorkerCounters | None
    counted: Counted

    def is_still(self, entry: RingEntry) -> bool:
        """Tell whether the entry is as it was."""
        return (
            self.position is entry.position
            and self.counters is entry.counters
            and self.state == (entry.node, entry.closed_reason)
        )


class ClosedSums:
    """Keeps the sums up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._added: dict[str, _Added] = {}
        self._by_host: dict[str, tuple[int, Counted]] = {}
        self._by_state: Counter[tuple[str, str]] = Counter()

    def of(self, entries: Iterable[RingEntry]) -> ClosedRings:
        """Return the sums of those of these rings that are closed."""
        with self._lock:
            closed = {e.key: e for e in entries if e.closed_reason is not None}
            for key in self._added.keys() - closed.keys():
                self._change(self._added.pop(key), -1)
            for key, entry in closed.items():
                added = self._added.get(key)
                if added is None or not added.is_still(entry):
                    if added is not None:
                        self._change(added, -1)
                    self._added[key] = new = _add(entry)
                    self._change(new, 1)
            return ClosedRings(dict(self._by_host), dict(+self._by_state))

    def _change(self, added: _Added, sign: int) -> None:
        self._by_state[added.state] += sign
        rings, sum_ = self._by_host.get(added.host_id, (0, _NOTHING))
        rings += sign
        if not rings:
            del self._by_host[added.host_id]
            return
        one = added.counted if sign > 0 else _negative(added.counted)
        self._by_host[added.host_id] = (rings, _without_zeros(sum_, one))


def _add(entry: RingEntry) -> _Added:
    state = (entry.node, entry.closed_reason or "")
    counted = counted_of(entry.for_ledger())
    return _Added(entry.host_id, state, entry.position, entry.counters, counted)


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
