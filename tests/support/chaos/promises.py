"""What a run must hold, as far as that depends on what was done to it."""

from dataclasses import dataclass

from support.chaos.plan import OVERWRITE, Plan


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


def promises_of(plan: Plan) -> Promises:
    """Return what a run by this plan must hold."""
    lost = {"evicted"}
    if any(kind.overflow == OVERWRITE for kind in plan.kinds):
        lost.add("overwritten")
    return Promises(frozenset(lost), delivered=int(50 * plan.seconds))
