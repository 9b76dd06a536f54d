"""The arithmetic of totals: what became of the events of one ring.

Totals are events by outcome, and they always sum to the seq they reach up to.
The settlement slots of a ring hold them as a list, indexed by the outcome's
number; frames carry them as a table without its zeros.
"""

from collections.abc import Mapping, Sequence

from shmtel.wire.frames import Outcome, Segment
from shmtel.wire.protocol import OUTCOME_SLOTS


def to_table(totals: Sequence[int]) -> dict[int, int]:
    """Return totals as frames carry them."""
    return {outcome: events for outcome, events in enumerate(totals) if events}


def to_list(totals: Mapping[int, int]) -> list[int]:
    """Return totals as slots hold them; the protocol has judged the outcomes."""
    result = [0] * OUTCOME_SLOTS
    for outcome, events in totals.items():
        result[outcome] = events
    return result


def after(totals: Sequence[int], segment: Segment) -> list[int]:
    """Return totals once a segment has been accepted behind them."""
    result = list(totals)
    result[Outcome.DELIVERED] += segment.delivered
    for count in segment.counts:
        result[count.outcome] += count.events
    return result
