"""What a run must hold, as far as that depends on what was done to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Promises:
    """What is allowed, and how much is asked for.

    Attributes:
        lost: reasons that an event may be lost for.
        handlers_repeat: handlers may be called again without a mark.
        delivered: at least so many events must have arrived.
        workers: of at least so many workers.
    """

    lost: frozenset[str] = frozenset({"evicted"})
    handlers_repeat: bool = False
    delivered: int = 200
    workers: int = 3


def promises_of(seconds: float) -> Promises:
    """Return what the installed version promises for a run of some length."""
    return Promises(handlers_repeat=True, delivered=int(50 * seconds))
