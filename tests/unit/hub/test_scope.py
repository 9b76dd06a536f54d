"""Requests as the hub's API makes them."""

import math

import pytest

from shmtel.errors import ConfigurationError
from shmtel.hub.scope import removing, replacing, setting
from shmtel.policy.model import Rule, Sampling, Selector, Toggle
from shmtel.wire.control import (
    ChangeRequest,
    RemoveRule,
    ReplaceRules,
    SetRule,
    SetRules,
)

ON = Toggle(True)


def test_a_rule_for_whom_it_is_asked() -> None:
    """Every selector, the deadline and the wait arrive in the request."""
    scope = {"pool": "p", "service": "s", "node": "n"}
    request = setting("w", [ON], lifetime=1.5, wait=2, **scope)  # type: ignore[misc]
    rule = Rule(Selector("w", "p", "s", "n"), ON)
    assert request == ChangeRequest(SetRule(rule), 2_000, 1_500)


def test_without_a_scope_it_is_for_all_and_for_ever() -> None:
    """Nothing is waited for, and nothing expires."""
    assert setting("*", [ON]) == ChangeRequest(SetRule(Rule(Selector(), ON)))


def test_several_actions_are_one_change() -> None:
    """They become in force together."""
    actions = (Sampling(0.1), Sampling(1.0, ("*.exception",)))
    rules = tuple(Rule(Selector("w"), action) for action in actions)
    assert setting("w", actions) == ChangeRequest(SetRules(rules))


def test_removing_and_replacing() -> None:
    """They take a wait, and replaced rules a deadline."""
    rule = Rule(Selector("w"), ON)
    assert removing(rule, wait=1) == ChangeRequest(RemoveRule(rule), 1_000)
    expected = ChangeRequest(ReplaceRules((rule,)), 0, 1)
    assert replacing([rule], lifetime=1e-9) == expected


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(seconds: float) -> None:
    """A wait or a lifetime of nothing, or without end, is a mistake."""
    with pytest.raises(ConfigurationError, match="lifetime"):
        setting("w", [ON], lifetime=seconds)
    with pytest.raises(ConfigurationError, match="wait"):
        setting("w", [ON], wait=seconds)
