"""From what the rules say to a worker to the words of its ring."""

from collections.abc import Mapping
from dataclasses import dataclass

from shmtel import _ring
from shmtel.policy.verdicts import Verdict

_KINDS = {
    "start": _ring.EVENT_START,
    "stop": _ring.EVENT_STOP,
    "exception": _ring.EVENT_EXCEPTION,
}


@dataclass(frozen=True, slots=True)
class Words:
    """What a ring's control zone is to say; `by_event_id` follows the names.

    Attributes:
        enforced: the words once more, for what is drained; where a limit trusts
            the worker's own setting, the limit stands here.
        kinds: of the names, by event id; see EVENT_PLAIN in the core.
    """

    enabled: int = _ring.RING_ON
    default: int = _ring.WORD_UNSET
    by_event_id: tuple[int, ...] = ()
    enforced: tuple[int, ...] = ()
    kinds: bytes = b""

    def thresholds(self) -> set[int]:
        """Return those that a worker can write into its events."""
        words = {self.default, *self.by_event_id}
        return {word for word in words if 0 < word <= _ring.THRESHOLD_MAX}


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the rules say to one worker.

    Attributes:
        other: of names that are not registered yet.
        events: by name, in the order of their ids.
        enforced: words for what is drained, by event id.
    """

    enabled: Verdict
    other: Verdict
    events: Mapping[str, Verdict]
    enforced: tuple[int, ...]


def words_of(verdicts: Verdicts) -> Words:
    """Return the words of one worker's ring."""
    return Words(
        enabled=verdicts.enabled.word,
        default=verdicts.other.word,
        by_event_id=tuple([verdict.word for verdict in verdicts.events.values()]),
        enforced=verdicts.enforced,
        kinds=bytes(map(kind_of, verdicts.events)),
    )


def kind_of(name: str) -> int:
    """Return what the last segment of a name makes of its events."""
    return _KINDS.get(name.rpartition(".")[2], _ring.EVENT_PLAIN)
