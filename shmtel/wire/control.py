"""The `Control` service: its paths, and its messages as plain data and bytes.

Both ends of it, the operator's tool and the hub, come here, because generated
messages do not leave this package.

Rules:
- what a peer sent is either decoded or a RemoteProtocolError, nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from shmtel.wire.codec import put_plain, put_totals, take_plain, take_totals
from shmtel.wire.errors import LocalProtocolError, RemoteProtocolError
from shmtel.wire.frames import Rule, Worker
from shmtel.wire.pb.shmtel.v1 import control_pb2 as pb
from shmtel.wire.rules import put_rule, take_rule

SERVICE = "shmtel.v1.Control"
SET_RULE = "SetRule"
LIST_WORKERS = "ListWorkers"

_Message = TypeVar("_Message", bound=Message)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The answer to SetRule: what holds the rule, and who was told."""

    policy_version: int
    collectors: int


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One ring as the hub knows it."""

    node: str
    worker: Worker
    ring_id: bytes
    last_seq: int
    totals: Mapping[int, int]
    is_closed: bool


def method_path(method: str) -> str:
    """Return the path under which a method is called."""
    return f"/{SERVICE}/{method}"


def encode_set_rule_request(rule: Rule) -> bytes:
    """Encode the request that adds a rule.

    Raises:
        LocalProtocolError: a field does not fit its message.
    """
    message = pb.SetRuleRequest()
    try:
        put_rule(message.rule, rule)
        return message.SerializeToString()
    except (TypeError, ValueError) as error:
        raise LocalProtocolError(f"the rule cannot be encoded: {error}") from error


def decode_set_rule_request(data: bytes) -> Rule:
    """Decode the request that adds a rule."""
    return take_rule(_parsed(pb.SetRuleRequest(), data).rule)


def encode_set_rule_response(result: RuleSet) -> bytes:
    """Encode the answer to SetRule."""
    return pb.SetRuleResponse(
        policy_version=result.policy_version, collectors=result.collectors
    ).SerializeToString()


def decode_set_rule_response(data: bytes) -> RuleSet:
    """Decode the answer to SetRule."""
    message = _parsed(pb.SetRuleResponse(), data)
    return RuleSet(message.policy_version, message.collectors)


def encode_list_workers_request() -> bytes:
    """Encode the request that lists the workers."""
    return pb.ListWorkersRequest().SerializeToString()


def encode_list_workers_response(workers: Iterable[WorkerStatus]) -> bytes:
    """Encode the answer to ListWorkers."""
    message = pb.ListWorkersResponse()
    for status in workers:
        entry = message.workers.add(
            node=status.node,
            ring_id=status.ring_id,
            last_seq=status.last_seq,
            closed=status.is_closed,
        )
        put_plain(entry.worker, status.worker)
        put_totals(entry.totals, status.totals)
    return message.SerializeToString()


def decode_list_workers_response(data: bytes) -> list[WorkerStatus]:
    """Decode the answer to ListWorkers."""
    message = _parsed(pb.ListWorkersResponse(), data)
    return [
        WorkerStatus(
            node=entry.node,
            worker=take_plain(Worker, entry.worker),
            ring_id=entry.ring_id,
            last_seq=entry.last_seq,
            totals=take_totals(entry.totals),
            is_closed=entry.closed,
        )
        for entry in message.workers
    ]


def _parsed(message: _Message, data: bytes) -> _Message:
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise RemoteProtocolError(f"bytes that are not a message: {error}") from error
    return message
