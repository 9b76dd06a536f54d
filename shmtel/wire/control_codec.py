"""The messages of `Control` to bytes and back.

Both ends of the service, the operator's tool and the servers (hub and collector),
come here, because generated messages do not leave this package.

Rules:
- what a peer sent is either decoded or a RemoteProtocolError, nothing else.
"""

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import EncodeError, Message

from shmtel.policy.model import Rule
from shmtel.policy.verdicts import Verdict
from shmtel.wire.control import (
    Change,
    ChangeReport,
    ChangeRequest,
    Explanation,
    HostReport,
    PolicyReport,
    RemoveRule,
    ReplaceRules,
    SetRule,
    SetRules,
    WorkerStatus,
)
from shmtel.wire.errors import LocalProtocolError, RemoteProtocolError
from shmtel.wire.fields import (
    parsed,
    put_plain,
    put_totals,
    take_totals,
    take_worker,
)
from shmtel.wire.pb.shmtel.v1 import control_pb2 as pb
from shmtel.wire.rules import (
    put_layer,
    put_rule,
    put_status,
    take_layer,
    take_rule,
    take_status,
)

# -- ChangePolicy ------------------------------------------------------------


def encode_change_request(request: ChangeRequest) -> bytes:
    """Encode the request that changes a policy.

    Raises:
        LocalProtocolError: a field does not fit its message.
    """
    message = pb.ChangePolicyRequest()

    def fill() -> None:
        message.wait_ms = request.wait_ms
        message.lifetime_ms = request.lifetime_ms
        message.overlay = request.overlay
        match request.change:
            case SetRule(rule):
                put_rule(message.set, rule)
            case RemoveRule(rule):
                put_rule(message.remove, rule)
            case ReplaceRules(rules):
                message.replace.SetInParent()
                _put_rules(message.replace, rules)
            case SetRules(rules):
                message.set_all.SetInParent()
                _put_rules(message.set_all, rules)

    return _encoded(message, fill)


def decode_change_request(data: bytes) -> ChangeRequest:
    """Decode the request that changes a policy."""
    message = parsed(pb.ChangePolicyRequest(), data)
    return ChangeRequest(
        _take_change(message), message.wait_ms, message.lifetime_ms, message.overlay
    )


def _put_rules(message: pb.RuleList, rules: Iterable[Rule]) -> None:
    for rule in rules:
        put_rule(message.rules.add(), rule)


def _take_change(message: pb.ChangePolicyRequest) -> Change:
    match message.WhichOneof("change"):
        case "set":
            return SetRule(take_rule(message.set))
        case "remove":
            return RemoveRule(take_rule(message.remove))
        case "replace":
            return ReplaceRules(tuple(map(take_rule, message.replace.rules)))
        case "set_all":
            return SetRules(tuple(map(take_rule, message.set_all.rules)))
    raise RemoteProtocolError("a request without a change that is known here")


def encode_change_report(report: ChangeReport) -> bytes:
    """Encode the answer to ChangePolicy."""
    message = pb.ChangePolicyResponse(
        origin=report.origin, version=report.version, duration_ns=report.duration_ns
    )
    _put_hosts(message.hosts, report.hosts)
    return message.SerializeToString()


def decode_change_report(data: bytes) -> ChangeReport:
    """Decode the answer to ChangePolicy."""
    message = parsed(pb.ChangePolicyResponse(), data)
    hosts = _take_hosts(message.hosts)
    return ChangeReport(message.origin, message.version, hosts, message.duration_ns)


# -- GetPolicy ---------------------------------------------------------------


def encode_policy_request() -> bytes:
    """Encode the request for the rules."""
    return pb.GetPolicyRequest().SerializeToString()


def encode_policy_report(report: PolicyReport) -> bytes:
    """Encode the answer to GetPolicy."""
    message = pb.GetPolicyResponse(origin=report.origin, version=report.version)
    for layer in report.layers:
        put_layer(message.layers.add(), layer)
    _put_hosts(message.hosts, report.hosts)
    return message.SerializeToString()


def decode_policy_report(data: bytes) -> PolicyReport:
    """Decode the answer to GetPolicy."""
    message = parsed(pb.GetPolicyResponse(), data)
    layers = tuple(map(take_layer, message.layers))
    hosts = _take_hosts(message.hosts)
    return PolicyReport(message.origin, message.version, layers, hosts)


def _put_hosts(repeated: Any, hosts: Iterable[HostReport]) -> None:
    for host in hosts:
        entry = repeated.add(node=host.node, host_id=host.host_id, missing=host.missing)
        if host.status is not None:
            entry.status.SetInParent()
            put_status(entry.status, host.status)


def _take_hosts(repeated: Iterable[Any]) -> tuple[HostReport, ...]:
    return tuple(
        HostReport(
            entry.node,
            entry.host_id,
            take_status(entry.status) if entry.HasField("status") else None,
            entry.missing,
        )
        for entry in repeated
    )


# -- ExplainPolicy -----------------------------------------------------------


def encode_explain_request(worker: str) -> bytes:
    """Encode the request to explain what is in force for workers.

    Raises:
        LocalProtocolError: the glob does not fit its message.
    """
    message = pb.ExplainPolicyRequest()

    def fill() -> None:
        message.worker = worker

    return _encoded(message, fill)


def decode_explain_request(data: bytes) -> str:
    """Decode the request to explain; return the glob over worker ids."""
    return parsed(pb.ExplainPolicyRequest(), data).worker


def encode_explanations(explanations: Iterable[Explanation]) -> bytes:
    """Encode the answer to ExplainPolicy."""
    message = pb.ExplainPolicyResponse()
    for explanation in explanations:
        entry = message.workers.add(
            node=explanation.node, ring_id=explanation.ring_id, note=explanation.note
        )
        put_plain(entry.worker, explanation.worker)
        _put_verdict(entry.enabled, explanation.enabled)
        _put_verdict(entry.other, explanation.other)
        for name, verdict in explanation.events.items():
            _put_verdict(entry.events.add(event=name).verdict, verdict)
    return message.SerializeToString()


def decode_explanations(data: bytes) -> list[Explanation]:
    """Decode the answer to ExplainPolicy."""
    return [
        Explanation(
            node=entry.node,
            worker=take_worker(entry.worker),
            ring_id=entry.ring_id,
            enabled=_take_verdict(entry.enabled),
            other=_take_verdict(entry.other),
            events={item.event: _take_verdict(item.verdict) for item in entry.events},
            note=entry.note,
        )
        for entry in parsed(pb.ExplainPolicyResponse(), data).workers
    ]


def _put_verdict(message: pb.Verdict, verdict: Verdict) -> None:
    message.word = verdict.word
    message.layer = verdict.layer
    if verdict.rule is not None:
        message.rule.SetInParent()
        put_rule(message.rule, verdict.rule)


def _take_verdict(message: pb.Verdict) -> Verdict:
    rule = take_rule(message.rule) if message.HasField("rule") else None
    return Verdict(message.word, message.layer, rule)


# -- ListWorkers -------------------------------------------------------------


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
    return [
        WorkerStatus(
            node=entry.node,
            worker=take_worker(entry.worker),
            ring_id=entry.ring_id,
            last_seq=entry.last_seq,
            totals=take_totals(entry.totals),
            is_closed=entry.closed,
        )
        for entry in parsed(pb.ListWorkersResponse(), data).workers
    ]


def _encoded(message: Message, fill: Callable[[], None]) -> bytes:
    try:
        fill()
        return message.SerializeToString()
    except (TypeError, ValueError, EncodeError) as error:
        raise LocalProtocolError(f"the request cannot be encoded: {error}") from error
