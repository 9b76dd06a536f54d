"""Rules as tables of a TOML file or a JSON document, and back.

    worker = "web-*"          # selector, also pool, service, node; left out: all
    rate = 0.1                # sampling, with
    patterns = ["db.*"]       # patterns, or without: of all events

or, instead of the rate, `toggle = false`, or `allow = [...]` and `deny = [...]`.

Rules: what is not known is refused, with the nearest name there is, because a
misspelt key would otherwise be a rule for everybody.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

from shmtel.errors import ConfigurationError
from shmtel.policy.model import ANY, Action, Filter, Rule, Sampling, Selector, Toggle
from shmtel.policy.rules import PolicyError, judge

_SELECTOR = ("worker", "pool", "service", "node")
_ACTIONS = (("toggle",), ("rate", "patterns"), ("allow", "deny"))
_KEYS = (*_SELECTOR, *(key for keys in _ACTIONS for key in keys))


def rule_of_table(table: object) -> Rule:
    """Read one rule.

    Raises:
        ConfigurationError: it is none; the text says what is wrong, not where.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError("a rule is a table of keys and values")
    refuse_unknown(table, _KEYS)
    selector = Selector(**{key: _text(table, key) for key in _SELECTOR})
    rule = Rule(selector, _action(table))
    try:
        judge((rule,))
    except PolicyError as error:
        raise ConfigurationError(error.reason) from error
    return rule


def table_of_rule(rule: Rule) -> dict[str, Any]:
    """Return what `rule_of_table` reads, without its selector's defaults."""
    chosen = {k: glob for k, glob in asdict(rule.selector).items() if glob != ANY}
    match rule.action:
        case Toggle(enabled):
            return chosen | {"toggle": enabled}
        case Sampling(rate, patterns):
            return chosen | {"rate": rate} | _given(patterns=patterns)
        case Filter(allow, deny):
            return chosen | (_given(allow=allow, deny=deny) or {"allow": []})
    return chosen


def refuse_unknown(table: Mapping[str, object], known: tuple[str, ...]) -> None:
    """Refuse keys that mean nothing.

    Raises:
        ConfigurationError: there is one; the text names the nearest known key.
    """
    for key in table:
        if key not in known:
            raise ConfigurationError(f"unknown key {key!r}; {nearest(str(key), known)}")


def nearest(word: str, known: Sequence[str]) -> str:
    """Return the cure of a word that means nothing."""
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _given(**lists: tuple[str, ...]) -> dict[str, list[str]]:
    return {key: list(patterns) for key, patterns in lists.items() if patterns}


def _action(table: Mapping[str, object]) -> Action:
    made = [
        make(table)
        for keys, make in zip(_ACTIONS, _MAKERS, strict=True)
        if any(key in table for key in keys)
    ]
    if len(made) != 1:
        raise ConfigurationError(
            "a rule has either `toggle`, or `rate` (with `patterns`), or `allow` and"
            " `deny`"
        )
    return made[0]


def _toggle(table: Mapping[str, object]) -> Toggle:
    enabled = table["toggle"]
    if not isinstance(enabled, bool):
        raise ConfigurationError(f"`toggle` is true or false, not {enabled!r}")
    return Toggle(enabled)


def _sampling(table: Mapping[str, object]) -> Sampling:
    rate = table.get("rate")
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise ConfigurationError(f"`rate` is a number from 0 to 1, not {rate!r}")
    return Sampling(float(rate), _texts(table, "patterns"))


def _filter(table: Mapping[str, object]) -> Filter:
    return Filter(_texts(table, "allow"), _texts(table, "deny"))


_MAKERS: tuple[Callable[[Mapping[str, object]], Action], ...] = (
    _toggle,
    _sampling,
    _filter,
)


def _text(table: Mapping[str, object], key: str) -> str:
    value = table.get(key, ANY)
    if not isinstance(value, str):
        raise ConfigurationError(f"`{key}` is a pattern in quotes, not {value!r}")
    return value


def _texts(table: Mapping[str, object], key: str) -> tuple[str, ...]:
    values = table.get(key, [])
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise ConfigurationError(f"`{key}` is a list of patterns, not {values!r}")
    return tuple(values)
