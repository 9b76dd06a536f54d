"""The desired state: which rules replace which, and what is refused."""

import math

import pytest

from shmtel.errors import ConfigurationError
from shmtel.policy.model import Action, Filter, Policy, Rule, Sampling, Selector, Toggle
from shmtel.policy.rules import PATTERNS_MAX, RULES_MAX, with_rule


def policy_of(*rules: Rule) -> Policy:
    """Return what a hub has after these rules were set, one by one."""
    policy = Policy(0)
    for rule in rules:
        policy = with_rule(policy, rule, 0)
    return policy


def test_each_change_is_a_new_version() -> None:
    """The version grows with every rule, also with one that says the same."""
    rule = Rule(Selector("*"), Toggle(False))
    assert policy_of(rule, rule) == Policy(2, (rule,))


def test_the_same_rule_is_replaced_at_the_end() -> None:
    """Same worker glob, kind and patterns: the new one replaces the old."""
    other = Rule(Selector("*"), Sampling(0.5, ("b",)))
    old, new = (Rule(Selector("*"), Sampling(rate, ("a",))) for rate in (0.1, 0.2))
    assert policy_of(old, other, new).rules == (other, new)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Rule(Selector("a"), Toggle(True)), Rule(Selector("b"), Toggle(True))),
        (Rule(Selector("a"), Toggle(True)), Rule(Selector("a"), Filter())),
        (
            Rule(Selector("a"), Sampling(0.5)),
            Rule(Selector("a"), Sampling(0.5, ("x",))),
        ),
    ],
)
def test_different_rules_stand_beside_each_other(first: Rule, second: Rule) -> None:
    """Another worker glob, kind or list of patterns makes another rule."""
    assert policy_of(first, second).rules == (first, second)


def test_a_filter_replaces_the_one_of_its_workers() -> None:
    """What a filter allows and denies is its value, not what it is known by."""
    new = Rule(Selector("a"), Filter((), ("y",)))
    assert policy_of(Rule(Selector("a"), Filter(("x",))), new).rules == (new,)


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (Sampling(-0.1), "between 0 and 1, not -0.1"),
        (Sampling(1.5), "between 0 and 1"),
        (Sampling(math.nan), "between 0 and 1"),
        (Sampling(math.inf), "between 0 and 1"),
        (Sampling(0.5, ("",)), "pattern of patterns has 1 to 255"),
        (Filter(("x" * 256,)), "pattern of allow"),
        (Filter((), ("a",) * (PATTERNS_MAX + 1)), "deny holds at most 64"),
        (None, "nor anything known here"),
    ],
)
def test_rules_that_are_refused(action: Action | None, text: str) -> None:
    """A wrong rule is refused with a text that names what is wrong."""
    with pytest.raises(ConfigurationError, match=text):
        with_rule(Policy(0), Rule(Selector("*"), action), 0)


def test_a_worker_glob_is_needed() -> None:
    """A rule for no worker is a mistake."""
    with pytest.raises(ConfigurationError, match="worker"):
        with_rule(Policy(0), Rule(Selector(""), Toggle(True)), 0)


def test_the_number_of_rules_is_bounded() -> None:
    """Every collector matches every rule, so there is an end to them."""
    full = policy_of(*(Rule(Selector(str(i)), Toggle(True)) for i in range(RULES_MAX)))
    assert (
        with_rule(full, Rule(Selector("0"), Toggle(False)), 0).version == RULES_MAX + 1
    )
    with pytest.raises(ConfigurationError, match="at most 1024 rules"):
        with_rule(full, Rule(Selector("one more"), Toggle(True)), 0)
