from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AckLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACK_LEVEL_UNSPECIFIED: _ClassVar[AckLevel]
    ACK_LEVEL_ACCEPTED: _ClassVar[AckLevel]
    ACK_LEVEL_HANDLED: _ClassVar[AckLevel]
    ACK_LEVEL_COMMITTED: _ClassVar[AckLevel]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_DELIVERED: _ClassVar[Outcome]
    OUTCOME_SAMPLED_OUT_BY_COLLECTOR: _ClassVar[Outcome]
    OUTCOME_FILTERED_BY_COLLECTOR: _ClassVar[Outcome]
    OUTCOME_DISABLED_BY_COLLECTOR: _ClassVar[Outcome]
    OUTCOME_REJECTED_MALFORMED: _ClassVar[Outcome]
    OUTCOME_REJECTED_UNKNOWN_NAME: _ClassVar[Outcome]
    OUTCOME_REJECTED_BAD_THRESHOLD: _ClassVar[Outcome]
    OUTCOME_REJECTED_BY_HUB: _ClassVar[Outcome]
    OUTCOME_REJECTED_UNKNOWN_EVENT: _ClassVar[Outcome]
    OUTCOME_REJECTED_UNKNOWN_KEY: _ClassVar[Outcome]
    OUTCOME_REJECTED_OVER_LIMIT: _ClassVar[Outcome]
    OUTCOME_LOST_QUARANTINED: _ClassVar[Outcome]
    OUTCOME_LOST_HUB_STATE_LOST: _ClassVar[Outcome]
    OUTCOME_LOST_OVERWRITTEN: _ClassVar[Outcome]
    OUTCOME_LOST_EVICTED: _ClassVar[Outcome]
    OUTCOME_LOST_SPOOL_DAMAGED: _ClassVar[Outcome]
ACK_LEVEL_UNSPECIFIED: AckLevel
ACK_LEVEL_ACCEPTED: AckLevel
ACK_LEVEL_HANDLED: AckLevel
ACK_LEVEL_COMMITTED: AckLevel
OUTCOME_DELIVERED: Outcome
OUTCOME_SAMPLED_OUT_BY_COLLECTOR: Outcome
OUTCOME_FILTERED_BY_COLLECTOR: Outcome
OUTCOME_DISABLED_BY_COLLECTOR: Outcome
OUTCOME_REJECTED_MALFORMED: Outcome
OUTCOME_REJECTED_UNKNOWN_NAME: Outcome
OUTCOME_REJECTED_BAD_THRESHOLD: Outcome
OUTCOME_REJECTED_BY_HUB: Outcome
OUTCOME_REJECTED_UNKNOWN_EVENT: Outcome
OUTCOME_REJECTED_UNKNOWN_KEY: Outcome
OUTCOME_REJECTED_OVER_LIMIT: Outcome
OUTCOME_LOST_QUARANTINED: Outcome
OUTCOME_LOST_HUB_STATE_LOST: Outcome
OUTCOME_LOST_OVERWRITTEN: Outcome
OUTCOME_LOST_EVICTED: Outcome
OUTCOME_LOST_SPOOL_DAMAGED: Outcome

class CollectorFrame(_message.Message):
    __slots__ = ("hello", "ring_opened", "names_added", "batch", "heartbeat", "bye", "policy_status", "counters")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    RING_OPENED_FIELD_NUMBER: _ClassVar[int]
    NAMES_ADDED_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    BYE_FIELD_NUMBER: _ClassVar[int]
    POLICY_STATUS_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    ring_opened: RingOpened
    names_added: NamesAdded
    batch: Batch
    heartbeat: Heartbeat
    bye: Bye
    policy_status: PolicyStatus
    counters: Counters
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., ring_opened: _Optional[_Union[RingOpened, _Mapping]] = ..., names_added: _Optional[_Union[NamesAdded, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., bye: _Optional[_Union[Bye, _Mapping]] = ..., policy_status: _Optional[_Union[PolicyStatus, _Mapping]] = ..., counters: _Optional[_Union[Counters, _Mapping]] = ...) -> None: ...

class HubFrame(_message.Message):
    __slots__ = ("welcome", "resume_point", "ack", "policy", "heartbeat", "error", "drain")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    RESUME_POINT_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    resume_point: ResumePoint
    ack: Ack
    policy: Policy
    heartbeat: Heartbeat
    error: Error
    drain: Drain
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., resume_point: _Optional[_Union[ResumePoint, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_min", "protocol_max", "node", "host_id", "instance_id", "epoch", "policy_version", "namespace", "policy_origin", "rejected_origin", "rejected_version", "stream")
    PROTOCOL_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MAX_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POLICY_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    REJECTED_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    REJECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    protocol_min: int
    protocol_max: int
    node: str
    host_id: str
    instance_id: bytes
    epoch: int
    policy_version: int
    namespace: str
    policy_origin: str
    rejected_origin: str
    rejected_version: int
    stream: int
    def __init__(self, protocol_min: _Optional[int] = ..., protocol_max: _Optional[int] = ..., node: _Optional[str] = ..., host_id: _Optional[str] = ..., instance_id: _Optional[bytes] = ..., epoch: _Optional[int] = ..., policy_version: _Optional[int] = ..., namespace: _Optional[str] = ..., policy_origin: _Optional[str] = ..., rejected_origin: _Optional[str] = ..., rejected_version: _Optional[int] = ..., stream: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "hub_id", "credit_bytes", "max_batch_bytes", "heartbeat_interval_ms", "ack_level")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    HUB_ID_FIELD_NUMBER: _ClassVar[int]
    CREDIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    ACK_LEVEL_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    hub_id: str
    credit_bytes: int
    max_batch_bytes: int
    heartbeat_interval_ms: int
    ack_level: AckLevel
    def __init__(self, protocol: _Optional[int] = ..., hub_id: _Optional[str] = ..., credit_bytes: _Optional[int] = ..., max_batch_bytes: _Optional[int] = ..., heartbeat_interval_ms: _Optional[int] = ..., ack_level: _Optional[_Union[AckLevel, str]] = ...) -> None: ...

class OutcomeTotal(_message.Message):
    __slots__ = ("outcome", "events")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    outcome: Outcome
    events: int
    def __init__(self, outcome: _Optional[_Union[Outcome, str]] = ..., events: _Optional[int] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ("worker_id", "pool_name", "service", "pid", "created_ns", "argv0", "python", "worker_index")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    POOL_NAME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    CREATED_NS_FIELD_NUMBER: _ClassVar[int]
    ARGV0_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    WORKER_INDEX_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    pool_name: str
    service: str
    pid: int
    created_ns: int
    argv0: str
    python: str
    worker_index: int
    def __init__(self, worker_id: _Optional[str] = ..., pool_name: _Optional[str] = ..., service: _Optional[str] = ..., pid: _Optional[int] = ..., created_ns: _Optional[int] = ..., argv0: _Optional[str] = ..., python: _Optional[str] = ..., worker_index: _Optional[int] = ...) -> None: ...

class RingOpened(_message.Message):
    __slots__ = ("ring", "ring_id", "worker", "settled_seq", "totals")
    RING_FIELD_NUMBER: _ClassVar[int]
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    SETTLED_SEQ_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    ring: int
    ring_id: bytes
    worker: Worker
    settled_seq: int
    totals: _containers.RepeatedCompositeFieldContainer[OutcomeTotal]
    def __init__(self, ring: _Optional[int] = ..., ring_id: _Optional[bytes] = ..., worker: _Optional[_Union[Worker, _Mapping]] = ..., settled_seq: _Optional[int] = ..., totals: _Optional[_Iterable[_Union[OutcomeTotal, _Mapping]]] = ...) -> None: ...

class NamesAdded(_message.Message):
    __slots__ = ("ring", "first_event_id", "names")
    RING_FIELD_NUMBER: _ClassVar[int]
    FIRST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    ring: int
    first_event_id: int
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ring: _Optional[int] = ..., first_event_id: _Optional[int] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class ResumePoint(_message.Message):
    __slots__ = ("ring", "last_seq", "totals")
    RING_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    ring: int
    last_seq: int
    totals: _containers.RepeatedCompositeFieldContainer[OutcomeTotal]
    def __init__(self, ring: _Optional[int] = ..., last_seq: _Optional[int] = ..., totals: _Optional[_Iterable[_Union[OutcomeTotal, _Mapping]]] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("batch_seq", "segments", "closed")
    BATCH_SEQ_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    batch_seq: int
    segments: _containers.RepeatedCompositeFieldContainer[Segment]
    closed: _containers.RepeatedCompositeFieldContainer[RingClosed]
    def __init__(self, batch_seq: _Optional[int] = ..., segments: _Optional[_Iterable[_Union[Segment, _Mapping]]] = ..., closed: _Optional[_Iterable[_Union[RingClosed, _Mapping]]] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("ring", "seq_before", "seq_last", "delivered", "events", "counts", "resent_through")
    RING_FIELD_NUMBER: _ClassVar[int]
    SEQ_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SEQ_LAST_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    RESENT_THROUGH_FIELD_NUMBER: _ClassVar[int]
    ring: int
    seq_before: int
    seq_last: int
    delivered: int
    events: bytes
    counts: _containers.RepeatedCompositeFieldContainer[SegmentCount]
    resent_through: int
    def __init__(self, ring: _Optional[int] = ..., seq_before: _Optional[int] = ..., seq_last: _Optional[int] = ..., delivered: _Optional[int] = ..., events: _Optional[bytes] = ..., counts: _Optional[_Iterable[_Union[SegmentCount, _Mapping]]] = ..., resent_through: _Optional[int] = ...) -> None: ...

class SegmentCount(_message.Message):
    __slots__ = ("event_id", "outcome", "events")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    outcome: Outcome
    events: int
    def __init__(self, event_id: _Optional[int] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., events: _Optional[int] = ...) -> None: ...

class RingClosed(_message.Message):
    __slots__ = ("ring", "last_seq", "reason", "counters")
    RING_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    ring: int
    last_seq: int
    reason: str
    counters: WorkerCounters
    def __init__(self, ring: _Optional[int] = ..., last_seq: _Optional[int] = ..., reason: _Optional[str] = ..., counters: _Optional[_Union[WorkerCounters, _Mapping]] = ...) -> None: ...

class WorkerCounters(_message.Message):
    __slots__ = ("committed", "sampled_out", "filtered", "disabled", "dropped")
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_OUT_FIELD_NUMBER: _ClassVar[int]
    FILTERED_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    committed: int
    sampled_out: int
    filtered: int
    disabled: int
    dropped: _containers.ScalarMap[str, int]
    def __init__(self, committed: _Optional[int] = ..., sampled_out: _Optional[int] = ..., filtered: _Optional[int] = ..., disabled: _Optional[int] = ..., dropped: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("batch_seq", "level", "credit_bytes", "rejected")
    BATCH_SEQ_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    CREDIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    batch_seq: int
    level: AckLevel
    credit_bytes: int
    rejected: _containers.RepeatedCompositeFieldContainer[Rejected]
    def __init__(self, batch_seq: _Optional[int] = ..., level: _Optional[_Union[AckLevel, str]] = ..., credit_bytes: _Optional[int] = ..., rejected: _Optional[_Iterable[_Union[Rejected, _Mapping]]] = ...) -> None: ...

class Rejected(_message.Message):
    __slots__ = ("batch_seq", "ring", "reason")
    BATCH_SEQ_FIELD_NUMBER: _ClassVar[int]
    RING_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    batch_seq: int
    ring: int
    reason: str
    def __init__(self, batch_seq: _Optional[int] = ..., ring: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Counters(_message.Message):
    __slots__ = ("rings", "host")
    RINGS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    rings: _containers.RepeatedCompositeFieldContainer[RingCounters]
    host: HostCounters
    def __init__(self, rings: _Optional[_Iterable[_Union[RingCounters, _Mapping]]] = ..., host: _Optional[_Union[HostCounters, _Mapping]] = ...) -> None: ...

class RingCounters(_message.Message):
    __slots__ = ("ring", "sent_seq", "spooled_seq", "counters")
    RING_FIELD_NUMBER: _ClassVar[int]
    SENT_SEQ_FIELD_NUMBER: _ClassVar[int]
    SPOOLED_SEQ_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    ring: int
    sent_seq: int
    spooled_seq: int
    counters: WorkerCounters
    def __init__(self, ring: _Optional[int] = ..., sent_seq: _Optional[int] = ..., spooled_seq: _Optional[int] = ..., counters: _Optional[_Union[WorkerCounters, _Mapping]] = ...) -> None: ...

class HostCounters(_message.Message):
    __slots__ = ("refused", "quarantined", "evicted_rings", "evicted", "spool_bytes", "spool_max_bytes", "spool_refused", "spool_damaged")
    class RefusedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class QuarantinedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class SpoolRefusedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    EVICTED_RINGS_FIELD_NUMBER: _ClassVar[int]
    EVICTED_FIELD_NUMBER: _ClassVar[int]
    SPOOL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SPOOL_MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    SPOOL_REFUSED_FIELD_NUMBER: _ClassVar[int]
    SPOOL_DAMAGED_FIELD_NUMBER: _ClassVar[int]
    refused: _containers.ScalarMap[str, int]
    quarantined: _containers.ScalarMap[str, int]
    evicted_rings: int
    evicted: _containers.RepeatedCompositeFieldContainer[OutcomeTotal]
    spool_bytes: int
    spool_max_bytes: int
    spool_refused: _containers.ScalarMap[str, int]
    spool_damaged: int
    def __init__(self, refused: _Optional[_Mapping[str, int]] = ..., quarantined: _Optional[_Mapping[str, int]] = ..., evicted_rings: _Optional[int] = ..., evicted: _Optional[_Iterable[_Union[OutcomeTotal, _Mapping]]] = ..., spool_bytes: _Optional[int] = ..., spool_max_bytes: _Optional[int] = ..., spool_refused: _Optional[_Mapping[str, int]] = ..., spool_damaged: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("reason", "delay_ms", "deadline_ms")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    delay_ms: int
    deadline_ms: int
    def __init__(self, reason: _Optional[str] = ..., delay_ms: _Optional[int] = ..., deadline_ms: _Optional[int] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("version", "rules", "origin", "sent_ns")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    SENT_NS_FIELD_NUMBER: _ClassVar[int]
    version: int
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    origin: str
    sent_ns: int
    def __init__(self, version: _Optional[int] = ..., rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., origin: _Optional[str] = ..., sent_ns: _Optional[int] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("worker", "toggle", "sampling", "filter", "pool", "service", "node", "expires_ns")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    TOGGLE_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    worker: str
    toggle: Toggle
    sampling: Sampling
    filter: Filter
    pool: str
    service: str
    node: str
    expires_ns: int
    def __init__(self, worker: _Optional[str] = ..., toggle: _Optional[_Union[Toggle, _Mapping]] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., filter: _Optional[_Union[Filter, _Mapping]] = ..., pool: _Optional[str] = ..., service: _Optional[str] = ..., node: _Optional[str] = ..., expires_ns: _Optional[int] = ...) -> None: ...

class Toggle(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: bool = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("rate", "patterns")
    RATE_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    rate: float
    patterns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rate: _Optional[float] = ..., patterns: _Optional[_Iterable[str]] = ...) -> None: ...

class Filter(_message.Message):
    __slots__ = ("allow", "deny")
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    DENY_FIELD_NUMBER: _ClassVar[int]
    allow: _containers.RepeatedScalarFieldContainer[str]
    deny: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, allow: _Optional[_Iterable[str]] = ..., deny: _Optional[_Iterable[str]] = ...) -> None: ...

class PolicyStatus(_message.Message):
    __slots__ = ("origin", "version", "rejection", "in_force_origin", "in_force_version", "workers", "unlisted", "duration_ns", "local_layers")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    UNLISTED_FIELD_NUMBER: _ClassVar[int]
    DURATION_NS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_LAYERS_FIELD_NUMBER: _ClassVar[int]
    origin: str
    version: int
    rejection: PolicyRejection
    in_force_origin: str
    in_force_version: int
    workers: _containers.RepeatedCompositeFieldContainer[WorkerResult]
    unlisted: int
    duration_ns: int
    local_layers: _containers.RepeatedCompositeFieldContainer[Layer]
    def __init__(self, origin: _Optional[str] = ..., version: _Optional[int] = ..., rejection: _Optional[_Union[PolicyRejection, _Mapping]] = ..., in_force_origin: _Optional[str] = ..., in_force_version: _Optional[int] = ..., workers: _Optional[_Iterable[_Union[WorkerResult, _Mapping]]] = ..., unlisted: _Optional[int] = ..., duration_ns: _Optional[int] = ..., local_layers: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ...) -> None: ...

class PolicyRejection(_message.Message):
    __slots__ = ("rule", "reason")
    RULE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rule: int
    reason: str
    def __init__(self, rule: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class WorkerResult(_message.Message):
    __slots__ = ("ring_id", "worker", "pool", "service", "failure")
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ring_id: bytes
    worker: str
    pool: str
    service: str
    failure: str
    def __init__(self, ring_id: _Optional[bytes] = ..., worker: _Optional[str] = ..., pool: _Optional[str] = ..., service: _Optional[str] = ..., failure: _Optional[str] = ...) -> None: ...

class Layer(_message.Message):
    __slots__ = ("name", "rules", "guard")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    GUARD_FIELD_NUMBER: _ClassVar[int]
    name: str
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    guard: bool
    def __init__(self, name: _Optional[str] = ..., rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., guard: bool = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("sent_ns", "oldest_unacked_age_ms")
    SENT_NS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_UNACKED_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    sent_ns: int
    oldest_unacked_age_ms: int
    def __init__(self, sent_ns: _Optional[int] = ..., oldest_unacked_age_ms: _Optional[int] = ...) -> None: ...

class Bye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message")
    class Code(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CODE_UNSPECIFIED: _ClassVar[Error.Code]
        CODE_PROTOCOL_VERSION: _ClassVar[Error.Code]
        CODE_PROTOCOL_VIOLATION: _ClassVar[Error.Code]
        CODE_SUPERSEDED: _ClassVar[Error.Code]
        CODE_STALE_EPOCH: _ClassVar[Error.Code]
        CODE_SHUTTING_DOWN: _ClassVar[Error.Code]
    CODE_UNSPECIFIED: Error.Code
    CODE_PROTOCOL_VERSION: Error.Code
    CODE_PROTOCOL_VIOLATION: Error.Code
    CODE_SUPERSEDED: Error.Code
    CODE_STALE_EPOCH: Error.Code
    CODE_SHUTTING_DOWN: Error.Code
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: Error.Code
    message: str
    def __init__(self, code: _Optional[_Union[Error.Code, str]] = ..., message: _Optional[str] = ...) -> None: ...
