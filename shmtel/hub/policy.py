"""The desired state of all workers: an ordered list of rules with a version.

Setting a rule with the worker glob, kind and patterns of one that is there
replaces it, at the end of the list, because the last rule that matches wins.
The version grows with every change. Nothing is compiled here; each collector
does that for the rings it has.

Rules:
- what is set is judged here, with texts for people, and bounded, because
  collectors match every pattern against every event name;
- a Policy is immutable: it is read by every stream while the next is made.
"""

import math

from shmtel.errors import ConfigurationError
from shmtel.wire.frames import Action, Filter, Policy, Rule, Sampling, Toggle

RULES_MAX = 256
PATTERNS_MAX = 64  # of one rule
PATTERN_LENGTH_MAX = 255  # characters, as an event name


def with_rule(policy: Policy, rule: Rule) -> Policy:
    """Return the policy with a rule added, or replaced by it.

    Raises:
        ConfigurationError: the rule is wrong, or one too many.
    """
    _check(rule)
    slot = _slot(rule)
    rules = (*(kept for kept in policy.rules if _slot(kept) != slot), rule)
    if len(rules) > RULES_MAX:
        raise ConfigurationError(f"a policy holds at most {RULES_MAX} rules")
    return Policy(policy.version + 1, rules)


def _slot(rule: Rule) -> tuple[str, type, tuple[str, ...]]:
    """Return what makes two rules the same: worker glob, kind and patterns."""
    patterns = rule.action.patterns if isinstance(rule.action, Sampling) else ()
    return rule.worker, type(rule.action), patterns


def _check(rule: Rule) -> None:
    if rule.action is None:
        raise ConfigurationError("a rule needs toggle, sampling or filter")
    _check_patterns("worker", (rule.worker,))
    for name, patterns in _patterns_of(rule.action).items():
        _check_patterns(name, patterns)
    if isinstance(rule.action, Sampling):
        _check_rate(rule.action.rate)


def _patterns_of(action: Action) -> dict[str, tuple[str, ...]]:
    match action:
        case Sampling():
            return {"patterns": action.patterns}
        case Filter():
            return {"allow": action.allow, "deny": action.deny}
        case Toggle():
            return {}


def _check_rate(rate: float) -> None:
    if not (math.isfinite(rate) and 0.0 <= rate <= 1.0):
        raise ConfigurationError(f"a sampling rate is between 0 and 1, not {rate}")


def _check_patterns(name: str, patterns: tuple[str, ...]) -> None:
    if len(patterns) > PATTERNS_MAX:
        raise ConfigurationError(f"{name} holds at most {PATTERNS_MAX} patterns")
    for pattern in patterns:
        if not 1 <= len(pattern) <= PATTERN_LENGTH_MAX:
            raise ConfigurationError(
                f"a pattern of {name} has 1 to {PATTERN_LENGTH_MAX} characters, "
                f"not {len(pattern)}"
            )
