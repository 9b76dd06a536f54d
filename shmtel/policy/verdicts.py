"""What layers of rules come to, for one worker and for each of its events.

Of a layer count the rules that select the worker and have not expired; of rules
that are the same, the last. Layers in order: the fleet's policy, local overlays,
guard rails.

- on or off: the last toggle of the topmost layer that has one; without any, on;
- the rate of a name: the last rate with a matching pattern, in the topmost layer
  that has one (a rule without patterns matches every name); without any, the
  worker's own setting stands;
- filters: those of the topmost layer that has any. Their allow lists add up, and
  so do their deny lists: a name that a deny pattern matches is denied, and so is
  one that no allow pattern matches, if there is any;
- a denied name is denied whatever its rate;
- guard rails are no layer to be on top of but limits: a toggle there can only
  switch off, a rate there is the highest allowed, a filter there must be passed
  as well.

Names that are not registered yet read the default word. It must not leave out
what a rule for the name would keep, since nobody could bring it back; what it
keeps too much, the collector leaves out while it drains. So it is the loosest
of what an unknown name can come to.

Globs are case-sensitive, and `*` crosses dots.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

from shmtel import _ring
from shmtel.config import threshold_of
from shmtel.policy.model import (
    ANY,
    Filter,
    Layer,
    Rule,
    Sampling,
    Selector,
    Toggle,
    Traits,
)
from shmtel.policy.rules import is_live, slot_of

_PATTERNS_CACHED = 8_192


@dataclass(frozen=True, slots=True)
class Verdict:
    """A word, and what set it.

    Attributes:
        word: a word of ring_layout.h; for on or off, the state of the ring.
        layer: name of the layer; empty: no rule, the worker's own setting.
        rule: the rule that decides.
    """

    word: int
    layer: str = ""
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class _Bound:
    """A rule with its action taken apart, in its layer."""

    layer: str
    rule: Rule
    rate_word: int
    matches: "re.Pattern[str] | None"  # of sampling; None: every name


@dataclass(frozen=True, slots=True)
class _Filters:
    """The filters of one layer as one."""

    layer: str
    rules: tuple[Rule, ...]

    def denial(self, name: str) -> Verdict | None:
        """Return what denies a name; None: it may pass."""
        for rule in self.rules:
            if _any_matches(_filter(rule).deny, name):
                return Verdict(_ring.WORD_DENIED, self.layer, rule)
        allowing = [rule for rule in self.rules if _filter(rule).allow]
        if not allowing:
            return None
        if any(_any_matches(_filter(rule).allow, name) for rule in allowing):
            return None
        return Verdict(_ring.WORD_DENIED, self.layer, allowing[-1])

    def denial_of_all(self) -> Verdict | None:
        """Return what denies every name there can be."""
        for rule in self.rules:
            if ANY in _filter(rule).deny:
                return Verdict(_ring.WORD_DENIED, self.layer, rule)
        return None


class Ruling:
    """What the rules say to all workers that the same rules select."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        """Take layers that hold nothing but what counts for these workers."""
        regular = [layer for layer in reversed(layers) if not layer.is_guard]
        guards = [layer for layer in layers if layer.is_guard]
        self.enabled = _enabled(regular, guards)
        self._rates = [bound for layer in regular for bound in _rates(layer)]
        self._caps = [bound for layer in guards for bound in _rates(layer)]
        own = [filters for layer in regular if (filters := _filters(layer)).rules]
        self._filters = [*own[:1], *map(_filters, guards)]
        self.default = self._default()
        self._verdicts: dict[str, Verdict] = {}

    def of_event(self, name: str) -> Verdict:
        """Return what the rules say to events of a name."""
        verdict = self._verdicts.get(name)
        if verdict is None:
            verdict = self._verdicts[name] = self._judge(name)
        return verdict

    def _judge(self, name: str) -> Verdict:
        for filters in self._filters:
            denial = filters.denial(name)
            if denial is not None:
                return denial
        rate = next(
            (_verdict(bound) for bound in self._rates if _applies(bound, name)),
            Verdict(_ring.WORD_UNSET),
        )
        return self._capped(rate, [cap for cap in self._caps if _applies(cap, name)])

    def _default(self) -> Verdict:
        for filters in self._filters:
            denial = filters.denial_of_all()
            if denial is not None:
                return denial
        candidates = []
        for bound in self._rates:
            candidates.append(bound)
            if bound.matches is None:
                break
        else:
            candidates = []  # no rate is set for a name that no pattern matches
        loosest = min(candidates, key=lambda bound: bound.rate_word, default=None)
        verdict = Verdict(_ring.WORD_UNSET) if loosest is None else _verdict(loosest)
        return self._capped(verdict, [cap for cap in self._caps if cap.matches is None])

    @staticmethod
    def _capped(verdict: Verdict, caps: Sequence[_Bound]) -> Verdict:
        for cap in caps:
            if verdict.word == _ring.WORD_UNSET or cap.rate_word > verdict.word:
                verdict = _verdict(cap)
        return verdict


class Judge:
    """Gives rulings on workers; those that the same rules select share one."""

    def __init__(self, layers: Iterable[Layer], now_ns: int) -> None:
        self._layers = [_live(layer, now_ns) for layer in layers]
        self._rulings: dict[tuple[tuple[int, ...], ...], Ruling] = {}

    def of_worker(self, traits: Traits) -> Ruling:
        """Return what the rules say to a worker."""
        key = tuple(
            tuple(
                number
                for number, rule in enumerate(layer.rules)
                if selects(rule.selector, traits)
            )
            for layer in self._layers
        )
        ruling = self._rulings.get(key)
        if ruling is None:
            ruling = self._rulings[key] = Ruling(
                [
                    Layer(
                        layer.name, tuple(layer.rules[i] for i in kept), layer.is_guard
                    )
                    for layer, kept in zip(self._layers, key, strict=True)
                ]
            )
        return ruling


def selects(selector: Selector, traits: Traits) -> bool:
    """Say whether a selector picks a worker."""
    return (
        _glob_matches(selector.worker, traits.worker)
        and _glob_matches(selector.pool, traits.pool)
        and _glob_matches(selector.service, traits.service)
        and _glob_matches(selector.node, traits.node)
    )


def _live(layer: Layer, now_ns: int) -> Layer:
    """Leave out what has expired, and of same rules all but the last."""
    last = {slot_of(rule): rule for rule in layer.rules if is_live(rule, now_ns)}
    rules = tuple(rule for rule in layer.rules if last.get(slot_of(rule)) is rule)
    return Layer(layer.name, rules, layer.is_guard)


def _enabled(regular: Sequence[Layer], guards: Sequence[Layer]) -> Verdict:
    toggles = [
        (layer.name, rule, rule.action.enabled)
        for layer in regular
        for rule in reversed(layer.rules)
        if isinstance(rule.action, Toggle)
    ]
    limits = [
        (layer.name, rule, False)
        for layer in guards
        for rule in layer.rules
        if rule.action == Toggle(False)
    ]
    for name, rule, is_on in (*limits, *toggles):
        return Verdict(_ring.RING_ON if is_on else _ring.RING_OFF, name, rule)
    return Verdict(_ring.RING_ON)


def _rates(layer: Layer) -> list[_Bound]:
    """Return the rates of a layer, the one that wins first."""
    return [
        _Bound(
            layer.name,
            rule,
            threshold_of(rule.action.rate),
            _pattern_of(rule.action.patterns),
        )
        for rule in reversed(layer.rules)
        if isinstance(rule.action, Sampling)
    ]


def _filters(layer: Layer) -> _Filters:
    rules = tuple(rule for rule in layer.rules if isinstance(rule.action, Filter))
    return _Filters(layer.name, rules)


def _filter(rule: Rule) -> Filter:
    assert isinstance(rule.action, Filter)
    return rule.action


def _verdict(bound: _Bound) -> Verdict:
    return Verdict(bound.rate_word, bound.layer, bound.rule)


def _applies(bound: _Bound, name: str) -> bool:
    return bound.matches is None or bound.matches.match(name) is not None


def _any_matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(_glob_matches(pattern, name) for pattern in patterns)


def _glob_matches(pattern: str, text: str) -> bool:
    return pattern == ANY or _compiled((pattern,)).match(text) is not None


def _pattern_of(patterns: tuple[str, ...]) -> "re.Pattern[str] | None":
    return None if not patterns or ANY in patterns else _compiled(patterns)


@lru_cache(_PATTERNS_CACHED)
def _compiled(patterns: tuple[str, ...]) -> "re.Pattern[str]":
    return re.compile("|".join(map(translate, patterns)))
