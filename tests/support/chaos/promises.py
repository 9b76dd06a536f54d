"""What a run must hold, as far as that depends on what was done to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Promises:
    """What is allowed, and how much is asked for.

    Attributes:
        lost: reasons that an event may be lost for.
        delivered: at least so many events must have arrived.
        workers: of at least so many workers.
    """

    lost: frozenset[str] = frozenset({"evicted"})
    delivered: int = 200
    workers: int = 3


def promises_of(seconds: float) -> Promises:
    """Return what the installed version promises for a run of some length."""
    return Promises(delivered=int(50 * seconds))
