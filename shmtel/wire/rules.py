"""Policies and what belongs to them, to messages and back."""

from shmtel.policy import model
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.limits import HELLO_TEXT_MAX
from shmtel.wire.pb.shmtel.v1 import uplink_pb2 as pb


def put_policy(message: pb.Policy, policy: model.Policy) -> None:
    """Write a policy into its message."""
    message.version = policy.version
    message.origin = policy.origin
    message.sent_ns = policy.sent_ns
    for rule in policy.rules:
        put_rule(message.rules.add(), rule)


def put_rule(message: pb.Rule, rule: model.Rule) -> None:
    """Write a rule into its message."""
    message.worker = rule.selector.worker
    message.pool = rule.selector.pool
    message.service = rule.selector.service
    message.node = rule.selector.node
    message.expires_ns = rule.expires_ns
    match rule.action:
        case model.Toggle():
            message.toggle.SetInParent()
            message.toggle.enabled = rule.action.enabled
        case model.Sampling():
            message.sampling.SetInParent()
            message.sampling.rate = rule.action.rate
            message.sampling.patterns.extend(rule.action.patterns)
        case model.Filter():
            message.filter.SetInParent()
            message.filter.allow.extend(rule.action.allow)
            message.filter.deny.extend(rule.action.deny)


def put_layer(message: pb.Layer, layer: model.Layer) -> None:
    """Write a layer into its message."""
    message.name = layer.name
    message.guard = layer.is_guard
    for rule in layer.rules:
        put_rule(message.rules.add(), rule)


def put_status(message: pb.PolicyStatus, status: model.PolicyStatus) -> None:
    """Write a collector's answer into its message."""
    message.origin = status.origin
    message.version = status.version
    message.in_force_origin = status.in_force_origin
    message.in_force_version = status.in_force_version
    message.unlisted = status.unlisted
    message.duration_ns = status.duration_ns
    if status.rejection is not None:
        message.rejection.SetInParent()
        message.rejection.rule = status.rejection.rule
        message.rejection.reason = status.rejection.reason
    for result in status.workers:
        message.workers.add(
            ring_id=result.ring_id,
            worker=result.traits.worker,
            pool=result.traits.pool,
            service=result.traits.service,
            failure=result.failure,
        )
    for layer in status.local_layers:
        put_layer(message.local_layers.add(), layer)


def take_policy(message: pb.Policy) -> model.Policy:
    """Read a policy from its message.

    Raises:
        RemoteProtocolError: no Hello could name its origin, and so no hub would
            ever take a collector again that has it in force.
    """
    length = len(message.origin)
    if length > HELLO_TEXT_MAX:
        raise RemoteProtocolError(f"a policy whose origin has {length} characters")
    rules = tuple(map(take_rule, message.rules))
    return model.Policy(message.version, rules, message.origin, message.sent_ns)


def take_rule(message: pb.Rule) -> model.Rule:
    """Read a rule from its message."""
    selector = model.Selector(
        worker=message.worker or model.ANY,
        pool=message.pool or model.ANY,
        service=message.service or model.ANY,
        node=message.node or model.ANY,
    )
    return model.Rule(selector, _take_action(message), message.expires_ns)


def _take_action(message: pb.Rule) -> model.Action | None:
    match message.WhichOneof("kind"):
        case "toggle":
            return model.Toggle(message.toggle.enabled)
        case "sampling":
            sampling = message.sampling
            return model.Sampling(sampling.rate, tuple(sampling.patterns))
        case "filter":
            given = message.filter
            return model.Filter(tuple(given.allow), tuple(given.deny))
    return None


def take_layer(message: pb.Layer) -> model.Layer:
    """Read a layer from its message."""
    rules = tuple(map(take_rule, message.rules))
    return model.Layer(message.name, rules, message.guard)


def take_status(message: pb.PolicyStatus) -> model.PolicyStatus:
    """Read a collector's answer from its message."""
    rejection = None
    if message.HasField("rejection"):
        given = message.rejection
        rejection = model.Rejection(given.rule, given.reason)
    return model.PolicyStatus(
        origin=message.origin,
        version=message.version,
        rejection=rejection,
        in_force_origin=message.in_force_origin,
        in_force_version=message.in_force_version,
        workers=tuple(map(_take_result, message.workers)),
        unlisted=message.unlisted,
        duration_ns=message.duration_ns,
        local_layers=tuple(map(take_layer, message.local_layers)),
    )


def _take_result(message: pb.WorkerResult) -> model.WorkerResult:
    traits = model.Traits(message.worker, message.pool, message.service)
    return model.WorkerResult(message.ring_id, traits, message.failure)
