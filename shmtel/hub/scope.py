"""For whom, how long and how patiently: what all changes of a hub's policy share."""

import math
from collections.abc import Sequence
from typing import TypedDict, Unpack

from shmtel.errors import ConfigurationError
from shmtel.policy.model import ANY, Action, Rule, Selector
from shmtel.wire.control import (
    Change,
    ChangeRequest,
    RemoveRule,
    ReplaceRules,
    SetRule,
    SetRules,
)


class Target(TypedDict, total=False):
    """Further globs that a worker has to match, beside that over its id."""

    pool: str
    service: str
    node: str


class Patience(TypedDict, total=False):
    """Seconds; None: for ever, or not at all."""

    lifetime: float | None  # after which the rules that are set expire by themselves
    wait: float | None  # for the answers of the collectors


class Scope(Target, Patience, total=False):
    """What a rule is for, and how."""


def setting(
    worker: str, actions: Sequence[Action], **scope: Unpack[Scope]
) -> ChangeRequest:
    """Return the request that sets actions for workers, all of them at once."""
    rules = tuple(rule_for(worker, action, **_target(scope)) for action in actions)
    change = SetRule(rules[0]) if len(rules) == 1 else SetRules(rules)
    return _request(change, scope)


def removing(rule: Rule, **patience: Unpack[Patience]) -> ChangeRequest:
    """Return the request that removes a rule."""
    return _request(RemoveRule(rule), patience)


def replacing(rules: Sequence[Rule], **patience: Unpack[Patience]) -> ChangeRequest:
    """Return the request that replaces all rules."""
    return _request(ReplaceRules(tuple(rules)), patience)


def rule_for(worker: str, action: Action, **target: Unpack[Target]) -> Rule:
    """Return a rule for the workers that match."""
    return Rule(Selector(worker, **target), action)


def _target(scope: Scope) -> Target:
    return {
        "pool": scope.get("pool", ANY),
        "service": scope.get("service", ANY),
        "node": scope.get("node", ANY),
    }


def _request(change: Change, patience: Patience | Scope) -> ChangeRequest:
    return ChangeRequest(
        change,
        wait_ms=_milliseconds("wait", patience.get("wait")),
        lifetime_ms=_milliseconds("lifetime", patience.get("lifetime")),
    )


def _milliseconds(name: str, seconds: float | None) -> int:
    if seconds is None:
        return 0
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigurationError(f"{name} is a number of seconds above 0 or None")
    return max(1, round(seconds * 1_000))
