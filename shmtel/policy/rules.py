"""Changing a policy, and judging one.

Two rules are the same when selector, kind and, for sampling, patterns are. A
rule replaces the same one and moves to the end of the list, because the last
rule that matches wins. A rule with an expiry leaves the permanent one in place,
underneath, so that its end brings back what was there before.

Rules:
- what is set is judged, with texts for people, and bounded, because collectors
  match every pattern against every event name;
- a Policy is immutable: it is read by every stream while the next is made.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from shmtel.errors import ConfigurationError
from shmtel.policy.model import (
    Action,
    Filter,
    Policy,
    Rule,
    Sampling,
    Selector,
    Traits,
)

RULES_MAX = 1_024
PATTERNS_MAX = 64  # of one rule
PATTERN_LENGTH_MAX = 255  # characters, as an event name
# Of all patterns of a policy together. It travels in one message of at most 4 MiB,
# and one that no collector could receive would cut off all of them.
TEXT_MAX = 512 << 10
EXPIRES_MAX_NS = 2**63 - 1

Slot = tuple[object, ...]


class PolicyError(ConfigurationError):
    """A policy that cannot be obeyed.

    Attributes:
        rule: number of the rule in the list, from 1; 0: the policy as a whole.
        reason: what is wrong with it, without the number.
    """

    def __init__(self, rule: int, reason: str) -> None:
        super().__init__(f"rule {rule}: {reason}" if rule else reason)
        self.rule = rule
        self.reason = reason


def slot_of(rule: Rule) -> Slot:
    """Return what makes two rules the same."""
    patterns = rule.action.patterns if isinstance(rule.action, Sampling) else ()
    return rule.selector, type(rule.action), patterns


def with_rule(policy: Policy, rule: Rule, now_ns: int) -> Policy:
    """Return the next version, with a rule added, or replaced by it.

    Raises:
        PolicyError: the rule is wrong, has expired already, or is one too many.
    """
    try:
        return with_all(policy, (rule,), now_ns)
    except PolicyError as error:
        raise PolicyError(0, error.reason) from None  # a number says nothing here


def with_all(policy: Policy, rules: Sequence[Rule], now_ns: int) -> Policy:
    """Return the next version, with rules added or replaced in this order.

    Raises:
        PolicyError: one of them is wrong or has expired already, or there are none,
            or too many.
    """
    if not rules:
        raise PolicyError(0, "there is no rule to set")
    judge(rules)
    kept = policy.rules
    for number, rule in enumerate(rules, 1):
        if not is_live(rule, now_ns):
            raise PolicyError(number, "it has expired already")
        kept = (*(old for old in kept if not _is_replaced(old, rule)), rule)
    return with_rules(policy, kept, now_ns)


def without_rule(policy: Policy, rule: Rule, now_ns: int) -> Policy:
    """Return the next version, without the rules that are the same as one.

    Raises:
        PolicyError: there is none.
    """
    kept = [old for old in policy.rules if slot_of(old) != slot_of(rule)]
    if len(kept) == len(policy.rules):
        raise PolicyError(0, "there is no such rule")
    return with_rules(policy, kept, now_ns)


def with_rules(policy: Policy, rules: Iterable[Rule], now_ns: int) -> Policy:
    """Return the next version, with other rules; those that have expired are gone.

    Raises:
        PolicyError: one of them is wrong, or there are too many.
    """
    live = tuple(rule for rule in rules if is_live(rule, now_ns))
    judge(live)
    return replace(policy, version=policy.version + 1, rules=live)


def is_live(rule: Rule, now_ns: int) -> bool:
    """Say whether a rule still counts."""
    return rule.expires_ns == 0 or rule.expires_ns > now_ns


def next_expiry_ns(rules: Iterable[Rule], now_ns: int) -> int | None:
    """Return when the first of the live rules expires; None: none ever does."""
    return min(
        (rule.expires_ns for rule in rules if rule.expires_ns > now_ns), default=None
    )


def by_own_clock(policy: Policy, now_ns: int) -> Policy:
    """Return the policy with expiries by our clock instead of the sender's."""
    if policy.sent_ns == 0:
        return policy
    shift = now_ns - policy.sent_ns
    rules = tuple(
        replace(rule, expires_ns=min(max(rule.expires_ns + shift, 1), EXPIRES_MAX_NS))
        if rule.expires_ns
        else rule
        for rule in policy.rules
    )
    return replace(policy, rules=rules, sent_ns=0)


def judge(rules: Iterable[Rule]) -> None:
    """Judge rules before they act: all of them are obeyed, or none.

    Raises:
        PolicyError: one of them is wrong, or there are too many.
    """
    size = 0
    for number, rule in enumerate(rules, 1):
        if number > RULES_MAX:
            raise PolicyError(0, f"a policy holds at most {RULES_MAX} rules")
        flaw = _flaw(rule)
        if flaw is not None:
            raise PolicyError(number, flaw)
        size += sum(len(text) for globs in _globs_of(rule).values() for text in globs)
        if size > TEXT_MAX:
            raise PolicyError(0, f"its patterns hold more than {TEXT_MAX} characters")


def selects(selector: Selector, traits: Traits) -> bool:
    """Say whether a selector picks a worker."""
    return (
        fnmatchcase(traits.worker, selector.worker)
        and fnmatchcase(traits.pool, selector.pool)
        and fnmatchcase(traits.service, selector.service)
        and fnmatchcase(traits.node, selector.node)
    )


def patterns_flaw(rule: Rule) -> str | None:
    """Say which patterns of a rule are too many or too long."""
    flaws = (_pattern_flaw(name, globs) for name, globs in _globs_of(rule).items())
    return next(filter(None, flaws), None)


def _is_replaced(old: Rule, new: Rule) -> bool:
    """A permanent rule replaces all of its slot, one with an expiry its like."""
    if slot_of(old) != slot_of(new):
        return False
    return new.expires_ns == 0 or old.expires_ns != 0


def _flaw(rule: Rule) -> str | None:
    if rule.expires_ns > EXPIRES_MAX_NS:
        return "it expires later than any clock can tell"
    if rule.action is None:
        return "neither toggle nor sampling nor filter, nor anything known here"
    if isinstance(rule.action, Sampling):
        return patterns_flaw(rule) or _rate_flaw(rule.action.rate)
    return patterns_flaw(rule)


def _globs_of(rule: Rule) -> dict[str, tuple[str, ...]]:
    selector = rule.selector
    return {
        "worker": (selector.worker,),
        "pool": (selector.pool,),
        "service": (selector.service,),
        "node": (selector.node,),
        **_patterns_of(rule.action),
    }


def _patterns_of(action: Action | None) -> dict[str, tuple[str, ...]]:
    match action:
        case Sampling():
            return {"patterns": action.patterns}
        case Filter():
            return {"allow": action.allow, "deny": action.deny}
        case _:
            return {}


def _rate_flaw(rate: float) -> str | None:
    if math.isfinite(rate) and 0.0 <= rate <= 1.0:
        return None
    return f"a sampling rate is between 0 and 1, not {rate}"


def _pattern_flaw(name: str, patterns: tuple[str, ...]) -> str | None:
    if len(patterns) > PATTERNS_MAX:
        return f"{name} holds at most {PATTERNS_MAX} patterns"
    for pattern in patterns:
        if not 1 <= len(pattern) <= PATTERN_LENGTH_MAX:
            return (
                f"a pattern of {name} has 1 to {PATTERN_LENGTH_MAX} characters, "
                f"not {len(pattern)}"
            )
    return None
