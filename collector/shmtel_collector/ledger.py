"""The two laws of accounting, computed for a namespace.

    emitted   = committed + dropped + sampled_out + filtered + disabled
    committed = delivered + rejected + sampled_out_by_collector
                + filtered_by_collector + lost + spooled + in_flight + in_ring

The first is what a worker says of its calls. The second follows each committed
event to where it is now; what it cannot place is `unaccounted`: 0 unless
something is wrong.

Sources: the rings, read-only and without a lock, and the state database with
the rings that are gone. No collector is needed. A ring that is in both (it is
removed just after it was written down) counts as finished.

How many events a ring holds is taken from its settlement (acknowledged), from
`sent_seq` (handed to the stream), and from the worker's committed counter,
which equals the last seq in the records, or lags by one after a kill.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shmtel import _ring, segments
from shmtel.errors import SegmentError
from shmtel_collector.config import state_path
from shmtel_collector.finished import Claims, FinishedRing, FoldedRings, add_counts
from shmtel_collector.lifeline import CLOSED, VANISHED
from shmtel_collector.state import read_finished
from shmtel_collector.worker import worker_of

_ATTEMPTS = 5  # at a consistent look at a ring that moves
LIVE = "live"
FOLDED = "folded"


@dataclass(frozen=True, slots=True)
class Account:
    """Where the events of one or more rings are."""

    committed: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    sampled_out: int = 0
    filtered: int = 0
    disabled: int = 0
    delivered: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    sampled_out_by_collector: int = 0
    filtered_by_collector: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    spooled: int = 0
    in_flight: int = 0
    in_ring: int = 0

    @property
    def emitted(self) -> int:
        """Return the calls that have returned."""
        refused = sum(self.dropped.values())
        left_out = self.sampled_out + self.filtered + self.disabled
        return self.committed + refused + left_out

    @property
    def unaccounted(self) -> int:
        """Return the committed events that are nowhere; 0 is the promise."""
        settled = self.delivered + sum(self.rejected.values()) + sum(self.lost.values())
        left_out = self.sampled_out_by_collector + self.filtered_by_collector
        on_the_way = self.spooled + self.in_flight + self.in_ring
        return self.committed - settled - left_out - on_the_way

    def plus(self, other: "Account") -> "Account":
        """Return the sum of both."""
        ours, theirs = asdict(self), asdict(other)
        return Account(**{name: _add(ours[name], theirs[name]) for name in ours})

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, in the order of the laws."""
        return {
            "emitted": self.emitted,
            **asdict(self),
            "unaccounted": self.unaccounted,
        }


@dataclass(frozen=True, slots=True)
class RingAccount:
    """One ring, or (`state` folded) the sum of many that are long gone."""

    ring_id: str
    worker_id: str
    pool_name: str
    pid: int
    state: str  # live, closed, vanished, retired, quarantined, folded
    account: Account

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        names = ("ring_id", "worker_id", "pool_name", "pid", "state")
        identity = {name: getattr(self, name) for name in names}
        return identity | self.account.to_json()


@dataclass(frozen=True, slots=True)
class Ledger:
    """All rings of a namespace, and segments that could not be read."""

    namespace: str
    rings: tuple[RingAccount, ...]
    refused: Mapping[str, str]  # segment name -> reason

    @property
    def total(self) -> Account:
        """Return the sum over all rings."""
        result = Account()
        for ring in self.rings:
            result = result.plus(ring.account)
        return result

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "namespace": self.namespace,
            "total": self.total.to_json(),
            "rings": [ring.to_json() for ring in self.rings],
            "refused": dict(self.refused),
        }


def read_ledger(namespace: str, state_dir: Path | None = None) -> Ledger:
    """Compute the ledger of a namespace as it stands now.

    Raises:
        StateError: the state database cannot be read.
    """
    refused: dict[str, str] = {}
    live = dict(_live_rings(namespace, refused))
    # After the rings: one that is removed in between is in the database by then.
    finished, folded = read_finished(state_path(namespace, state_dir))
    for ring in finished:
        live.pop(ring.ring_id.hex(), None)
        refused.pop(segments.segment_name(namespace, ring.ring_id), None)
    rings = [_folded_account(folded)] if folded.rings else []
    rings += [_finished_account(ring) for ring in finished]
    return Ledger(namespace, (*rings, *live.values()), refused)


def account_of_totals(totals: Mapping[int, int], **counts: Any) -> Account:
    """Return an account with the events of `totals` under their words."""
    words: dict[str, Any] = {"rejected": {}, "lost": {}}
    for outcome, events in totals.items():
        word, reason = _ring.OUTCOMES.get(outcome, ("lost", "unknown_outcome"))
        if word in ("rejected", "lost"):
            words[word][reason] = words[word].get(reason, 0) + events
        else:
            words[word] = words.get(word, 0) + events
    return Account(**words, **counts)


def account_of_ring(observation: "_ring.Observation") -> Account:
    """Return the account of a ring that is still there."""
    counters, control = observation["counters"], observation["control"]
    settled = control["settled_seq"]
    # `sent_seq` is a hint, and an old one right after a resume.
    committed = max(counters["committed"], settled)
    sent = min(max(control["sent_seq"], settled), committed)
    is_empty = observation["tail"] == control["head"]
    totals = {outcome: n for outcome, n in enumerate(control["totals"]) if n}
    return account_of_totals(
        totals,
        committed=committed,
        dropped=counters["dropped"],
        sampled_out=counters["sampled_out"],
        filtered=counters["filtered"],
        disabled=counters["disabled"],
        # A ring without records has no room for events: they would be missing.
        in_flight=0 if is_empty else sent - settled,
        in_ring=0 if is_empty else committed - sent,
    )


def _live_rings(
    namespace: str, refused: dict[str, str]
) -> Iterable[tuple[str, RingAccount]]:
    for name in sorted(segments.scan(namespace)):
        ring_id = name.rpartition(".")[2]
        try:
            observation = _observe(name)
        except _ring.RingError as error:
            refused[name] = error.reason
        except SegmentError:
            refused[name] = "not_readable"
        else:
            yield ring_id, _live_account(ring_id, observation)


def _observe(name: str) -> "_ring.Observation":
    """Look at a ring until what is seen fits together, a few times at most.

    Its zones are read one after the other while the worker writes.
    """
    fd = segments.open_segment(name, writable=False)
    try:
        observation = _ring.observe(fd)
        for _ in range(_ATTEMPTS):
            if account_of_ring(observation).unaccounted == 0:
                break
            observation = _ring.observe(fd)
        return observation
    finally:
        os.close(fd)


def _live_account(ring_id: str, observation: "_ring.Observation") -> RingAccount:
    worker = worker_of(observation["identity"])
    return RingAccount(
        ring_id,
        worker.worker_id,
        worker.pool_name,
        worker.pid,
        LIVE,
        account_of_ring(observation),
    )


def _finished_account(ring: FinishedRing) -> RingAccount:
    # The counter never leads the records, so what it claims beyond them is
    # missing; but past the end of a retired or damaged ring it proves nothing.
    is_sound = ring.reason in (CLOSED, VANISHED)
    committed = max(ring.claims.committed if is_sound else 0, ring.last_seq)
    return RingAccount(
        ring.ring_id.hex(),
        ring.worker_id,
        ring.pool_name,
        ring.pid,
        ring.reason,
        _account_of_end(committed, ring.totals, ring.claims),
    )


def _folded_account(folded: FoldedRings) -> RingAccount:
    account = _account_of_end(folded.last_seq, folded.totals, folded.claims)
    return RingAccount("", f"{folded.rings} rings", "", 0, FOLDED, account)


def _account_of_end(
    committed: int, totals: Mapping[int, int], claims: Claims
) -> Account:
    return account_of_totals(
        totals,
        committed=committed,
        dropped=claims.dropped,
        sampled_out=claims.sampled_out,
        filtered=claims.filtered,
        disabled=claims.disabled,
    )


def _add(ours: Any, theirs: Any) -> Any:
    if isinstance(ours, int):
        return ours + theirs
    return add_counts(ours, theirs)
