"""Random changes of policies, and what a naive reader makes of them.

`Rules` is a list to which everything that was set is appended: the model of
policies itself looks for what is covered by a later rule.
"""

import time
from dataclasses import dataclass, field, replace
from random import Random

from shmtel.policy.model import (
    FLEET,
    Action,
    Filter,
    Layer,
    Rule,
    Sampling,
    Selector,
    Toggle,
)
from shmtel.wire.control import (
    Change,
    ChangeRequest,
    RemoveRule,
    ReplaceRules,
    SetRule,
    SetRules,
)
from support.acts import AREAS, NAMES

RATES = (0.0, 0.001, 0.1, 0.5, 0.9, 1.0)
POOLS = ("web", "web-slow", "jobs")
SERVICES = ("shop", "mail")
WAIT_MS = 10_000
_LONG_MS = 3_600_000


@dataclass
class Book:
    """The rules of a fleet, and of the overlays and guard rails of its one host."""

    guard: Layer | None = None
    fleet: list[Rule] = field(default_factory=list)
    overlays: dict[str, list[Rule]] = field(default_factory=dict)

    def layers(self) -> list[Layer]:
        """Return the layers from the bottom up."""
        return [
            Layer(FLEET, tuple(self.fleet)),
            *(Layer(name, tuple(rules)) for name, rules in self.overlays.items()),
            *([] if self.guard is None else [self.guard]),
        ]

    def note(self, request: ChangeRequest) -> None:
        """Write down a change that was made."""
        rules = (
            self.overlays.setdefault(request.overlay, [])
            if request.overlay
            else self.fleet
        )
        match request.change:
            case SetRule(rule):
                rules.append(_dated(rule, request.lifetime_ms))
            case SetRules(added):
                rules += [_dated(rule, request.lifetime_ms) for rule in added]
            case RemoveRule(rule):
                rules[:] = [old for old in rules if not _is_like(old, rule)]
            case ReplaceRules(added):
                rules[:] = [_dated(rule, request.lifetime_ms) for rule in added]
        self.overlays = {name: kept for name, kept in self.overlays.items() if kept}


def random_request(draws: Random, book: Book, node: str, overlay: str) -> ChangeRequest:
    """Choose a change of the fleet's rules, or of an overlay if one is named."""
    rules = book.overlays.get(overlay, []) if overlay else book.fleet
    lifetime_ms = draws.choice((0, 0, _LONG_MS))
    return ChangeRequest(
        _random_change(draws, rules, node), WAIT_MS, lifetime_ms, overlay
    )


def _random_change(draws: Random, rules: list[Rule], node: str) -> Change:
    kind = draws.random()
    if kind < 0.1 and rules:
        return RemoveRule(draws.choice(rules))
    if kind < 0.3:
        count = draws.randrange(8)
        return ReplaceRules(tuple(random_rule(draws, node) for _ in range(count)))
    if kind < 0.5:
        return SetRules(tuple(random_rule(draws, node) for _ in range(3)))
    return SetRule(random_rule(draws, node))


def random_rule(draws: Random, node: str) -> Rule:
    """Choose a rule for some of the workers."""
    selector = Selector(
        worker=draws.choice(("*", "*", "*", "w-*", "w-[0-4]", "w-1", "late-*", "W-1")),
        pool=draws.choice(("*", "*", "web", "web*", "jobs")),
        service=draws.choice(("*", "*", "*", "shop")),
        node=draws.choice(("*", "*", "*", node, "elsewhere")),
    )
    return Rule(selector, _random_action(draws))


def _random_action(draws: Random) -> Action:
    kind = draws.random()
    if kind < 0.12:
        return Toggle(draws.random() < 0.5)
    if kind < 0.7:
        return Sampling(draws.choice(RATES), _random_patterns(draws, 0, 3))
    if kind < 0.9:
        return Filter((), _random_patterns(draws, 0, 3))
    return Filter(_random_patterns(draws, 2, 4), _random_patterns(draws, 0, 2))


def _random_patterns(draws: Random, least: int, most: int) -> tuple[str, ...]:
    choices = (
        lambda: draws.choice(NAMES),
        lambda: f"{draws.choice(AREAS)}.*",
        lambda: draws.choice(("*.start", "*.stop", "*.exception", "*.exception")),
        lambda: f"*{draws.randrange(10)}",
        lambda: f"*.[a-n]*{draws.randrange(10)}*",
        lambda: draws.choice(("snake.*", "*.seen1?", "*.op[!0-3].*", "SNAKE.*")),
    )
    return tuple(draws.choice(choices)() for _ in range(draws.randint(least, most)))


def _dated(rule: Rule, lifetime_ms: int) -> Rule:
    if not lifetime_ms:
        return rule
    return replace(rule, expires_ns=time.time_ns() + lifetime_ms * 1_000_000)


def _is_like(one: Rule, other: Rule) -> bool:
    if one.selector != other.selector or type(one.action) is not type(other.action):
        return False
    if isinstance(one.action, Sampling) and isinstance(other.action, Sampling):
        return one.action.patterns == other.action.patterns
    return True
