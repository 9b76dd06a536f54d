"""What became of every event the hub knows of, per ring.

This is the hub's half of the ledger: its positions and totals. The full one,
with what is still in rings and what workers refused, is the collector's.

Rules:
- plain data with the words of the glossary; nothing is computed but names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shmtel.hub.positions import Folded
from shmtel.hub.table import RingEntry
from shmtel.wire.frames import Outcome, WorkerCounters


@dataclass(frozen=True, slots=True)
class RingLedger:
    """One ring."""

    node: str
    worker_id: str
    pool_name: str
    pid: int
    ring_id: str
    last_seq: int
    totals: Mapping[str, int]  # by name of the outcome; they sum to last_seq
    closed_reason: str | None
    counters: WorkerCounters | None


@dataclass(frozen=True, slots=True)
class HubLedger:
    """All rings that are kept, and the sum of older closed ones."""

    rings: tuple[RingLedger, ...]
    folded_rings: int
    folded_totals: Mapping[str, int]


def make_ledger(entries: Iterable[RingEntry], folded: Folded) -> HubLedger:
    """Put the ledger together."""
    return HubLedger(
        rings=tuple(map(_ring_ledger, entries)),
        folded_rings=folded.rings,
        folded_totals=_named(folded.totals),
    )


def _ring_ledger(entry: RingEntry) -> RingLedger:
    position = entry.position  # read once: last_seq and totals belong together
    return RingLedger(
        node=entry.node,
        worker_id=entry.worker.worker_id,
        pool_name=entry.worker.pool_name,
        pid=entry.worker.pid,
        ring_id=entry.ring_id.hex(),
        last_seq=position.last_seq,
        totals=_named(position.totals),
        closed_reason=entry.closed_reason,
        counters=entry.counters,
    )


def _named(totals: Mapping[int, int]) -> dict[str, int]:
    known = {outcome.value: outcome.name.lower() for outcome in Outcome}
    return {known.get(k, f"outcome_{k}"): events for k, events in totals.items()}
