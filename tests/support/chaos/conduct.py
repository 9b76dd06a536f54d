"""Checks of the run itself: programs kept running, and it has proven something."""

from collections.abc import Iterator

from support.chaos.actor import End
from support.chaos.history import FRESH, History
from support.chaos.points import COLLECTOR, HUB
from support.chaos.promises import Promises

_DISKS = {
    COLLECTOR: ("fill_collector_disk", "fill_shared_memory"),
    HUB: ("fill_hub_disk",),
}
_AFTERMATH_NS = 5_000_000_000
_EXIT_FAILED = 1


def fresh(history: History, _: Promises) -> Iterator[str]:
    """After the faults a fresh event gets through."""
    log = history.calls.get(FRESH)
    if log is None or not log.fates:
        yield "no fresh event was emitted"
        return
    missing = set(range(len(log.fates))) - history.delivered()[FRESH]
    if missing:
        yield f"{len(missing)} of {len(log.fates)} fresh events did not arrive"


def programs(history: History, _: Promises) -> Iterator[str]:
    """No program ends by itself unless its disk is full, and none logs a defect."""
    for end in history.ends:
        is_excused = end.code == _EXIT_FAILED and _had_full_disk(history, end)
        if not end.is_wanted and not is_excused:
            yield f"life {end.life} of the {end.program} ended with {end.code}"
    yield from history.alarms


def _had_full_disk(history: History, end: End) -> bool:
    return any(
        full.fault in _DISKS[end.program]
        and full.from_ns <= end.at_ns <= full.until_ns + _AFTERMATH_NS
        for full in history.full
    )


def not_vacuous(history: History, promises: Promises) -> Iterator[str]:
    """The run has done enough to say anything."""
    if len(history.lines) < promises.delivered:
        yield f"only {len(history.lines)} events were delivered"
    heard = {line.worker for line in history.lines}
    if len(heard) < promises.workers:
        yield f"only {len(heard)} workers were heard of"
    if not history.notes:
        yield "the handler was never called"
    for fault, times in history.faults.items():
        if not times:
            yield f"{fault} was to happen and never did"
