"""What a bridge that sends tells of what it was given.

Rules:
- what was given is sent, waits, or was dropped for a reason: the three add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class BridgeAccount:
    """What became of one kind of items, such as spans, since the bridge was made."""

    given: int = 0
    sent: int = 0  # the other side has them
    waiting: int = 0
    waiting_bytes: int = 0
    retries: int = 0  # requests that were sent again
    dropped: Mapping[str, int] = field(default_factory=dict)  # by reason
    failures: Mapping[str, int] = field(default_factory=dict)  # of sending, by reason


@runtime_checkable
class Accountable(Protocol):
    """A bridge that passes on what it is given."""

    @property
    def bridge_name(self) -> str:
        """How the bridge is called in metrics."""

    def accounts(self) -> Mapping[str, BridgeAccount]:
        """Return the accounts by kind of item."""
