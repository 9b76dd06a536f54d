"""A wall clock that is wrong, for the product's modules in one program.

The monotonic clock stays right, as it does when somebody sets the time. So does
the wall clock of everybody else: gRPC compares it with the system's, which nobody
has changed, and would wait for hours.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

SECOND_NS = 1_000_000_000
_OURS = ("shmtel.", "shmtel_collector.")


@dataclass(frozen=True, slots=True)
class Jump:
    """From so many seconds after the start on, the clock is off by so much."""

    after_s: float
    offset_s: float


def set_wrong(jumps: Sequence[Jump]) -> None:
    """Let `time.time` and `time.time_ns` jump, for those who are to see it."""
    true_ns, started = time.time_ns, time.monotonic()

    def offset_ns(caller: str) -> int:
        age = time.monotonic() - started
        passed = [jump.offset_s for jump in jumps if age >= jump.after_s]
        return int(passed[-1] * SECOND_NS) if passed and caller.startswith(_OURS) else 0

    def wrong_ns() -> int:
        return true_ns() + offset_ns(sys._getframe(1).f_globals["__name__"])

    def wrong() -> float:
        caller = sys._getframe(1).f_globals["__name__"]
        return (true_ns() + offset_ns(caller)) / SECOND_NS

    if jumps:
        time.time_ns, time.time = wrong_ns, wrong
