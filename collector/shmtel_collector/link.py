"""How the link to the hub is, for whoever looks at a collector from outside."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """The state at one moment.

    Attributes:
        welcomes: streams that a hub has accepted since the start.
        oldest_unacked_ns: how long the oldest batch has waited; 0: none does.
    """

    is_connected: bool
    welcomes: int
    oldest_unacked_ns: int
