from shmtel.wire.pb.shmtel.v1 import uplink_pb2 as _uplink_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SetRuleRequest(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: _uplink_pb2.Rule
    def __init__(self, rule: _Optional[_Union[_uplink_pb2.Rule, _Mapping]] = ...) -> None: ...

class SetRuleResponse(_message.Message):
    __slots__ = ("policy_version", "collectors")
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    COLLECTORS_FIELD_NUMBER: _ClassVar[int]
    policy_version: int
    collectors: int
    def __init__(self, policy_version: _Optional[int] = ..., collectors: _Optional[int] = ...) -> None: ...

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
