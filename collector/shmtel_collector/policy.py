"""From what the rules say to a worker to the words of its ring."""

from collections.abc import Sequence
from dataclasses import dataclass

from shmtel import _ring
from shmtel.policy.verdicts import Ruling


@dataclass(frozen=True, slots=True)
class Words:
    """What a ring's control zone is to say; `by_event_id` follows the names."""

    enabled: int = _ring.RING_ON
    default: int = _ring.WORD_UNSET
    by_event_id: tuple[int, ...] = ()


def words_of(ruling: Ruling, names: Sequence[str]) -> Words:
    """Return the words of one worker's ring."""
    return Words(
        enabled=ruling.enabled.word,
        default=ruling.default.word,
        by_event_id=tuple(ruling.of_event(name).word for name in names),
    )
