"""The accounts of rings, from their positions and what their workers claim.

A ring that is served has come to several places: up to `settled` its events are
answered for, up to `spooled` they have left the ring, up to `sent` they were handed
to the stream; what the worker has committed beyond is still in the ring.
"""

from collections.abc import Iterable, Mapping
from operator import add
from typing import NamedTuple, Protocol

from shmtel.accounting.accounts import Account, account_of_totals
from shmtel.wire.frames import WorkerCounters
from shmtel.wire.limits import COUNTED_MAX

# Reasons of an end behind which a worker may have gone on, or written anything.
_PROVES_NOTHING = frozenset({"retired", "quarantined", "evicted"})


class ClaimedCounts(Protocol):
    """A worker's own counters, wherever they were read."""

    @property
    def committed(self) -> int:
        """Events in the ring, ever."""

    @property
    def sampled_out(self) -> int:
        """Left out by a sampling decision."""

    @property
    def filtered(self) -> int:
        """Left out by a name pattern."""

    @property
    def disabled(self) -> int:
        """Left out by a toggle."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Refused before commit, by reason."""


class Placed(NamedTuple):
    """How many events were committed, and how many of them are on their way."""

    committed: int
    spooled: int = 0
    in_flight: int = 0
    in_ring: int = 0


class Counted(NamedTuple):
    """What an account is made of: totals, claims, and what is on its way."""

    totals: Mapping[int, int]
    claims: ClaimedCounts
    placed: Placed


def counters_of(claims: ClaimedCounts) -> WorkerCounters:
    """Return what crosses the stream of a worker's own counters."""
    return WorkerCounters(
        claims.committed,
        claims.sampled_out,
        claims.filtered,
        claims.disabled,
        dict(claims.dropped),
    )


def under_way(
    totals: Mapping[int, int],
    claims: ClaimedCounts,
    *,
    spooled_seq: int = 0,
    sent_seq: int = 0,
) -> Counted:
    """Return what is known of a ring that is served; `totals` are its settled ones."""
    settled = sum(totals.values())
    spooled = max(spooled_seq, settled)
    sent = max(sent_seq, spooled)
    committed = max(claims.committed, sent)
    placed = Placed(committed, spooled - settled, sent - spooled, committed - sent)
    return Counted(totals, claims, placed)


def closed(
    reason: str,
    last_seq: int,
    totals: Mapping[int, int],
    claims: ClaimedCounts,
    spooled: int = 0,
) -> Counted:
    """Return what is known of a ring that has ended; `spooled` events are under way.

    The worker's counter never leads the records, so what it claims beyond them is
    missing; but past the end of a retired or damaged ring it proves nothing.
    """
    claimed = 0 if reason in _PROVES_NOTHING else claims.committed
    return Counted(totals, claims, Placed(max(claimed, last_seq), spooled))


def account_of(counted: Counted) -> Account:
    """Return the account of one ring, or of what was summed up before."""
    totals, claims, placed = counted
    return account_of_totals(
        totals,
        dropped=dict(claims.dropped),
        sampled_out=claims.sampled_out,
        filtered=claims.filtered,
        disabled=claims.disabled,
        **placed._asdict(),
    )


def at_least(before: WorkerCounters, now: WorkerCounters) -> WorkerCounters:
    """Return what a worker claims that has claimed as much before."""
    if _is_at_least(before, now):  # as nearly always
        return now
    dropped = dict(now.dropped)
    for reason, events in before.dropped.items():
        if reason in dropped or len(dropped) < COUNTED_MAX:
            dropped[reason] = max(events, dropped.get(reason, 0))
    return WorkerCounters(
        max(before.committed, now.committed),
        max(before.sampled_out, now.sampled_out),
        max(before.filtered, now.filtered),
        max(before.disabled, now.disabled),
        dropped,
    )


def _is_at_least(before: WorkerCounters, now: WorkerCounters) -> bool:
    return (
        now.committed >= before.committed
        and now.sampled_out >= before.sampled_out
        and now.filtered >= before.filtered
        and now.disabled >= before.disabled
        and all(now.dropped.get(key, 0) >= n for key, n in before.dropped.items())
    )


class Claimed(NamedTuple):
    """Sums of claims."""

    committed: int
    sampled_out: int
    filtered: int
    disabled: int
    dropped: Mapping[str, int]


NOTHING_CLAIMED = Claimed(0, 0, 0, 0, {})


def sum_of_counted(rings: Iterable[Counted]) -> Counted:
    """Return many rings as one. Ten thousand take a fraction of a second."""
    totals: dict[int, int] = {}
    dropped: dict[str, int] = {}
    claimed, placed = [0] * 4, [0] * 4
    for ring in rings:
        claims = ring.claims
        own = (claims.committed, claims.sampled_out, claims.filtered, claims.disabled)
        claimed = list(map(add, claimed, own))
        placed = list(map(add, placed, ring.placed))
        for outcome, events in ring.totals.items():
            totals[outcome] = totals.get(outcome, 0) + events
        for reason, events in claims.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + events
    committed, sampled_out, filtered, disabled = claimed
    claims_of_all = Claimed(committed, sampled_out, filtered, disabled, dropped)
    return Counted(totals, claims_of_all, Placed(*placed))
