"""The guard rails of a host: limits that nothing from afar, and no overlay, lifts.

    [guard]
    remote_control = true    # false: policies of a hub are refused
    max_rate = 0.5           # of all workers and events
    deny = ["secret.*"]      # of all workers
    [[guard.rules]]          # as rules elsewhere, with selectors

They are limits, so all of them count: where the same workers and patterns are
named twice, the stricter rate holds and patterns add up. In a list of rules the
later one would replace the earlier, and a limit could vanish unnoticed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shmtel.errors import ConfigurationError
from shmtel.policy.model import GUARD, Filter, Layer, Rule, Sampling, Toggle
from shmtel.policy.rules import PolicyError, Slot, judge, slot_of
from shmtel.policy.tables import refuse_unknown, rule_of_table

_KEYS = ("remote_control", "max_rate", "deny", "rules")

NO_LIMITS = Layer(GUARD, (), is_guard=True)


@dataclass(frozen=True, slots=True)
class Guard:
    """The limits of a host.

    Attributes:
        remote_control: whether a hub's policies are obeyed.
    """

    layer: Layer = NO_LIMITS
    remote_control: bool = True

    def is_set(self) -> bool:
        """Say whether anything is limited."""
        return bool(self.layer.rules) or not self.remote_control


def guard_of_table(table: object) -> Guard:
    """Read the table `guard` of a configuration file.

    Raises:
        ConfigurationError: it is none; the text says what is wrong, not where.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError("`guard` is a table")
    refuse_unknown(table, _KEYS)
    remote_control = table.get("remote_control", True)
    if not isinstance(remote_control, bool):
        raise ConfigurationError(
            f"`remote_control` is true or false, not {remote_control!r}"
        )
    rules = _strictest([*_shorthands(table), *_rules(table.get("rules", []))])
    try:
        judge(rules)
    except PolicyError as error:
        raise ConfigurationError(error.reason) from error
    return Guard(Layer(GUARD, rules, is_guard=True), remote_control)


def _shorthands(table: Mapping[str, object]) -> Iterable[Rule]:
    tables: tuple[tuple[str, Callable[[Any], object]], ...] = (
        ("max_rate", lambda rate: {"rate": rate}),
        ("deny", lambda patterns: {"deny": patterns}),
    )
    for key, table_of in tables:
        if key in table:
            yield _named(f"`{key}`", table_of(table[key]))


def _rules(tables: object) -> Iterable[Rule]:
    if not isinstance(tables, list):
        raise ConfigurationError("rules are written as [[guard.rules]]")
    for number, table in enumerate(tables, 1):
        rule = _named(f"rule {number}", table)
        if rule.action == Toggle(True):
            raise ConfigurationError(
                f"rule {number}: a guard rail can only switch off; leave it out"
            )
        yield rule


def _named(name: str, table: object) -> Rule:
    try:
        return rule_of_table(table)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error


def _strictest(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Make one rule of those that would replace each other."""
    merged: dict[Slot, Rule] = {}
    for rule in rules:
        slot = slot_of(rule)
        merged[slot] = _stricter(merged[slot], rule) if slot in merged else rule
    return tuple(merged.values())


def _stricter(one: Rule, other: Rule) -> Rule:
    match one.action, other.action:
        case Sampling(rate, patterns), Sampling(other_rate, _):
            return replace(one, action=Sampling(min(rate, other_rate), patterns))
        case Filter(allow, deny), Filter(other_allow, other_deny):
            return replace(one, action=Filter(allow + other_allow, deny + other_deny))
    return other
