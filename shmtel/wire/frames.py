"""The messages of the uplink as plain data.

One class per message of protos/shmtel/v1, with the same field names; what the
fields mean stands there. Repeated fields are tuples, totals map an outcome's
number to events. Numbers of enumerations stay integers, because a newer peer
may know more of them.

Policies, which cross the stream too, are in shmtel.policy.model.

Rules:
- data only: what may be sent when is the business of the two roles;
- nothing here knows how a message is put into bytes; that is `codec`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from shmtel.policy.model import Policy, PolicyStatus

RING_ID_BYTES = 16
INSTANCE_ID_BYTES = 16
UNKNOWN_EVENT_ID = 0xFFFFFFFF  # of a SegmentCount: nobody can tell which event


class AckLevel(IntEnum):
    """What an Ack promises."""

    ACCEPTED = 1
    HANDLED = 2
    COMMITTED = 3


class ErrorCode(IntEnum):
    """Why a hub ends a stream."""

    PROTOCOL_VERSION = 1
    PROTOCOL_VIOLATION = 2
    SUPERSEDED = 3
    STALE_EPOCH = 4
    SHUTTING_DOWN = 5


class Outcome(IntEnum):
    """What became of a committed event."""

    DELIVERED = 0
    SAMPLED_OUT_BY_COLLECTOR = 1
    FILTERED_BY_COLLECTOR = 2
    DISABLED_BY_COLLECTOR = 3
    REJECTED_MALFORMED = 8
    REJECTED_UNKNOWN_NAME = 9
    REJECTED_BAD_THRESHOLD = 10
    REJECTED_BY_HUB = 11
    REJECTED_UNKNOWN_EVENT = 12
    REJECTED_UNKNOWN_KEY = 13
    REJECTED_OVER_LIMIT = 14
    LOST_QUARANTINED = 16
    LOST_HUB_STATE_LOST = 17
    LOST_OVERWRITTEN = 18
    LOST_EVICTED = 19
    LOST_SPOOL_DAMAGED = 20


# -- both directions ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Sent each interval by the collector, and by the hub as the answer."""

    sent_ns: int
    oldest_unacked_age_ms: int = 0


# -- collector to hub --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame of a stream."""

    protocol_min: int
    protocol_max: int
    node: str
    host_id: str
    instance_id: bytes
    epoch: int
    policy_version: int = 0
    namespace: str = ""
    policy_origin: str = ""
    rejected_origin: str = ""
    rejected_version: int = 0
    stream: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """Who writes a ring, as the collector judged it."""

    worker_id: str = ""
    pool_name: str = ""
    service: str = ""
    pid: int = 0
    created_ns: int = 0
    argv0: str = ""
    python: str = ""
    worker_index: int | None = None


@dataclass(frozen=True, slots=True)
class RingOpened:
    """Announces a ring on this stream."""

    ring: int
    ring_id: bytes
    worker: Worker
    settled_seq: int = 0
    totals: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NamesAdded:
    """Event names of a ring, in the order of their ids."""

    ring: int
    first_event_id: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SegmentCount:
    """Events of a segment that were not delivered, and why."""

    event_id: int
    outcome: int
    events: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One ring's part of a batch."""

    ring: int
    seq_before: int
    seq_last: int
    delivered: int
    events: bytes
    counts: tuple[SegmentCount, ...] = ()
    resent_through: int = 0


@dataclass(frozen=True, slots=True)
class WorkerCounters:
    """The producer's own final counters; claims of a worker."""

    committed: int = 0
    sampled_out: int = 0
    filtered: int = 0
    disabled: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RingClosed:
    """The end of a ring."""

    ring: int
    last_seq: int
    reason: str
    counters: WorkerCounters = field(default_factory=WorkerCounters)


@dataclass(frozen=True, slots=True)
class Batch:
    """Segments of many rings, acknowledged as one."""

    batch_seq: int
    segments: tuple[Segment, ...] = ()
    closed: tuple[RingClosed, ...] = ()


@dataclass(frozen=True, slots=True)
class RingCounters:
    """How far a ring has come, and what its worker claims until now."""

    ring: int
    sent_seq: int = 0
    spooled_seq: int = 0
    counters: WorkerCounters = field(default_factory=WorkerCounters)


@dataclass(frozen=True, slots=True)
class HostCounters:
    """What a collector counts that belongs to no ring of the stream."""

    refused: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    evicted_rings: int = 0
    evicted: Mapping[int, int] = field(default_factory=dict)  # by outcome
    spool_bytes: int = 0
    spool_max_bytes: int = 0
    spool_refused: Mapping[str, int] = field(default_factory=dict)
    spool_damaged: int = 0


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of a host ahead of its events."""

    rings: tuple[RingCounters, ...] = ()
    host: HostCounters = field(default_factory=HostCounters)


@dataclass(frozen=True, slots=True)
class Bye:
    """The last frame of an orderly end."""

    reason: str


# -- hub to collector --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to a Hello: the terms of the stream."""

    protocol: int
    hub_id: str
    credit_bytes: int
    max_batch_bytes: int
    heartbeat_interval_ms: int
    ack_level: int = AckLevel.HANDLED


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where the hub stands with a ring."""

    ring: int
    last_seq: int
    totals: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A segment that the hub could not read."""

    batch_seq: int
    ring: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to `batch_seq` is done."""

    batch_seq: int
    level: int
    credit_bytes: int
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Drain:
    """The hub asks for an orderly end, and to be dialled again later."""

    reason: str
    delay_ms: int = 0
    deadline_ms: int = 0


@dataclass(frozen=True, slots=True)
class Error:
    """Why the hub ends the stream."""

    code: int
    message: str


CollectorFrame = (
    Hello | RingOpened | NamesAdded | Batch | Heartbeat | Bye | PolicyStatus | Counters
)
HubFrame = Welcome | ResumePoint | Ack | Policy | Heartbeat | Drain | Error
