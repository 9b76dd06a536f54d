"""What the collector's side of the protocol tells the collector.

Rules:
- data only; `collector_role` makes them, the collector acts on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shmtel.policy.model import Policy
from shmtel.wire.frames import Batch, Error, Rejected, Welcome


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The hub accepted the stream."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class Resumed:
    """The hub said where it stands with a ring; the next segment starts there."""

    ring: int
    last_seq: int
    totals: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Acked:
    """A batch is done. What the hub discarded is not in it any more.

    Segments that it could not read are counted in it as rejected; `rejected` says
    why.
    """

    batch: Batch
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyReceived:
    """The desired state changed."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class Ended:
    """The hub ended the stream and said why."""

    error: Error


@dataclass(frozen=True, slots=True)
class HubSilent:
    """Nothing came from the hub for too long; the stream is given up."""

    silent_ns: int


@dataclass(frozen=True, slots=True)
class DrainAsked:
    """The hub wants the stream to end, and to be dialled again after a delay.

    The protocol sends no batch any more, and says Bye when nothing is unanswered.
    """

    reason: str
    delay_ms: int


Event = Welcomed | Resumed | Acked | PolicyReceived | DrainAsked | Ended | HubSilent
