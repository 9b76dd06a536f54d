"""From a policy to the words of one ring.

A policy is an ordered list of rules with globs over worker ids; the words are
what the worker reads on each emit. Everything here is pure: the same policy,
worker and names always give the same words.

What decides, for one worker (rules whose glob does not match it do not count):

- toggles: the last one; without one the ring is on;
- sampling rates, per name: the last one with a matching pattern; a rule without
  patterns matches every name; without one the word is unset, and the worker's
  own setting stands;
- filters, over all of them together: a name that a deny pattern matches is
  denied; so is one that no allow pattern matches, if there is any;
- a denied name is denied whatever its rate.

Names that are not registered yet read the default word, which can only say what
holds for every name: the last rate without patterns (or with `*`), or denied
when `*` is. So an unknown name fails open: its first events may pass a rule
that names it, until the collector has seen the name and set its word.

Globs are case-sensitive, and `*` crosses dots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from shmtel import _ring
from shmtel.config import threshold_of
from shmtel.wire.frames import Filter, Policy, Sampling, Toggle

_EVERY_NAME = "*"


@dataclass(frozen=True, slots=True)
class Words:
    """What a ring's control zone is to say; `by_event_id` follows the names."""

    enabled: int = _ring.RING_ON
    default: int = _ring.WORD_UNSET
    by_event_id: tuple[int, ...] = ()


def compile_policy(policy: Policy, worker_id: str, names: Sequence[str]) -> Words:
    """Return the words of one worker's ring under a policy."""
    actions = [
        rule.action for rule in policy.rules if fnmatchcase(worker_id, rule.worker)
    ]
    toggles = [action for action in actions if isinstance(action, Toggle)]
    rates = [action for action in actions if isinstance(action, Sampling)]
    filters = [action for action in actions if isinstance(action, Filter)]
    allow = [pattern for action in filters for pattern in action.allow]
    deny = [pattern for action in filters for pattern in action.deny]
    is_on = toggles[-1].enabled if toggles else True
    return Words(
        enabled=_ring.RING_ON if is_on else _ring.RING_OFF,
        default=_default_word(rates, deny),
        by_event_id=tuple(
            _ring.WORD_DENIED
            if _is_denied(name, allow, deny)
            else _sampling_word(name, rates)
            for name in names
        ),
    )


def check_policy(policy: Policy) -> None:
    """Judge a policy before it acts: all of it is used, or nothing.

    Rules of a kind not known here are none: a newer hub may send them.

    Raises:
        ValueError: a rule cannot be obeyed; the text says why.
    """
    for rule in policy.rules:
        if isinstance(rule.action, Sampling) and not 0.0 <= rule.action.rate <= 1.0:
            raise ValueError(f"a sampling rate of {rule.action.rate}")


def _is_denied(name: str, allow: Sequence[str], deny: Sequence[str]) -> bool:
    if _matches(name, deny):
        return True
    return bool(allow) and not _matches(name, allow)


def _sampling_word(name: str, rates: Sequence[Sampling]) -> int:
    for action in reversed(rates):
        if not action.patterns or _matches(name, action.patterns):
            return threshold_of(action.rate)
    return _ring.WORD_UNSET


def _default_word(rates: Sequence[Sampling], deny: Sequence[str]) -> int:
    if _EVERY_NAME in deny:
        return _ring.WORD_DENIED
    for action in reversed(rates):
        if not action.patterns or _EVERY_NAME in action.patterns:
            return threshold_of(action.rate)
    return _ring.WORD_UNSET


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
