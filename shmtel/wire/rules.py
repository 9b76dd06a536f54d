"""Rules and policies to messages and back, for the uplink and for `Control`."""

from shmtel.wire import frames
from shmtel.wire.pb.shmtel.v1 import uplink_pb2 as pb


def put_policy(message: pb.Policy, frame: frames.Policy) -> None:
    """Write a policy into its message."""
    message.version = frame.version
    for rule in frame.rules:
        put_rule(message.rules.add(), rule)


def put_rule(message: pb.Rule, rule: frames.Rule) -> None:
    """Write a rule into its message."""
    message.worker = rule.worker
    match rule.action:
        case frames.Toggle():
            message.toggle.SetInParent()
            message.toggle.enabled = rule.action.enabled
        case frames.Sampling():
            message.sampling.SetInParent()
            message.sampling.rate = rule.action.rate
            message.sampling.patterns.extend(rule.action.patterns)
        case frames.Filter():
            message.filter.SetInParent()
            message.filter.allow.extend(rule.action.allow)
            message.filter.deny.extend(rule.action.deny)


def take_policy(message: pb.Policy) -> frames.Policy:
    """Read a policy from its message."""
    return frames.Policy(message.version, tuple(map(take_rule, message.rules)))


def take_rule(message: pb.Rule) -> frames.Rule:
    """Read a rule from its message."""
    action: frames.Action | None = None
    match message.WhichOneof("kind"):
        case "toggle":
            action = frames.Toggle(message.toggle.enabled)
        case "sampling":
            sampling = message.sampling
            action = frames.Sampling(sampling.rate, tuple(sampling.patterns))
        case "filter":
            given = message.filter
            action = frames.Filter(tuple(given.allow), tuple(given.deny))
    return frames.Rule(message.worker, action)
