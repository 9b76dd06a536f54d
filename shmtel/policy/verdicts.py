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

A worker with settings of its own keeps them where no rule sets a rate, and a limit
replaces them only where it is stricter than its own rate. What a worker denies by
itself, or allows, gives way to every rate that is set for it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from shmtel import _ring
from shmtel.config import threshold_of
from shmtel.policy.globs import Globs, numbers_of
from shmtel.policy.model import (
    ANY,
    Filter,
    Layer,
    Rule,
    Sampling,
    Toggle,
    Traits,
)
from shmtel.policy.rules import is_live, slot_of

_REMEMBERED = 16_384  # verdicts per ruling; names are the workers' to choose
_RULINGS = 4_096


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


class _Ranked:
    """The rules of a layer that count, as sets of their numbers, once for all."""

    def __init__(self, layer: Layer, now_ns: int) -> None:
        rules = _counting(layer, now_ns)
        self.name = layer.name
        self.is_guard = layer.is_guard
        self.rules = rules
        self.rate_words = {
            number: threshold_of(rule.action.rate)
            for number, rule in enumerate(rules)
            if isinstance(rule.action, Sampling)
        }
        self.toggles = _bits(rules, lambda rule: isinstance(rule.action, Toggle))
        self.filters = _bits(rules, lambda rule: isinstance(rule.action, Filter))
        self.allowing = _bits(
            rules, lambda rule: isinstance(rule.action, Filter) and rule.action.allow
        )
        self.rated = Globs(_globs(rules, _rated_globs))
        self.allowed = Globs(_globs(rules, _allowed_globs))
        self.denied = Globs(_globs(rules, _denied_globs))
        self._selectors = [
            Globs((getattr(rule.selector, field), n) for n, rule in enumerate(rules))
            for field in ("worker", "pool", "service", "node")
        ]

    def selected(self, traits: Traits) -> int:
        """Return which rules pick a worker."""
        texts = (traits.worker, traits.pool, traits.service, traits.node)
        bits = -1
        for globs, text in zip(self._selectors, texts, strict=True):
            bits &= globs.matching(text)
        return bits

    def verdict(self, number: int, word: int) -> Verdict:
        """Return a word that a rule has set."""
        return Verdict(word, self.name, self.rules[number])

    def rate(self, number: int) -> Verdict:
        """Return the word of a rule for a rate."""
        return self.verdict(number, self.rate_words[number])

    def denial(self, selected: int, name: str) -> Verdict | None:
        """Return what denies a name; None: it may pass."""
        denying = selected & self.denied.matching(name)
        if denying:
            return self._denied(denying)
        allowing = selected & self.allowing
        if not allowing or allowing & self.allowed.matching(name):
            return None
        return self._denied(allowing)

    def denial_of_all(self, selected: int) -> Verdict | None:
        """Return what denies every name there can be."""
        denying = selected & self.denied.always
        return self._denied(denying) if denying else None

    def _denied(self, rules: int) -> Verdict:
        return self.verdict(rules.bit_length() - 1, _ring.WORD_DENIED)


# A layer, and which of its rules pick a worker.
_Part = tuple[_Ranked, int]


class Ruling:
    """What the rules say to all workers that the same rules select."""

    def __init__(self, parts: Sequence[_Part], own_word: int) -> None:
        """Take the layers in order, and the word of the worker's own rate."""
        self._own_word = own_word
        self._regular = [part for part in reversed(parts) if not part[0].is_guard]
        self._guards = [part for part in parts if part[0].is_guard]
        own = [part for part in self._regular if part[0].filters & part[1]]
        self._filters = [*own[:1], *self._guards]
        self.enabled = self._enabled()
        self.default = self._default()
        self._verdicts: dict[str, Verdict] = {}

    def of_event(self, name: str) -> Verdict:
        """Return what the rules say to events of a name."""
        verdict = self._verdicts.get(name)
        if verdict is None:
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            verdict = self._verdicts[name] = self._judge(name)
        return verdict

    def enforced(self, name: str) -> int:
        """Return the word that holds whatever the worker says of its own setting.

        Where a limit leaves a stricter setting of the worker's own alone, that
        setting is the worker's claim.
        """
        word = self.of_event(name).word
        if word != _ring.WORD_UNSET:
            return word
        limits = [
            layer.rate_words[number]
            for layer, selected in self._guards
            for number in numbers_of(selected & layer.rated.matching(name))
        ]
        # A limit of 1 limits nothing: as a word, it would be a rule to keep all.
        return max(limits, default=0) or _ring.WORD_UNSET

    def _judge(self, name: str) -> Verdict:
        for layer, selected in self._filters:
            denial = layer.denial(selected, name)
            if denial is not None:
                return denial
        verdict = Verdict(_ring.WORD_UNSET)
        for layer, selected in self._regular:
            matching = selected & layer.rated.matching(name)
            if matching:
                verdict = layer.rate(matching.bit_length() - 1)
                break
        return self._capped(
            verdict,
            [
                (layer, bits & layer.rated.matching(name))
                for layer, bits in self._guards
            ],
        )

    def _enabled(self) -> Verdict:
        for layer, selected in self._guards:
            for number in numbers_of(selected & layer.toggles):
                if layer.rules[number].action == Toggle(False):
                    return layer.verdict(number, _ring.RING_OFF)
        for layer, selected in self._regular:
            for number in numbers_of(selected & layer.toggles):
                is_on = layer.rules[number].action == Toggle(True)
                word = _ring.RING_ON if is_on else _ring.RING_OFF
                return layer.verdict(number, word)
        return Verdict(_ring.RING_ON)

    def _default(self) -> Verdict:
        for layer, selected in self._filters:
            denial = layer.denial_of_all(selected)
            if denial is not None:
                return denial
        caps = [(layer, bits & layer.rated.always) for layer, bits in self._guards]
        return self._capped(self._loosest(), caps)

    def _loosest(self) -> Verdict:
        """Return the loosest rate that a name can come to which nobody knows."""
        loosest: Verdict | None = None
        for layer, selected in self._regular:
            for number in numbers_of(selected):
                if number not in layer.rate_words:
                    continue
                verdict = layer.rate(number)
                if loosest is None or verdict.word < loosest.word:
                    loosest = verdict
                if layer.rated.always >> number & 1:
                    return loosest  # nothing below is ever reached
        return Verdict(_ring.WORD_UNSET)  # for some names no rate is set

    def _capped(self, verdict: Verdict, caps: Iterable[_Part]) -> Verdict:
        """Tighten a rate to the limits of the guards."""
        for layer, matching in caps:
            for number in numbers_of(matching):
                limit = layer.rate_words[number]
                unset = verdict.word == _ring.WORD_UNSET
                if limit > (self._own_word if unset else verdict.word):
                    verdict = layer.rate(number)
        return verdict


class Judge:
    """Gives rulings on workers; those that the same rules select share one."""

    def __init__(self, layers: Iterable[Layer], now_ns: int) -> None:
        self._layers = [_Ranked(layer, now_ns) for layer in layers]
        self._rulings: dict[tuple[int, ...], Ruling] = {}

    def of_worker(self, traits: Traits, own_word: int = 0) -> Ruling:
        """Return what the rules say to a worker.

        Args:
            own_word: of the rate that it was configured with itself.
        """
        selected = [layer.selected(traits) for layer in self._layers]
        key = (own_word, *selected)
        ruling = self._rulings.get(key)
        if ruling is None:
            if len(self._rulings) >= _RULINGS:
                self._rulings.clear()
            parts = list(zip(self._layers, selected, strict=True))
            ruling = self._rulings[key] = Ruling(parts, own_word)
        return ruling


def _counting(layer: Layer, now_ns: int) -> tuple[Rule, ...]:
    """Leave out what has expired, and of same rules all but the last."""
    last = {
        slot_of(rule): number
        for number, rule in enumerate(layer.rules)
        if is_live(rule, now_ns)
    }
    kept = sorted(last.values())
    return tuple(layer.rules[number] for number in kept)


def _bits(rules: Sequence[Rule], condition: Callable[[Rule], object]) -> int:
    return sum(1 << number for number, rule in enumerate(rules) if condition(rule))


def _globs(
    rules: Sequence[Rule], globs_of: Callable[[Rule], Iterable[str]]
) -> Iterator[tuple[str, int]]:
    for number, rule in enumerate(rules):
        for glob in globs_of(rule):
            yield glob, number


def _rated_globs(rule: Rule) -> tuple[str, ...]:
    action = rule.action
    return action.patterns or (ANY,) if isinstance(action, Sampling) else ()


def _allowed_globs(rule: Rule) -> tuple[str, ...]:
    return rule.action.allow if isinstance(rule.action, Filter) else ()


def _denied_globs(rule: Rule) -> tuple[str, ...]:
    return rule.action.deny if isinstance(rule.action, Filter) else ()
