"""Checks of what was not delivered: counted, for a reason, and by all alike."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from support.chaos.calls import CallLog, Fate
from support.chaos.history import UNFINISHED, History, Line, left_out, title
from support.chaos.promises import Promises

UNCERTAIN = ("evicted", "overwritten")  # reasons
ON_THE_WAY = ("spooled", "in_flight", "in_ring")


def nothing_missing(history: History, _: Promises) -> Iterator[str]:
    """Of each ring every committed event was delivered or is counted."""
    by_ring = history.by_ring()
    yield from _unknown_rings(history, by_ring)
    for row in history.rows():
        yield from _missing_of(row, by_ring.get(row["ring_id"], {}))


def _missing_of(row: Mapping[str, Any], lines: Mapping[int, Line]) -> Iterator[str]:
    counted, committed = sum(left_out(row).values()), row["committed"]
    arrived, told = len(lines), row["delivered"]
    under_way = _under_way(row, arrived - told)
    told, counted = told + under_way, counted - under_way
    if arrived != told:
        yield f"{title(row)}: {told} delivered, {arrived} arrived"
    if committed != arrived + counted:
        yield (
            f"{title(row)}: of {committed} events {arrived} arrived, and "
            f"{counted} are counted"
        )
    if lines and max(lines) > committed:
        yield f"{title(row)}: seq {max(lines)} arrived, and {committed} committed"


def _unknown_rings(
    history: History, by_ring: Mapping[str, Mapping[int, Line]]
) -> Iterator[str]:
    """What rings without a row have delivered is in the rows that sum up many."""
    unknown = by_ring.keys() - {row["ring_id"] for row in history.rows()}
    arrived = sum(len(by_ring[ring_id]) for ring_id in unknown)
    told = sum(row["delivered"] for row in history.sums())
    told += sum(_under_way(row, arrived - told) for row in history.sums())
    if arrived != told:
        yield (
            f"rings that the ledger does not know have delivered {arrived} events, "
            f"and {told} are counted: {', '.join(sorted(unknown))}"
        )


def _under_way(row: Mapping[str, Any], surplus: int) -> int:
    """Return how much of a surplus was under way when its place was taken.

    A ring was evicted, or a flight recorder had gone on, before the answer came, and
    none came any more. So it counts as lost, though it may have arrived.
    """
    lost = sum(row["lost"].get(reason, 0) for reason in UNCERTAIN)
    return min(max(surplus, 0), lost)


def reasons(history: History, promises: Promises) -> Iterator[str]:
    """Nothing is left out for a reason that the run has given no cause for."""
    total: Counter[str] = Counter()
    for row in history.ledger["rings"]:
        total += left_out(row)
    for reason, events in total.items():
        if reason not in promises.lost:
            yield f"{events} events are left out as {reason}, without a cause"


def workers(history: History, _: Promises) -> Iterator[str]:
    """What the ledger says of a worker is what the worker says of its calls."""
    rows: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in history.rows():
        rows[row["worker_id"]].append(row)
    for worker in rows.keys() - history.calls.keys():
        yield f"the ledger has a worker that never was: {worker}"
    delivered = history.delivered()
    # In those rows nobody can tell one worker's events from another's.
    slack = sum(row["emitted"] for row in history.sums())
    for worker, log in history.calls.items():
        yield from _worker(log, rows[worker], delivered[worker], slack)


def _worker(
    log: CallLog, rows: Sequence[Mapping[str, Any]], delivered: set[int], slack: int
) -> Iterator[str]:
    fates = Counter(log.fates)
    unknown = {index for index, fate in enumerate(log.fates) if fate is Fate.BEGUN}
    if len(unknown) > 1:
        yield f"{log.worker}: {len(unknown)} calls have begun and not ended"
    arrived = len(unknown & delivered)
    open_end = len(unknown) - arrived
    committed = fates[Fate.COMMITTED] + arrived
    found = sum(row["committed"] for row in rows)
    if not committed - slack <= found <= committed + open_end:
        yield f"{log.worker}: {committed} committed, and {found} in the ledger"
    dropped = fates[Fate.DROPPED] + fates[Fate.NO_RING]
    found = sum(sum(row["dropped"].values()) for row in rows)
    # Those without a ring are counted in the process, until it has one.
    unknowable = _without_ring_at_the_end(log.fates)
    if not dropped - unknowable - slack <= found <= dropped + open_end:
        yield f"{log.worker}: {dropped} dropped, and {found} in the ledger"


def _without_ring_at_the_end(fates: Sequence[Fate]) -> int:
    count = 0
    for fate in reversed(fates):
        if fate is Fate.NO_RING:
            count += 1
        elif fate is not Fate.BEGUN:
            break
    return count


def balance(history: History, _: Promises) -> Iterator[str]:
    """The ledger balances, and nothing is on its way any more."""
    if not history.is_quiet:
        yield "the line did not come to rest after the faults"
    for row in history.ledger["rings"]:
        if row["unaccounted"]:
            yield f"{title(row)}: {row['unaccounted']} unaccounted"
        for word in ON_THE_WAY:
            if row[word]:
                yield f"{title(row)}: {row[word]} {word} at the end"
    for name, reason in history.ledger["refused"].items():
        if reason != UNFINISHED:
            yield f"{name} cannot be read: {reason}"
