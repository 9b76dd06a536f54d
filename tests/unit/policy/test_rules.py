"""The desired state: which rules replace which, and what is refused."""

import math

import pytest

from shmtel.errors import ConfigurationError
from shmtel.policy.model import Action, Filter, Policy, Rule, Sampling, Selector, Toggle
from shmtel.policy.rules import (
    EXPIRES_MAX_NS,
    PATTERN_LENGTH_MAX,
    PATTERNS_MAX,
    RULES_MAX,
    TEXT_MAX,
    PolicyError,
    by_own_clock,
    judge,
    next_expiry_ns,
    with_rule,
    with_rules,
    without_rule,
)


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


def test_a_policy_fits_a_message() -> None:
    """Patterns that are allowed one by one are refused when there are too many."""
    patterns = ("x" * PATTERN_LENGTH_MAX,) * PATTERNS_MAX
    rules = [
        Rule(Selector(str(number)), Filter(patterns, patterns))
        for number in range(TEXT_MAX // (2 * PATTERNS_MAX * PATTERN_LENGTH_MAX) + 1)
    ]
    judge(rules[:-1])
    with pytest.raises(PolicyError, match="more than 524288 characters"):
        judge(rules)


def test_the_wrong_rule_is_named_by_its_number() -> None:
    """Of a list the text says which one, and the whole list is refused."""
    good, bad = Rule(Selector(), Toggle(True)), Rule(Selector(), Sampling(7.0))
    with pytest.raises(PolicyError, match="rule 2: a sampling rate") as refused:
        with_rules(Policy(4), [good, bad], 0)
    assert refused.value.rule == 2


def test_a_temporary_rule_covers_the_permanent_one() -> None:
    """The permanent one stays underneath; a second temporary replaces the first."""
    off, on = (Rule(Selector(), Toggle(state)) for state in (False, True))
    first, second = (Rule(Selector(), Toggle(True), at) for at in (10, 20))
    assert policy_of(off, first).rules == (off, first)
    assert policy_of(off, first, second).rules == (off, second)
    assert policy_of(off, first, on).rules == (on,)


def test_expired_rules_go_with_the_next_change() -> None:
    """They are dropped when the list is made anew, not before."""
    brief, other = (
        Rule(Selector(g), Toggle(True), at) for g, at in (("a", 5), ("b", 0))
    )
    policy = with_rule(Policy(0), brief, 4)
    assert with_rule(policy, other, 4).rules == (brief, other)
    assert with_rule(policy, other, 5).rules == (other,)


@pytest.mark.parametrize(
    ("expires_ns", "text"), [(4, "expired already"), (2**63, "later than any clock")]
)
def test_an_expiry_that_means_nothing_is_refused(expires_ns: int, text: str) -> None:
    """A rule that would never act, or that no clock can end, is a mistake."""
    with pytest.raises(PolicyError, match=text):
        with_rule(Policy(0), Rule(Selector(), Toggle(True), expires_ns), 4)


def test_a_rule_is_removed_by_what_it_is_known_by() -> None:
    """Value and expiry do not matter; what is not there cannot be removed."""
    rule, brief = (Rule(Selector("a"), Toggle(False), at) for at in (0, 9))
    policy = policy_of(rule, brief)
    assert without_rule(policy, Rule(Selector("a"), Toggle(True)), 0) == Policy(3)
    with pytest.raises(PolicyError, match="there is no such rule"):
        without_rule(policy, Rule(Selector("b"), Toggle(True)), 0)


def test_the_next_expiry_is_that_of_a_live_rule() -> None:
    """Rules without one, and those that have expired, do not count."""
    rules = [Rule(Selector(), Toggle(True), at) for at in (0, 3, 9, 7)]
    assert next_expiry_ns(rules, 3) == 7
    assert next_expiry_ns(rules, 9) is None


def test_deadlines_are_moved_to_the_reader_s_clock() -> None:
    """What is left of a deadline counts, also when both clocks are far apart."""
    rules = tuple(Rule(Selector(), Toggle(True), at) for at in (0, 1_500))
    sent = Policy(3, rules, "o", 1_000)
    (kept, moved) = by_own_clock(sent, 40).rules
    assert (kept.expires_ns, moved.expires_ns) == (0, 540)
    (_, past) = by_own_clock(Policy(3, rules, "o", 2_000), 40).rules
    assert past.expires_ns == 1
    (_, late) = by_own_clock(
        Policy(3, (rules[0], Rule(Selector(), None, 2**64 - 1)), "o", 1), 2**62
    ).rules
    assert late.expires_ns == EXPIRES_MAX_NS
    assert by_own_clock(Policy(3, rules, "o"), 40) == Policy(3, rules, "o")
