"""Rules in words, for events, logs and terminals.

sampling 0.25 of tool.*, db.* for worker=w-* pool=api
"""

from shmtel.policy.model import ANY, Filter, Rule, Sampling, Selector, Toggle
from shmtel.safe_text import escaped

_LENGTH_MAX = 200


def rule_text(rule: Rule) -> str:
    """Say what a rule does, and for whom; its expiry is left to the caller."""
    return f"{_action_text(rule)}{_selector_text(rule.selector)}"


def printable(text: str, length_max: int = _LENGTH_MAX) -> str:
    """Escape what a terminal could take for a command, and bound the length."""
    return escaped(text, length_max)


def _action_text(rule: Rule) -> str:
    match rule.action:
        case Toggle(enabled):
            return f"toggle {'on' if enabled else 'off'}"
        case Sampling(rate, patterns):
            return f"sampling {rate:.12g}" + _listed(" of ", patterns)
        case Filter(allow, deny):
            return "filter" + (
                _listed(" allow ", allow) + _listed(" deny ", deny) or " nothing"
            )
        case None:
            return "a kind of rule that is not known here"


def _listed(words: str, patterns: tuple[str, ...]) -> str:
    listed = printable(", ".join(patterns))
    return f"{words}{listed}" if patterns else ""


def _selector_text(selector: Selector) -> str:
    chosen = [
        f"{name}={printable(glob)}"
        for name, glob in (
            ("worker", selector.worker),
            ("pool", selector.pool),
            ("service", selector.service),
            ("node", selector.node),
        )
        if glob != ANY
    ]
    return f" for {' '.join(chosen)}" if chosen else ""
