"""Local overlays: rules that an operator of this host lays over the fleet's.

Each has a name and is a policy of its own, with a version that counts the
changes of all of them. One that is new lies on top; one without rules is gone.
Every rule of an overlay expires: one that was forgotten must not outlive the
reason for it.

Rules: pure; the time comes in as an argument.
"""

from collections.abc import Iterable
from dataclasses import replace

from shmtel.policy.model import FLEET, GUARD, Policy, Rule
from shmtel.policy.rules import (
    PolicyError,
    is_live,
    with_all,
    with_rule,
    with_rules,
    without_rule,
)
from shmtel.wire.control import (
    Change,
    ChangeRequest,
    RemoveRule,
    ReplaceRules,
    SetRule,
    SetRules,
)

DEFAULT_NAME = "local"
NAME_MAX = 64  # characters
OVERLAYS_MAX = 16
DEFAULT_LIFETIME_MS = 3_600_000
LIFETIME_MAX_MS = 366 * 24 * 3_600_000

Overlays = tuple[Policy, ...]


def changed(
    overlays: Overlays, request: ChangeRequest, now_ns: int
) -> tuple[Overlays, Policy]:
    """Return the overlays after a change, and the one that was changed.

    Raises:
        PolicyError: it cannot be made; the text says why.
    """
    name = request.overlay or DEFAULT_NAME
    _judge_name(name)
    place = next((i for i, old in enumerate(overlays) if old.origin == name), None)
    old = Policy(origin=name) if place is None else overlays[place]
    version = max((overlay.version for overlay in overlays), default=0)
    new = _after(replace(old, version=version), _dying(request, now_ns), now_ns)
    kept = [*overlays, new] if place is None else [*overlays]
    if place is not None:
        kept[place] = new
    return _judged(kept), new


def pruned(overlays: Overlays, now_ns: int) -> Overlays:
    """Return the overlays without what has expired."""
    return _with_rules(without_expired(overlay, now_ns) for overlay in overlays)


def without_expired(policy: Policy, now_ns: int) -> Policy:
    """Return a policy, of whatever layer, without what has expired."""
    rules = tuple(rule for rule in policy.rules if is_live(rule, now_ns))
    return replace(policy, rules=rules)


def _with_rules(overlays: Iterable[Policy]) -> Overlays:
    return tuple(overlay for overlay in overlays if overlay.rules)


def _judged(overlays: Iterable[Policy]) -> Overlays:
    result = _with_rules(overlays)
    if len(result) > OVERLAYS_MAX:
        raise PolicyError(0, f"there are at most {OVERLAYS_MAX} overlays")
    return result


def _judge_name(name: str) -> None:
    if len(name) > NAME_MAX or not name.isprintable():
        raise PolicyError(0, f"an overlay's name has 1 to {NAME_MAX} printable letters")
    if name in (FLEET, GUARD):
        raise PolicyError(0, f"{name!r} is no name for an overlay: it has a meaning")


def _dying(request: ChangeRequest, now_ns: int) -> Change:
    """Give the rules of a request their deadline."""
    lifetime_ms = request.lifetime_ms or DEFAULT_LIFETIME_MS
    if lifetime_ms > LIFETIME_MAX_MS:
        raise PolicyError(0, "an overlay lives for 366 days at most")
    expires_ns = now_ns + lifetime_ms * 1_000_000

    def dying(rule: Rule) -> Rule:
        return replace(rule, expires_ns=expires_ns)

    match request.change:
        case SetRule(rule):
            return SetRule(dying(rule))
        case SetRules(rules):
            return SetRules(tuple(map(dying, rules)))
        case ReplaceRules(rules):
            return ReplaceRules(tuple(map(dying, rules)))
    return request.change


def _after(overlay: Policy, change: Change, now_ns: int) -> Policy:
    match change:
        case SetRule(rule):
            return with_rule(overlay, rule, now_ns)
        case SetRules(rules):
            return with_all(overlay, rules, now_ns)
        case RemoveRule(rule):
            return without_rule(overlay, rule, now_ns)
        case ReplaceRules(rules):
            return with_rules(overlay, rules, now_ns)
