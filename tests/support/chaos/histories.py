"""Histories made by hand: of a run in which all went well, and what to spoil in it."""

from dataclasses import replace
from typing import Any

from support.chaos.actor import End
from support.chaos.calls import CallLog, Fate
from support.chaos.history import FRESH, History, Line
from support.chaos.notes import Note
from support.chaos.payload import call_of

TEXT = 40
RINGS = {"w1": "a1" * 16, "w2": "b2" * 16, FRESH: "f0" * 16}
FATES = {
    "w1": (*[Fate.COMMITTED] * 20, Fate.DROPPED, Fate.DROPPED, *[Fate.COMMITTED] * 8),
    "w2": (Fate.NO_RING, *[Fate.COMMITTED] * 12, Fate.BEGUN),
    FRESH: (Fate.COMMITTED,) * 3,
}


def line_of(worker: str, index: int, seq: int) -> Line:
    """Return a call as the sink has it."""
    call = call_of(worker, index, TEXT)
    return Line(
        event=call.event,
        measurements=call.measurements or {"duration": 7},
        metadata=call.metadata,
        correlation_id=call.correlation_id,
        worker=worker,
        ring_id=RINGS[worker],
        seq=seq,
    )


def row_of(worker: str, **fields: Any) -> dict[str, Any]:
    """Return the ledger's row of a worker whose events were all delivered."""
    fates = FATES[worker]
    committed = fates.count(Fate.COMMITTED)
    dropped = {
        "ring_full": fates.count(Fate.DROPPED),
        "no_ring": fates.count(Fate.NO_RING),
    }
    row: dict[str, Any] = {
        "ring_id": RINGS[worker],
        "worker_id": worker,
        "state": "closed",
        "emitted": committed + sum(dropped.values()),
        "committed": committed,
        "dropped": dropped,
        "delivered": committed,
        "rejected": {},
        "lost": {},
        "unaccounted": 0,
    }
    zeros = ("sampled_out", "filtered", "disabled")
    row |= {f"{word}_by_collector": 0 for word in zeros}
    row |= dict.fromkeys(("spooled", "in_flight", "in_ring"), 0)
    return row | fields


def clean_history() -> History:
    """Return a run with nothing wrong in it."""
    logs = {name: CallLog(name, 1, TEXT, fates) for name, fates in FATES.items()}
    lines = [
        line_of(worker, index, seq)
        for worker, fates in FATES.items()
        for seq, index in enumerate(
            (i for i, fate in enumerate(fates) if fate is Fate.COMMITTED), 1
        )
    ]
    notes = [
        Note(1, 0, RINGS[worker], tuple(range(1, fates.count(Fate.COMMITTED) + 1)))
        for worker, fates in FATES.items()
    ]
    return History(
        calls=logs,
        lines=lines,
        notes=notes,
        ledger={"rings": [row_of(worker) for worker in FATES], "refused": {}},
        ends=[End("hub", 1, -9, 5, is_wanted=True)],
        faults={"kill_hub": 1},
    )


def with_row(history: History, worker: str, **fields: Any) -> History:
    """Return it with another row of a worker."""
    rows = [
        {**row, **fields} if row["worker_id"] == worker else row
        for row in history.ledger["rings"]
    ]
    return replace(history, ledger={**history.ledger, "rings": rows})


def with_calls(history: History, worker: str, fates: tuple[Fate, ...]) -> History:
    """Return it with other calls of a worker."""
    log = replace(history.calls[worker], fates=fates)
    return replace(history, calls={**history.calls, worker: log})
