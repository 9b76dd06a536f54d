"""Accounts in a terminal: a host's and a fleet's in the same words."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from shmtel.cli import common

if TYPE_CHECKING:
    from shmtel.accounting.accounts import Account, EventAccount

RING_WORDS = ("emitted", "committed", "delivered", "unaccounted")
_SUMS = frozenset({"emitted", "committed", "unaccounted"})  # of other words


def title(word: str) -> str:
    """Return a word as the head of a column."""
    return word.upper()


def values(account: "Account | EventAccount", words: Sequence[str]) -> list[int]:
    """Return the events behind some words."""
    document = account.to_json()
    return [_count(document[word]) for word in words]


def _count(value: int | dict[str, int]) -> int:
    return sum(value.values()) if isinstance(value, dict) else value


def facts(account: "Account | EventAccount") -> Iterator[tuple[str, str, int]]:
    """Take an account apart into words, reasons and events."""
    for word, value in account.to_json().items():
        if isinstance(value, dict):
            yield from ((word, reason, events) for reason, events in value.items())
        elif word not in _SUMS or word == "unaccounted":
            yield word, "", value


def laws(total: "Account") -> list[str]:
    """Put both laws: a line per word, with its events and the reasons behind them."""
    document = total.to_json()
    lines = []
    for word, value in document.items():
        reasons = value if isinstance(value, dict) else {}
        why = common.format_reasons(reasons)
        events = sum(reasons.values()) if isinstance(value, dict) else value
        reason = f"  ({why})" if why else ""
        lines.append(f"{_LAW[word] + word:<30}{events:>12}{reason}")
    return lines


# How a word enters its law: the sum, what it consists of, and what is left.
_LAW = {
    "emitted": "",
    "committed": "  ",
    "dropped": "  ",
    "sampled_out": "  ",
    "filtered": "  ",
    "disabled": "  ",
    "delivered": "    ",
    "rejected": "    ",
    "sampled_out_by_collector": "    ",
    "filtered_by_collector": "    ",
    "disabled_by_collector": "    ",
    "lost": "    ",
    "spooled": "    ",
    "in_flight": "    ",
    "in_ring": "    ",
    "unaccounted": "",
}
