"""What a run must hold, as far as that depends on what was done to it."""

from dataclasses import dataclass, fields

from shmtel.hub.dispatch import EventBatch


@dataclass(frozen=True, slots=True)
class Promises:
    """What is allowed, and how much is asked for.

    Attributes:
        lost: reasons that an event may be lost for.
        sink_repeats: the sink may hold again what a hub had not acknowledged.
        handlers_repeat: so may other handlers be called, without a mark.
        delivered: at least so many events must have arrived.
        workers: of at least so many workers.
    """

    lost: frozenset[str] = frozenset({"evicted"})
    sink_repeats: bool = False
    handlers_repeat: bool = False
    delivered: int = 200
    workers: int = 3


def promises_of(seconds: float) -> Promises:
    """Return what the installed version promises for a run of some length."""
    marks = "redelivered" in {field.name for field in fields(EventBatch)}
    return Promises(
        sink_repeats=not marks, handlers_repeat=not marks, delivered=int(50 * seconds)
    )
