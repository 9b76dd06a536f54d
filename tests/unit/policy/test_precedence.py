"""Precedence between layers, selectors and deadlines, as rows of a table.

The table of docs/guides/control.md says the same in words.
"""

from dataclasses import dataclass, field, replace

import pytest

from shmtel import _ring
from shmtel.config import threshold_of
from shmtel.policy.globs import Globs, numbers_of
from shmtel.policy.model import (
    FLEET,
    GUARD,
    KEPT_ERRORS,
    Action,
    Filter,
    Layer,
    Rule,
    Sampling,
    Selector,
    Toggle,
    Traits,
)
from shmtel.policy.verdicts import Judge, Ruling, Verdict

UNSET = _ring.WORD_UNSET
DENIED = _ring.WORD_DENIED
NONE = _ring.WORD_KEEP_NONE
HALF, TENTH = threshold_of(0.5), threshold_of(0.1)
WORKER = Traits("w-1", "api", "shop", "node-1")
NOW_NS = 100


@dataclass(frozen=True, slots=True)
class Case:
    """Actions for all workers by layer, and the word of `a.b` that follows."""

    name: str
    word: int
    fleet: list[Action] = field(default_factory=list)
    overlay: list[Action] = field(default_factory=list)
    guard: list[Action] = field(default_factory=list)
    own_rate: float = 1.0

    def ruling(self) -> Ruling:
        """Return what the layers come to for a worker."""
        layers = [
            Layer(FLEET, _rules(self.fleet)),
            Layer("local", _rules(self.overlay)),
            Layer(GUARD, _rules(self.guard), True),
        ]
        return Judge(layers, NOW_NS).of_worker(WORKER, threshold_of(self.own_rate))


def _rules(actions: list[Action]) -> tuple[Rule, ...]:
    return tuple(Rule(Selector(), action) for action in actions)


CASES = [
    Case("an overlay's rate wins", TENTH, [Sampling(0.5)], [Sampling(0.1)]),
    Case("also to loosen", HALF, [Sampling(0.1)], [Sampling(0.5)]),
    Case(
        "an overlay's rate for other names leaves the fleet's",
        HALF,
        [Sampling(0.5)],
        [Sampling(0.1, ("x.*",))],
    ),
    Case(
        "an overlay's rate for all wins over the fleet's pattern",
        TENTH,
        [Sampling(0.5, ("a.b",))],
        [Sampling(0.1)],
    ),
    Case("a fleet's filter counts", DENIED, [Filter((), ("a.*",))]),
    Case(
        "an overlay's filter replaces the fleet's",
        UNSET,
        [Filter((), ("a.*",))],
        [Filter((), ("x.*",))],
    ),
    Case("an empty one too", UNSET, [Filter((), ("a.*",))], [Filter()]),
    Case(
        "a filter wins over a rate of a higher layer",
        DENIED,
        [Filter((), ("a.*",))],
        [Sampling(1.0)],
    ),
    Case(
        "of one filter, deny wins over allow",
        DENIED,
        [Filter(("a.*",), ("a.b",))],
    ),
    Case("a guard's filter must be passed as well", DENIED, guard=[Filter(("x",))]),
    Case(
        "an overlay cannot lift a guard's filter",
        DENIED,
        [],
        [Filter(("a.b",))],
        [Filter((), ("a.b",))],
    ),
    Case("a guard's rate is the highest", HALF, [Sampling(1.0)], [], [Sampling(0.5)]),
    Case("a lower rate stays", TENTH, [Sampling(0.1)], [], [Sampling(0.5)]),
    Case("rate 0 stays", NONE, [Sampling(0.0)], [], [Sampling(0.5)]),
    Case("a guard's rate 0 keeps none", NONE, [Sampling(1.0)], [], [Sampling(0.0)]),
    Case(
        "of several limits the strictest",
        TENTH,
        [Sampling(1.0)],
        [],
        [Sampling(0.1, ("a.*",)), Sampling(0.5)],
    ),
    Case("limits of other names do not count", UNSET, guard=[Sampling(0.1, ("x",))]),
    Case("a limit alone sets the rate", HALF, guard=[Sampling(0.5)]),
    Case("of a looser worker", HALF, guard=[Sampling(0.5)], own_rate=0.9),
    Case("not of a stricter one", UNSET, guard=[Sampling(0.5)], own_rate=0.1),
    Case("nor of one that keeps none", UNSET, guard=[Sampling(0.5)], own_rate=0.0),
    Case("a limit of 1 is none", UNSET, guard=[Sampling(1.0)], own_rate=0.1),
    Case("a rule replaces the worker's own", 0, [Sampling(1.0)], own_rate=0.1),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_which_layer_decides(case: Case) -> None:
    """The word of a name follows from the layers as the table says."""
    assert case.ruling().of_event("a.b").word == case.word


@pytest.mark.parametrize(
    ("fleet", "overlay", "guard", "layer", "is_on"),
    [
        ([], [], [], "", True),
        ([Toggle(False)], [], [], FLEET, False),
        ([Toggle(False)], [Toggle(True)], [], "local", True),
        ([Toggle(True)], [Toggle(False)], [], "local", False),
        ([Toggle(True)], [Toggle(True)], [Toggle(False)], GUARD, False),
        ([Toggle(False)], [], [Toggle(True)], FLEET, False),
    ],
)
def test_which_layer_switches(
    fleet: list[Action],
    overlay: list[Action],
    guard: list[Action],
    layer: str,
    is_on: bool,
) -> None:
    """The topmost toggle counts, and a guard rail can only switch off."""
    enabled = Case("", 0, fleet, overlay, guard).ruling().enabled
    assert enabled.word == (_ring.RING_ON if is_on else _ring.RING_OFF)
    assert enabled.layer == layer


@pytest.mark.parametrize(
    ("selector", "is_selected"),
    [
        (Selector("w-1", "api", "shop", "node-1"), True),
        (Selector("w-?", "a*", "*", "node-[12]"), True),
        (Selector(worker="w-2"), False),
        (Selector(pool="web"), False),
        (Selector(service="Shop"), False),
        (Selector(node="node"), False),
        (Selector("w-1", "api", "shop", "node-2"), False),
    ],
)
def test_a_selector_must_match_in_every_field(
    selector: Selector, is_selected: bool
) -> None:
    """Worker id, pool, service and node, all of them."""
    layer = Layer(FLEET, (Rule(selector, Sampling(0.5)),))
    word = Judge([layer], 0).of_worker(WORKER).of_event("a").word
    assert word == (HALF if is_selected else UNSET)


@pytest.mark.parametrize(
    ("now_ns", "word"), [(0, TENTH), (99, TENTH), (100, HALF), (200, HALF)]
)
def test_a_temporary_rule_covers_the_permanent_one_until_its_end(
    now_ns: int, word: int
) -> None:
    """Then what was there before is back, at its old place in the order."""
    rules = (
        Rule(Selector(), Sampling(0.5)),
        Rule(Selector(), Sampling(0.1), 100),
    )
    assert _word(rules, now_ns) == word


def test_of_the_same_rules_the_last_counts() -> None:
    """An earlier one is covered, as if it were not there."""
    rules = _rules([Filter((), ("a.b",)), Sampling(0.1), Filter(), Sampling(0.5)])
    assert _word(rules) == HALF


def test_a_covered_rule_does_not_keep_its_place() -> None:
    """The rate for all comes after the pattern that was set again before it."""
    pattern = Sampling(0.1, ("a.*",))
    assert _word(_rules([Sampling(0.5), pattern])) == TENTH
    assert _word(_rules([pattern, Sampling(0.5)])) == HALF
    assert _word(_rules([Sampling(0.5), pattern, Sampling(0.5)])) == HALF


def _word(rules: tuple[Rule, ...], now_ns: int = 0) -> int:
    ruling = Judge([Layer(FLEET, rules)], now_ns).of_worker(WORKER)
    return ruling.of_event("a.b").word


def test_kept_errors_are_kept_whatever_the_rate() -> None:
    """Also of names that nobody knows yet: their default keeps all."""
    ruling = Case("", 0, [Sampling(0.1), Sampling(1.0, KEPT_ERRORS)]).ruling()
    assert ruling.of_event("a.b.exception").word == 0
    assert ruling.of_event("a.b.stop").word == TENTH
    assert ruling.default.word == 0


@pytest.mark.parametrize(
    ("case", "default"),
    [
        (Case("no rules", UNSET), UNSET),
        (Case("a pattern only", UNSET, [Sampling(0.1, ("a",))]), UNSET),
        (Case("a looser pattern", 0, [Sampling(0.1), Sampling(0.5, ("a",))]), HALF),
        (Case("never reached", 0, [Sampling(1.0, ("a",)), Sampling(0.1)]), TENTH),
        (Case("from below", 0, [Sampling(0.5)], [Sampling(0.1, ("a",))]), HALF),
        (Case("on top", 0, [Sampling(0.5)], [Sampling(0.1)]), TENTH),
        (Case("a limit", 0, [Sampling(1.0)], [], [Sampling(0.5)]), HALF),
        (Case("not for all", 0, [Sampling(1.0)], [], [Sampling(0.5, ("a",))]), 0),
        (Case("all denied", 0, [Filter((), ("*",)), Sampling(1.0)]), DENIED),
        (Case("some denied", 0, [Filter((), ("a",))]), UNSET),
        (Case("all denied by a guard", 0, [], [], [Filter((), ("*",))]), DENIED),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else "",
)
def test_the_default_is_the_loosest_of_what_a_name_can_come_to(
    case: Case, default: int
) -> None:
    """Nobody could bring back what a new name loses before its word is there."""
    assert case.ruling().default.word == default


def test_a_verdict_says_which_rule_decided() -> None:
    """Layer and rule of the word, for who asks why."""
    limit, rate, deny = Sampling(0.5), Sampling(1.0), Filter((), ("secret",))
    ruling = Case("", 0, [rate], [deny], [limit]).ruling()
    assert ruling.of_event("a.b") == Verdict(HALF, GUARD, Rule(Selector(), limit))
    denied = ruling.of_event("secret")
    assert denied == Verdict(DENIED, "local", Rule(Selector(), deny))


def test_workers_of_the_same_rules_share_a_ruling() -> None:
    """Sixty-four workers cost one ruling, unless rules or their own rates differ."""
    layer = Layer(FLEET, (Rule(Selector("w-1"), Sampling(0.5)),))
    judge = Judge([layer], 0)
    one, two, three = (judge.of_worker(Traits(f"w-{number}")) for number in range(3))
    assert one is three
    assert one is not two
    assert judge.of_worker(replace(WORKER, worker="w-0"), HALF) is not one


def test_globs_are_numbers_under_texts() -> None:
    """Exact, prefix, suffix and general globs, and those that match anything."""
    globs = Globs([("*", 0), ("a.b", 1), ("a.*", 2), ("*.b", 3), ("?.[bc]", 4)])
    assert list(numbers_of(globs.matching("a.b"))) == [4, 3, 2, 1, 0]
    assert list(numbers_of(globs.matching("a.\n"))) == [2, 0]
    assert list(numbers_of(globs.matching("x.c"))) == [4, 0]
    assert globs.always == 1


def test_what_is_remembered_of_names_is_bounded() -> None:
    """A worker that registers names for ever does not fill the collector."""
    globs = Globs([("a*", 0)])
    ruling = Case("", 0, [Sampling(0.5)]).ruling()
    for number in range(40_000):
        assert globs.matching(f"a{number}") == 1
        assert ruling.of_event(str(number)).word == HALF
    assert len(globs._remembered) <= 16_384
    assert len(ruling._verdicts) <= 16_384
