"""The state of a collector at one moment, for metrics.

Live rings count by their positions, rings that are gone by the tally; a ring that is
written down and still there counts as gone. So no counter goes back when a ring goes.

Of a flight recorder's ring, what was overwritten unread counts as still in the ring
until it is drained up to there.

Rules:
- taken in the collector's thread, and read in any.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from shmtel.accounting.accounts import Account
from shmtel.accounting.counts import Claims
from shmtel.accounting.rings import (
    Counted,
    Placed,
    account_of,
    sum_of_counted,
    under_way,
)
from shmtel.wire.frames import HostCounters
from shmtel_collector.counting import spooled_seq_of
from shmtel_collector.finished import EVICTED, FoldedRings
from shmtel_collector.fleet import Fleet
from shmtel_collector.host_counts import HostCounts
from shmtel_collector.last_account import QUARANTINED
from shmtel_collector.link import Link
from shmtel_collector.ring import Ring, State
from shmtel_collector.settlement import to_table
from shmtel_collector.stripped import Stripped
from shmtel_collector.tally import (
    NAMELESS,
    GoneRings,
    Key,
    Tally,
    counted_of,
    key_of,
)

LIVE, ENDING = "live", "ending"


class Fill(NamedTuple):
    """How full the rings of a worker are, in bytes."""

    size: int
    used: int
    high_water: int


class OwnEvents(NamedTuple):
    """What the collector could not tell of itself: live counters.

    Attributes:
        left_out: own events that were not written, by kind.
        unavailable: workers that could not be measured, by reason.
    """

    left_out: Mapping[str, int]
    unavailable: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Census:
    """Everything that is counted."""

    namespace: str
    gone: Mapping[Key, GoneRings]
    live: Sequence[tuple[Key, Counted]]
    workers: Mapping[tuple[str, str], int]  # by service and state
    fills: Sequence[tuple[Key, Fill]]
    host: HostCounters
    link: Link
    epoch: int
    policy_version: int
    own: OwnEvents
    # By event name and reason.
    stripped_events: Mapping[tuple[str, str], int] = field(default_factory=dict)
    stripped_keys: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def accounts(self) -> dict[Key, Account]:
        """Return the accounts of all rings, gone or not."""
        rings: dict[Key, list[Counted]] = {}
        for key, counted in self.live:
            rings.setdefault(key, []).append(counted)
        sums = {key: account_of(sum_of_counted(group)) for key, group in rings.items()}
        for key, gone in self.gone.items():
            sums[key] = gone.account.plus(sums.get(key, Account()))
        return sums


class CensusTaker:
    """Takes a census whenever somebody asks."""

    def __init__(
        self,
        namespace: str,
        epoch: int,
        fleet: Fleet,
        tally: Tally,
        counts: HostCounts,
        link: Callable[[int], Link],
        policy_version: Callable[[], int],
        stripped: Stripped,
        own: OwnEvents,
    ) -> None:
        self._namespace = namespace
        self._epoch = epoch
        self._fleet = fleet
        self._tally = tally
        self._counts = counts
        self._link = link
        self._policy_version = policy_version
        self._stripped = stripped
        self._own = own
        self._claims: dict[bytes, Claims] = {}  # as they were last read

    def take(self) -> Census:
        """Return the state now.

        Raises:
            TallyError: the sums cannot be read.
        """
        gone = self._tally.sums()
        evicted = self._counts.evicted_by_workers()
        if evicted.rings:
            gone[NAMELESS] = gone.get(NAMELESS, GoneRings()).plus(_evicted(evicted))
        live = list(self._fleet.rings.values())
        self._read_claims(live)
        return Census(
            namespace=self._namespace,
            gone=gone,
            live=[
                (_key(ring), _counted(ring, self._claims[ring.ring_id]))
                for ring in live
                if not ring.is_counted
            ]
            + self._spooled(),
            workers=Counter(
                (ring.worker.service, _state(ring)) for ring in live if not ring.is_own
            ),
            fills=[(_key(ring), _fill(ring)) for ring in live],
            host=self._counts.frame(),
            link=self._link(time.monotonic_ns()),
            epoch=self._epoch,
            policy_version=self._policy_version(),
            own=OwnEvents(*map(dict, self._own)),
            stripped_events=dict(self._stripped.events),
            stripped_keys=dict(self._stripped.keys),
        )

    def _spooled(self) -> list[tuple[Key, Counted]]:
        """Return the rings of which nothing is left but what is in the spool."""
        return [
            (key_of(ring.service, ring.worker_index), counted_of(ring))
            for ring in self._tally.spooled()
            if ring.ring_id not in self._fleet.rings
        ]

    def _read_claims(self, rings: Sequence[Ring]) -> None:
        """Read what workers claim; what cannot be read is as it was before."""
        before, self._claims = self._claims, {}
        for ring in rings:
            claims = ring.source.claims() or before.get(ring.ring_id, Claims())
            self._claims[ring.ring_id] = claims


def _counted(ring: Ring, claims: Claims) -> Counted:
    source = ring.source
    if source.damage is not None:  # then a claim is worth what the bytes can hold
        plausible = min(claims.committed, source.claimed_seq())
        claims = replace(claims, committed=plausible)
    counted = under_way(
        to_table(source.totals),
        claims,
        spooled_seq=spooled_seq_of(ring),
        sent_seq=ring.sent_seq,
    )
    if source.damage is None and source.tail() == source.head:
        # A ring without records has no room for events: they would be missing.
        placed = Placed(counted.placed.committed, counted.placed.spooled)
        counted = counted._replace(placed=placed)
    return counted


def _evicted(folded: FoldedRings) -> GoneRings:
    counted = Counted(folded.totals, folded.claims, Placed(folded.last_seq))
    return GoneRings({EVICTED: folded.rings}, account_of(counted))


def _key(ring: Ring) -> Key:
    return key_of(ring.worker.service, ring.worker.worker_index)


def _state(ring: Ring) -> str:
    if ring.source.damage is not None:
        return QUARANTINED
    is_over = ring.end is not None or ring.state in (State.CLOSING, State.CLOSED)
    return ENDING if is_over else LIVE


def _fill(ring: Ring) -> Fill:
    source = ring.source
    used = min(max(source.tail() - source.head, 0), source.capacity)
    # The worker notes it when it looks for room, so it may lag.
    high_water = min(max(source.high_water(), used), source.capacity)
    return Fill(source.capacity, used, high_water)
