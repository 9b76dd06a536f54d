"""Judges a run: what was emitted, against what was delivered and what was counted.

    what was delivered was emitted, byte for byte, and in order     arrivals.py
    nothing is there twice, outside of what is marked as redelivered
    nothing is missing that is not counted                          counts.py
    the ledger balances, and says what workers and sinks say
    after the faults a fresh event gets through                     conduct.py
    no program ended by itself, and the run was not vacuous

A check says what is wrong as sentences, and is silent where nothing is.

Rules:
- the oracle knows no time and no process: a history goes in;
- what nobody can know, the last call of a worker that was killed, may have gone
  either way, and nothing else may.
"""

from collections.abc import Callable, Iterator

from support.chaos import arrivals, conduct, counts
from support.chaos.history import History
from support.chaos.promises import Promises

SHOWN = 5  # of the sentences of one check

Check = Callable[[History, Promises], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    arrivals.emitted,
    arrivals.in_order,
    arrivals.rings_apart,
    arrivals.once_in_the_sink,
    arrivals.once_at_the_handler,
    counts.nothing_missing,
    counts.reasons,
    counts.workers,
    counts.balance,
    conduct.fresh,
    conduct.programs,
    conduct.not_vacuous,
)


def judge(history: History, promises: Promises) -> list[str]:
    """Return everything that is wrong with a run."""
    found: list[str] = []
    for check in CHECKS:
        flaws = list(check(history, promises))
        found += flaws[:SHOWN]
        if len(flaws) > SHOWN:
            found.append(f"... and {len(flaws) - SHOWN} more like it")
    return found
