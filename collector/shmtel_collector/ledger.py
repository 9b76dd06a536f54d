"""The laws of accounting (see accounts.py), computed for a namespace.

Sources: the rings, read-only and without a lock, and the state database with
the rings that are gone. No collector is needed. A ring that is in both (it is
removed just after it was written down) counts as finished.

How many events a ring holds is taken from its settlement (acknowledged), from
`sent_seq` (handed to the stream), and from the worker's committed counter,
which equals the last seq in the records, or lags by one after a kill.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from shmtel import _ring, segments
from shmtel.accounting.accounts import (
    Account,
    EventAccount,
    account_of_event,
    account_of_totals,
    remainder,
    sum_of,
)
from shmtel.accounting.counts import EventTable
from shmtel.accounting.rings import Counted, Placed, account_of
from shmtel.errors import SegmentError
from shmtel.evictions import read_evictions
from shmtel.wire.frames import Outcome
from shmtel_collector.config import state_path
from shmtel_collector.finished import FinishedRing, FoldedRings, folded_of_table
from shmtel_collector.left_out import event_table, parse
from shmtel_collector.refusals import Refusals
from shmtel_collector.state import read_finished, read_left_out, read_refusals
from shmtel_collector.tally import account_of_finished
from shmtel_collector.worker import worker_of

_NO_RINGS: dict[str, Any] = {"totals": {}, "claims": {}}
_ATTEMPTS = 5  # at a consistent look at a ring that moves
LIVE = "live"
FOLDED = "folded"
EVICTED = "evicted"
NAMELESS = ""  # stands for events whose name is not known


@dataclass(frozen=True, slots=True)
class RingAccount:
    """One ring, or the sum of many: long gone (`state` folded), or evicted."""

    ring_id: str
    worker_id: str
    pool_name: str
    pid: int
    state: str  # live, closed, vanished, retired, quarantined, evicted, folded
    account: Account
    events: Mapping[str, EventAccount] = field(default_factory=dict)

    def by_event(self, glob: str = "*") -> dict[str, EventAccount]:
        """Return the accounts of its events by name.

        Those whose name is not known are the last, if all names are wanted.
        """
        if glob != "*":
            return {k: v for k, v in self.events.items() if fnmatchcase(k, glob)}
        nameless = remainder(self.account, self.events.values())
        return {**self.events, NAMELESS: nameless}

    def to_json(self, event: str = "*") -> dict[str, Any]:
        """Return it as plain data, with the events of some names."""
        names = ("ring_id", "worker_id", "pool_name", "pid", "state")
        identity = {name: getattr(self, name) for name in names}
        events = {k: account.to_json() for k, account in self.by_event(event).items()}
        return identity | self.account.to_json() | {"events": events}


@dataclass(frozen=True, slots=True)
class Ledger:
    """All rings of a namespace, and segments that could not be read."""

    namespace: str
    rings: tuple[RingAccount, ...]
    refused: Mapping[str, str]  # segment name -> reason
    refusals: Refusals = field(default_factory=Refusals)

    @property
    def total(self) -> Account:
        """Return the sum over all rings."""
        return sum_of(ring.account for ring in self.rings)

    def by_event(self, glob: str = "*") -> dict[str, EventAccount]:
        """Return the sums by event name, in the order of names."""
        result: dict[str, EventAccount] = {}
        for ring in self.rings:
            for name, account in ring.by_event(glob).items():
                result[name] = result.get(name, EventAccount()).plus(account)
        return dict(sorted(result.items(), key=lambda item: (not item[0], item[0])))

    def of_workers(self, glob: str) -> "Ledger":
        """Return the part of it that speaks of some workers."""
        rings = [ring for ring in self.rings if fnmatchcase(ring.worker_id, glob)]
        return replace(self, rings=tuple(rings))

    def to_json(self, event: str = "*") -> dict[str, Any]:
        """Return it as plain data, of the events of some names."""
        return {
            "namespace": self.namespace,
            "total": self.total.to_json(),
            "events": {
                name: account.to_json()
                for name, account in self.by_event(event).items()
            },
            "rings": [ring.to_json(event) for ring in self.rings],
            "refused": dict(self.refused),
            "refusals": self.refusals.to_json(),
        }


def read_ledger(
    namespace: str,
    state_dir: Path | None = None,
    home: segments.Home = segments.POSIX,
) -> Ledger:
    """Compute the ledger of a namespace as it stands now.

    Raises:
        StateError: the state database cannot be read.
    """
    path = state_path(namespace, state_dir)
    left_out = read_left_out(path)
    for _ in range(_ATTEMPTS):
        refused: dict[str, str] = {}
        before = read_evicted(home, namespace, refused)
        live = dict(_live_rings(home, namespace, refused, left_out))
        evicted = read_evicted(home, namespace, refused)
        if before == evicted:  # no ring went from the one to the other
            break
    # After the rings: one that is removed in between is in the database by then.
    finished, folded = read_finished(path)
    for ring in finished:
        live.pop(ring.ring_id.hex(), None)
        refused.pop(segments.segment_name(namespace, ring.ring_id), None)
    rings = [_sum_account(folded, FOLDED)] if folded.rings else []
    rings += [_sum_account(evicted, EVICTED)] if evicted.rings else []
    rings += [_finished_account(ring) for ring in finished]
    refusals = read_refusals(path)
    return Ledger(namespace, (*rings, *live.values()), refused, refusals)


def account_of_ring(observation: "_ring.Observation") -> Account:
    """Return the account of a ring that is still there."""
    counters, control = observation["counters"], observation["control"]
    settled, released = control["settled_seq"], control["head_seq"]
    # `sent_seq` is a hint, and an old one right after a resume.
    committed = max(counters["committed"], released)
    sent = min(max(control["sent_seq"], released), committed)
    # What is under way is not lost, whatever its place in the ring is used for.
    there = min(max(sent, observation["overwritten"]), committed)
    is_empty = observation["tail"] == control["head"]
    return account_of_totals(
        _totals(control, overwritten=there - sent),
        committed=committed,
        dropped=counters["dropped"],
        sampled_out=counters["sampled_out"],
        filtered=counters["filtered"],
        disabled=counters["disabled"],
        # A ring without records has no room for events: they would be missing.
        spooled=released - settled,
        in_flight=0 if is_empty else sent - released,
        in_ring=0 if is_empty else committed - there,
    )


def _totals(control: "_ring.Control", overwritten: int = 0) -> dict[int, int]:
    totals = {outcome: n for outcome, n in enumerate(control["totals"]) if n}
    if overwritten:
        totals[Outcome.LOST_OVERWRITTEN] = (
            totals.get(Outcome.LOST_OVERWRITTEN, 0) + overwritten
        )
    return totals


def _accounts(events: EventTable) -> dict[str, EventAccount]:
    return {name: account_of_event(counts) for name, counts in events.items()}


def _live_rings(
    home: segments.Home,
    namespace: str,
    refused: dict[str, str],
    left_out: Mapping[bytes, str],
) -> Iterable[tuple[str, RingAccount]]:
    for name, fault in sorted(home.scan_kinds(namespace).items()):
        ring_id = name.rpartition(".")[2]
        if fault:
            refused[name] = fault
            continue
        try:
            observation = _observe(home, name)
        except _ring.RingError as error:
            refused[name] = error.reason
        except SegmentError:
            if home.has(name):  # else it was removed since the scan
                refused[name] = "not_readable"
        else:
            if observation["identity"]["ring_id"].hex() != ring_id:
                refused[name] = "wrong_name"
                continue
            text = left_out.get(observation["identity"]["ring_id"])
            yield ring_id, _live_account(ring_id, observation, text)


def _observe(home: segments.Home, name: str) -> "_ring.Observation":
    """Look at a ring until what is seen fits together, a few times at most.

    Its zones are read one after the other while the worker writes.
    """
    fd = home.open(name, writable=False)
    try:
        observation = _ring.observe(fd)
        for _ in range(_ATTEMPTS):
            if account_of_ring(observation).unaccounted == 0:
                break
            observation = _ring.observe(fd)
        return observation
    finally:
        os.close(fd)


def _live_account(
    ring_id: str, observation: "_ring.Observation", left_out: str | None
) -> RingAccount:
    worker = worker_of(observation["identity"])
    totals = _totals(observation["control"])
    return RingAccount(
        ring_id,
        worker.worker_id,
        worker.pool_name,
        worker.pid,
        LIVE,
        account_of_ring(observation),
        _accounts(event_table(observation["events"], parse(left_out), totals)),
    )


def _finished_account(ring: FinishedRing) -> RingAccount:
    return RingAccount(
        ring.ring_id.hex(),
        ring.worker_id,
        ring.pool_name,
        ring.pid,
        ring.reason,
        account_of_finished(ring),
        _accounts(ring.events),
    )


def _sum_account(sum_: FoldedRings, state: str) -> RingAccount:
    counted = Counted(sum_.totals, sum_.claims, Placed(sum_.last_seq))
    events = _accounts(sum_.events)
    worker_id = f"{sum_.rings} rings"
    return RingAccount("", worker_id, "", 0, state, account_of(counted), events)


def read_evicted(
    home: segments.Home, namespace: str, refused: dict[str, str]
) -> FoldedRings:
    """Read what workers have removed undrained, see shmtel/evictions.py."""
    return folded_of_table(_NO_RINGS | read_evictions(home, namespace, refused))
