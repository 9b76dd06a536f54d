"""Local overlays: names, order, deadlines and bounds."""

import pytest

from shmtel.policy.model import Policy, Rule, Sampling, Selector, Toggle
from shmtel.policy.rules import PolicyError
from shmtel.wire.control import (
    Change,
    ChangeRequest,
    RemoveRule,
    ReplaceRules,
    SetRule,
    SetRules,
)
from shmtel_collector.overlays import (
    DEFAULT_LIFETIME_MS,
    LIFETIME_MAX_MS,
    OVERLAYS_MAX,
    Overlays,
    changed,
    pruned,
)

NOW_NS = 1_000
OFF = Rule(Selector(), Toggle(False))
HALF = Rule(Selector(), Sampling(0.5))


def _after(
    overlays: Overlays, change: Change, name: str = "", lifetime_ms: int = 0
) -> Overlays:
    request = ChangeRequest(change, lifetime_ms=lifetime_ms, overlay=name)
    return changed(overlays, request, NOW_NS)[0]


def test_rule_without_a_lifetime_lives_for_an_hour() -> None:
    """An overlay that was forgotten ends by itself."""
    ((overlay),) = _after((), SetRule(OFF))
    assert overlay.origin == "local"
    (rule,) = overlay.rules
    assert rule.expires_ns == NOW_NS + DEFAULT_LIFETIME_MS * 1_000_000


def test_rule_is_replaced_whatever_its_deadline() -> None:
    """The same rule with another lifetime takes the place of the old one."""
    overlays = _after((), SetRule(OFF), lifetime_ms=5)
    overlays = _after(overlays, SetRule(OFF), lifetime_ms=2)
    assert [rule.expires_ns for rule in overlays[0].rules] == [NOW_NS + 2_000_000]


def test_new_overlay_lies_on_top_and_keeps_its_place() -> None:
    """A later change of the lower one does not raise it."""
    overlays = _after(_after((), SetRule(OFF), "a"), SetRule(OFF), "b")
    overlays = _after(overlays, SetRule(HALF), "a")
    assert [overlay.origin for overlay in overlays] == ["a", "b"]
    assert [len(overlay.rules) for overlay in overlays] == [2, 1]


def test_versions_count_the_changes_of_all() -> None:
    """Each change has a higher version than what is there."""
    overlays = _after(_after((), SetRule(OFF), "a"), SetRules((OFF, HALF)), "b")
    assert [overlay.version for overlay in overlays] == [1, 2]


def test_overlay_without_rules_is_gone() -> None:
    """By removing the last one, by replacing all, or by time."""
    overlays = _after((), SetRule(OFF))
    assert _after(overlays, RemoveRule(OFF)) == ()
    assert _after(overlays, ReplaceRules()) == ()
    assert _after((), ReplaceRules()) == ()
    assert pruned(overlays, NOW_NS + DEFAULT_LIFETIME_MS * 1_000_000) == ()
    assert pruned(overlays, NOW_NS) == overlays


@pytest.mark.parametrize(
    ("change", "name", "lifetime_ms", "text"),
    [
        (SetRule(Rule(Selector(), None)), "", 0, "nor anything known"),
        (RemoveRule(OFF), "", 0, "no such rule"),
        (SetRule(OFF), "x" * 65, 0, "1 to 64 printable"),
        (SetRule(OFF), "a\nb", 0, "printable"),
        (SetRule(OFF), "guard", 0, "has a meaning"),
        (SetRule(OFF), "fleet", 0, "has a meaning"),
        (SetRule(OFF), "", LIFETIME_MAX_MS + 1, "366 days"),
        (SetRules((HALF, Rule(Selector(), Sampling(2.0)))), "", 0, "rule 2: "),
        (ReplaceRules((HALF, Rule(Selector(), Sampling(2.0)))), "", 0, "rule 2: "),
    ],
)
def test_wrong_change_is_refused(
    change: Change, name: str, lifetime_ms: int, text: str
) -> None:
    """The text says what is wrong, and of several rules which."""
    with pytest.raises(PolicyError, match=text):
        _after((), change, name, lifetime_ms)


def test_number_of_overlays_is_bounded() -> None:
    """One more has to wait until another ends."""
    overlays: Overlays = ()
    for number in range(OVERLAYS_MAX):
        overlays = _after(overlays, SetRule(OFF), str(number))
    with pytest.raises(PolicyError, match="at most 16 overlays"):
        _after(overlays, SetRule(OFF), "more")
    assert len(_after(overlays, SetRule(HALF), "3")) == OVERLAYS_MAX
    assert isinstance(overlays[0], Policy)
