from shmtel.wire.pb.shmtel.v1 import uplink_pb2 as _uplink_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChangePolicyRequest(_message.Message):
    __slots__ = ("set", "remove", "replace", "set_all", "wait_ms", "lifetime_ms", "overlay")
    SET_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    SET_ALL_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_MS_FIELD_NUMBER: _ClassVar[int]
    OVERLAY_FIELD_NUMBER: _ClassVar[int]
    set: _uplink_pb2.Rule
    remove: _uplink_pb2.Rule
    replace: RuleList
    set_all: RuleList
    wait_ms: int
    lifetime_ms: int
    overlay: str
    def __init__(self, set: _Optional[_Union[_uplink_pb2.Rule, _Mapping]] = ..., remove: _Optional[_Union[_uplink_pb2.Rule, _Mapping]] = ..., replace: _Optional[_Union[RuleList, _Mapping]] = ..., set_all: _Optional[_Union[RuleList, _Mapping]] = ..., wait_ms: _Optional[int] = ..., lifetime_ms: _Optional[int] = ..., overlay: _Optional[str] = ...) -> None: ...

class RuleList(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[_uplink_pb2.Rule]
    def __init__(self, rules: _Optional[_Iterable[_Union[_uplink_pb2.Rule, _Mapping]]] = ...) -> None: ...

class ChangePolicyResponse(_message.Message):
    __slots__ = ("origin", "version", "hosts", "duration_ns")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    DURATION_NS_FIELD_NUMBER: _ClassVar[int]
    origin: str
    version: int
    hosts: _containers.RepeatedCompositeFieldContainer[HostReport]
    duration_ns: int
    def __init__(self, origin: _Optional[str] = ..., version: _Optional[int] = ..., hosts: _Optional[_Iterable[_Union[HostReport, _Mapping]]] = ..., duration_ns: _Optional[int] = ...) -> None: ...

class HostReport(_message.Message):
    __slots__ = ("node", "host_id", "status", "missing")
    NODE_FIELD_NUMBER: _ClassVar[int]
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    node: str
    host_id: str
    status: _uplink_pb2.PolicyStatus
    missing: str
    def __init__(self, node: _Optional[str] = ..., host_id: _Optional[str] = ..., status: _Optional[_Union[_uplink_pb2.PolicyStatus, _Mapping]] = ..., missing: _Optional[str] = ...) -> None: ...

class GetPolicyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetPolicyResponse(_message.Message):
    __slots__ = ("origin", "version", "layers", "hosts")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    origin: str
    version: int
    layers: _containers.RepeatedCompositeFieldContainer[_uplink_pb2.Layer]
    hosts: _containers.RepeatedCompositeFieldContainer[HostReport]
    def __init__(self, origin: _Optional[str] = ..., version: _Optional[int] = ..., layers: _Optional[_Iterable[_Union[_uplink_pb2.Layer, _Mapping]]] = ..., hosts: _Optional[_Iterable[_Union[HostReport, _Mapping]]] = ...) -> None: ...

class ExplainPolicyRequest(_message.Message):
    __slots__ = ("worker",)
    WORKER_FIELD_NUMBER: _ClassVar[int]
    worker: str
    def __init__(self, worker: _Optional[str] = ...) -> None: ...

class ExplainPolicyResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerExplanation]
    def __init__(self, workers: _Optional[_Iterable[_Union[WorkerExplanation, _Mapping]]] = ...) -> None: ...

class WorkerExplanation(_message.Message):
    __slots__ = ("node", "worker", "ring_id", "enabled", "other", "events", "note")
    NODE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    node: str
    worker: _uplink_pb2.Worker
    ring_id: bytes
    enabled: Verdict
    other: Verdict
    events: _containers.RepeatedCompositeFieldContainer[EventVerdict]
    note: str
    def __init__(self, node: _Optional[str] = ..., worker: _Optional[_Union[_uplink_pb2.Worker, _Mapping]] = ..., ring_id: _Optional[bytes] = ..., enabled: _Optional[_Union[Verdict, _Mapping]] = ..., other: _Optional[_Union[Verdict, _Mapping]] = ..., events: _Optional[_Iterable[_Union[EventVerdict, _Mapping]]] = ..., note: _Optional[str] = ...) -> None: ...

class EventVerdict(_message.Message):
    __slots__ = ("event", "verdict")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    event: str
    verdict: Verdict
    def __init__(self, event: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("word", "layer", "rule")
    WORD_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    word: int
    layer: str
    rule: _uplink_pb2.Rule
    def __init__(self, word: _Optional[int] = ..., layer: _Optional[str] = ..., rule: _Optional[_Union[_uplink_pb2.Rule, _Mapping]] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerStatus]
    def __init__(self, workers: _Optional[_Iterable[_Union[WorkerStatus, _Mapping]]] = ...) -> None: ...

class WorkerStatus(_message.Message):
    __slots__ = ("node", "worker", "ring_id", "last_seq", "totals", "closed")
    NODE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    node: str
    worker: _uplink_pb2.Worker
    ring_id: bytes
    last_seq: int
    totals: _containers.RepeatedCompositeFieldContainer[_uplink_pb2.OutcomeTotal]
    closed: bool
    def __init__(self, node: _Optional[str] = ..., worker: _Optional[_Union[_uplink_pb2.Worker, _Mapping]] = ..., ring_id: _Optional[bytes] = ..., last_seq: _Optional[int] = ..., totals: _Optional[_Iterable[_Union[_uplink_pb2.OutcomeTotal, _Mapping]]] = ..., closed: bool = ...) -> None: ...

class LedgerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LedgerPage(_message.Message):
    __slots__ = ("hosts", "rings")
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    RINGS_FIELD_NUMBER: _ClassVar[int]
    hosts: _containers.RepeatedCompositeFieldContainer[HostLedger]
    rings: _containers.RepeatedCompositeFieldContainer[RingLedger]
    def __init__(self, hosts: _Optional[_Iterable[_Union[HostLedger, _Mapping]]] = ..., rings: _Optional[_Iterable[_Union[RingLedger, _Mapping]]] = ...) -> None: ...

class HostLedger(_message.Message):
    __slots__ = ("host_id", "node", "namespace", "connected", "as_of_ns", "counters", "folded")
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    AS_OF_NS_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    FOLDED_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    node: str
    namespace: str
    connected: bool
    as_of_ns: int
    counters: _uplink_pb2.HostCounters
    folded: RingSum
    def __init__(self, host_id: _Optional[str] = ..., node: _Optional[str] = ..., namespace: _Optional[str] = ..., connected: bool = ..., as_of_ns: _Optional[int] = ..., counters: _Optional[_Union[_uplink_pb2.HostCounters, _Mapping]] = ..., folded: _Optional[_Union[RingSum, _Mapping]] = ...) -> None: ...

class RingSum(_message.Message):
    __slots__ = ("rings", "committed", "totals", "counters")
    RINGS_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    rings: int
    committed: int
    totals: _containers.RepeatedCompositeFieldContainer[_uplink_pb2.OutcomeTotal]
    counters: _uplink_pb2.WorkerCounters
    def __init__(self, rings: _Optional[int] = ..., committed: _Optional[int] = ..., totals: _Optional[_Iterable[_Union[_uplink_pb2.OutcomeTotal, _Mapping]]] = ..., counters: _Optional[_Union[_uplink_pb2.WorkerCounters, _Mapping]] = ...) -> None: ...

class RingLedger(_message.Message):
    __slots__ = ("host_id", "worker", "ring_id", "last_seq", "totals", "sent_seq", "spooled_seq", "counters", "closed_reason", "gone")
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    SENT_SEQ_FIELD_NUMBER: _ClassVar[int]
    SPOOLED_SEQ_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_REASON_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    worker: _uplink_pb2.Worker
    ring_id: bytes
    last_seq: int
    totals: _containers.RepeatedCompositeFieldContainer[_uplink_pb2.OutcomeTotal]
    sent_seq: int
    spooled_seq: int
    counters: _uplink_pb2.WorkerCounters
    closed_reason: str
    gone: bool
    def __init__(self, host_id: _Optional[str] = ..., worker: _Optional[_Union[_uplink_pb2.Worker, _Mapping]] = ..., ring_id: _Optional[bytes] = ..., last_seq: _Optional[int] = ..., totals: _Optional[_Iterable[_Union[_uplink_pb2.OutcomeTotal, _Mapping]]] = ..., sent_seq: _Optional[int] = ..., spooled_seq: _Optional[int] = ..., counters: _Optional[_Union[_uplink_pb2.WorkerCounters, _Mapping]] = ..., closed_reason: _Optional[str] = ..., gone: bool = ...) -> None: ...
