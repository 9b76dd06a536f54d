"""Every rule of precedence between rules, as a row of a table."""

import pytest

from shmtel import _ring
from shmtel.config import threshold_of
from shmtel.policy.model import (
    FLEET,
    Action,
    Filter,
    Layer,
    Rule,
    Sampling,
    Selector,
    Toggle,
    Traits,
)
from shmtel.policy.verdicts import Judge, Ruling

UNSET = _ring.WORD_UNSET
DENIED = _ring.WORD_DENIED
NONE = _ring.WORD_KEEP_NONE
HALF = threshold_of(0.5)
TENTH = threshold_of(0.1)

NAMES = ("tool.call.start", "tool.call.stop", "worker.ready")
Rules = list[tuple[str, Action | None]]


def _ruling(rules: Rules, worker: str) -> Ruling:
    layer = Layer(FLEET, tuple(Rule(Selector(glob), action) for glob, action in rules))
    return Judge([layer], 0).of_worker(Traits(worker))


@pytest.mark.parametrize(
    ("rules", "default", "words"),
    [
        pytest.param([], UNSET, (UNSET, UNSET, UNSET), id="no rules"),
        pytest.param(
            [("*", Sampling(0.5))], HALF, (HALF, HALF, HALF), id="rate for all"
        ),
        pytest.param(
            [("*", Sampling(0.0))], NONE, (NONE, NONE, NONE), id="rate 0 keeps none"
        ),
        pytest.param([("*", Sampling(1.0))], 0, (0, 0, 0), id="rate 1 keeps all"),
        pytest.param(
            [("w*", Sampling(0.5, ("tool.*",)))],
            UNSET,
            (HALF, HALF, UNSET),
            id="star crosses dots, other names stay unset",
        ),
        pytest.param(
            [("*", Sampling(0.5)), ("*", Sampling(0.1, ("*.stop",)))],
            HALF,
            (HALF, TENTH, HALF),
            id="last matching rate wins",
        ),
        pytest.param(
            [("*", Sampling(0.1, ("*.stop",))), ("*", Sampling(0.5))],
            HALF,
            (HALF, HALF, HALF),
            id="a later rate for all wins over an earlier pattern",
        ),
        pytest.param(
            [("*", Sampling(0.5, ("x.*", "*")))],
            HALF,
            (HALF, HALF, HALF),
            id="a star among the patterns is a rate for all",
        ),
        pytest.param(
            [("other", Sampling(0.5))], UNSET, (UNSET,) * 3, id="another worker's rule"
        ),
        pytest.param(
            [("W1", Sampling(0.5))], UNSET, (UNSET,) * 3, id="globs mind the case"
        ),
        pytest.param(
            [("*", Filter(deny=("tool.*",)))],
            UNSET,
            (DENIED, DENIED, UNSET),
            id="denied by pattern",
        ),
        pytest.param(
            [("*", Filter(allow=("tool.*",)))],
            UNSET,
            (UNSET, UNSET, DENIED),
            id="not allowed is denied; unknown names fail open",
        ),
        pytest.param(
            [("*", Filter(allow=("tool.*",), deny=("*.stop",)))],
            UNSET,
            (UNSET, DENIED, DENIED),
            id="deny wins over allow",
        ),
        pytest.param(
            [("*", Filter(allow=("tool.*",))), ("w1", Filter(allow=("worker.*",)))],
            UNSET,
            (UNSET, UNSET, UNSET),
            id="allow lists of several rules add up",
        ),
        pytest.param(
            [("*", Filter(deny=("*",)))], DENIED, (DENIED,) * 3, id="deny everything"
        ),
        pytest.param(
            [("*", Filter(deny=("worker.*",))), ("*", Sampling(0.5))],
            HALF,
            (HALF, HALF, DENIED),
            id="a denied name is denied whatever its rate",
        ),
        pytest.param([("*", None)], UNSET, (UNSET,) * 3, id="a rule not known here"),
    ],
)
def test_words_follow_from_the_rules(
    rules: Rules, default: int, words: tuple[int, ...]
) -> None:
    """Each rule of precedence gives the words that the documentation says."""
    ruling = _ruling(rules, "w1")
    assert ruling.default.word == default
    assert tuple(ruling.of_event(name).word for name in NAMES) == words


@pytest.mark.parametrize(
    ("rules", "enabled"),
    [
        ([], _ring.RING_ON),
        ([("*", Toggle(False))], _ring.RING_OFF),
        ([("*", Toggle(False)), ("w1", Toggle(True))], _ring.RING_ON),
        ([("w1", Toggle(True)), ("*", Toggle(False))], _ring.RING_OFF),
        ([("w2", Toggle(False))], _ring.RING_ON),
    ],
)
def test_last_matching_toggle_wins(rules: Rules, enabled: int) -> None:
    """A ring is on unless the last toggle for its worker says off."""
    assert _ruling(rules, "w1").enabled.word == enabled


def test_rate_below_the_last_threshold_is_still_a_threshold() -> None:
    """A tiny rate keeps a little, and is never read as one of the special words."""
    ruling = _ruling([("*", Sampling(1e-12))], "w")
    assert ruling.of_event("a").word == _ring.THRESHOLD_MAX
