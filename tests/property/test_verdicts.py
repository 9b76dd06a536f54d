"""Verdicts against the naive model: random rules, workers and names."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shmtel import _ring
from shmtel.config import threshold_of
from shmtel.policy.model import (
    FLEET,
    GUARD,
    Action,
    Filter,
    Layer,
    Rule,
    Sampling,
    Selector,
    Toggle,
    Traits,
)
from shmtel.policy.rules import selects
from shmtel.policy.verdicts import Judge
from support import policy_model as model

NOW_NS = 1_000
NAMES = ("a", "a.b", "a.b.stop", "a.c.exception", "b.b", "B.b", "c[d", "[x", "")
PATTERNS = (
    "*",
    "a.*",
    "*.b",
    "*.exception",
    "a.b",
    "?.b",
    "[ab]*",
    "c[[]d",
    "[x",
    "**",
)
RATES = (0.0, 1e-12, 0.1, 0.5, 1.0)

patterns = st.lists(st.sampled_from(PATTERNS), max_size=3).map(tuple)
actions: st.SearchStrategy[Action | None] = st.one_of(
    st.builds(Toggle, st.booleans()),
    st.builds(Sampling, st.sampled_from(RATES), patterns),
    st.builds(Filter, patterns, patterns),
    st.none(),
)
selectors = st.builds(
    Selector,
    worker=st.sampled_from(("*", "w-?", "w-1", "W-1")),
    pool=st.sampled_from(("*", "*", "p*", "q")),
    service=st.sampled_from(("*", "*", "s")),
    node=st.sampled_from(("*", "*", "n*")),
)
rules = st.lists(
    st.builds(Rule, selectors, actions, st.sampled_from((0, 0, 0, 999, 1_000, 1_001))),
    max_size=6,
).map(tuple)
layers = st.tuples(
    st.builds(Layer, st.just(FLEET), rules),
    st.builds(Layer, st.just("local"), rules),
    st.builds(Layer, st.just("other"), rules),
    st.builds(Layer, st.just(GUARD), rules, st.just(True)),
)
workers = st.builds(
    Traits,
    worker=st.sampled_from(("w-1", "w-22", "")),
    pool=st.sampled_from(("p", "pq", "")),
    service=st.sampled_from(("s", "")),
    node=st.sampled_from(("n", "m")),
)
Layers = tuple[Layer, ...]


def word_of(fate: model.Fate) -> int:
    """Return the word that a fate is stored as."""
    if isinstance(fate, str):
        return {model.DENIED: _ring.WORD_DENIED, model.OWN: _ring.WORD_UNSET}[fate]
    threshold = model.threshold_of(fate)
    return _ring.WORD_KEEP_NONE if threshold is None else threshold


@given(layers, workers, st.sampled_from(RATES))
def test_verdicts_say_what_the_model_says(
    given_layers: Layers, worker: Traits, own_rate: float
) -> None:
    """On or off, and the word of each name, whatever the rules."""
    ruling = Judge(given_layers, NOW_NS).of_worker(worker, threshold_of(own_rate))
    is_on = model.is_on(given_layers, worker, NOW_NS)
    assert ruling.enabled.word == (_ring.RING_ON if is_on else _ring.RING_OFF)
    for name in NAMES:
        fate: model.Fate = model.DENIED
        if not model.is_denied(given_layers, worker, name, NOW_NS):
            rate = model.rate_of(given_layers, worker, name, NOW_NS, own_rate)
            fate = model.OWN if rate is None else rate
        assert ruling.of_event(name).word == word_of(fate), name


@given(layers, workers, st.sampled_from(RATES))
@example((Layer(GUARD, (Rule(Selector(), Sampling(1.0)),), True),), Traits(), 0.5)
def test_what_a_worker_says_of_itself_does_not_let_it_past_a_limit(
    given_layers: Layers, worker: Traits, own_rate: float
) -> None:
    """What the collector enforces is what a worker that keeps all would be told."""
    judge = Judge(given_layers, NOW_NS)
    ruling, loosest = (
        judge.of_worker(worker, threshold_of(rate)) for rate in (own_rate, 1.0)
    )
    for name in NAMES:
        assert ruling.enforced(name) == loosest.of_event(name).word


@given(st.lists(st.tuples(selectors, actions), max_size=6), workers)
def test_a_selector_picks_alone_as_it_does_among_others(
    given_rules: list[tuple[Selector, Action]], worker: Traits
) -> None:
    """What the hub counts as concerned is what the collector applies to."""
    for selector, _ in given_rules:
        layer = Layer(FLEET, (Rule(selector, Toggle(False)),))
        is_off = Judge([layer], 0).of_worker(worker).enabled.word == _ring.RING_OFF
        assert selects(selector, worker) == is_off


@given(layers, workers)
def test_a_verdict_names_a_rule_that_selects_the_worker(
    given_layers: Layers, worker: Traits
) -> None:
    """The rule is one of its layer's, in force, and picks this worker."""
    ruling = Judge(given_layers, NOW_NS).of_worker(worker)
    counting = {
        layer.name: list(model.counting(layer, worker, NOW_NS))
        for layer in given_layers
    }
    verdicts = [ruling.enabled, ruling.default, *map(ruling.of_event, NAMES)]
    for verdict in verdicts:
        if verdict.rule is None:
            assert (verdict.layer, verdict.word) in {
                ("", _ring.WORD_UNSET),
                ("", _ring.RING_ON),
            }
        else:
            assert verdict.rule in counting[verdict.layer]


@given(layers, workers)
def test_the_default_leaves_out_nothing_that_a_name_would_keep(
    given_layers: Layers, worker: Traits
) -> None:
    """Before a name has its word nothing is left out that the word lets through.

    The worker's own setting is taken to keep all, as it does unless configured.
    And where the default is set, every name has a word: an unset one would read it.
    """
    ruling = Judge(given_layers, NOW_NS).of_worker(worker)
    if ruling.default.word != _ring.WORD_UNSET:
        assert all(ruling.of_event(n).word != _ring.WORD_UNSET for n in NAMES)
    default = 0 if ruling.default.word == _ring.WORD_UNSET else ruling.default.word
    for name in NAMES:
        word = ruling.of_event(name).word
        assert default <= (0 if word == _ring.WORD_UNSET else word), name


@given(st.floats(0.0, 1.0))
def test_thresholds_are_those_of_the_model(rate: float) -> None:
    """Any rate comes to the same threshold in both."""
    assert threshold_of(rate) == word_of(rate)


@pytest.mark.parametrize(
    ("text", "draw"),
    [
        ("", 0xEF46DB37),
        ("abc", 0x44BC2CF5),
        ("Nobody inspects the spammish repetition", 0xFBCEA83C),
        ("0123456789" * 10, 0xF80E7B96),
        ("a" * 128, 0x65502889),
        ("遥测é", 0x7E513012),
    ],
)
def test_the_model_draws_by_the_published_hash(text: str, draw: int) -> None:
    """XXH64 of the UTF-8, its high half."""
    assert model.draw_of(text) == draw
