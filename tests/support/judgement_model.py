"""The collector's judgement, said a second time and as plainly as possible.

Written from docs/design/0011, for tests that compare it with the core, record by
record. It knows no bounds: tests stay inside the core's.
"""

from dataclasses import dataclass, field

from shmtel._ring import (
    EVENT_EXCEPTION,
    EVENT_PLAIN,
    EVENT_START,
    THRESHOLD_MAX,
    WORD_DENIED,
    WORD_KEEP_NONE,
    WORD_UNSET,
)

SAMPLED_OUT, FILTERED, DISABLED = 1, 2, 3
UNKNOWN_NAME, BAD_THRESHOLD = 9, 10


@dataclass(frozen=True)
class Record:
    """What judgement looks at; span 0: the event has no span of its own."""

    event_id: int
    draw: int
    threshold: int
    span: int


@dataclass(frozen=True)
class Kept:
    """A record is delivered, with a threshold."""

    threshold: int


Fate = Kept | int  # or an outcome


@dataclass
class Model:
    """The rulings in force, and what was decided about spans."""

    is_on: bool = True
    words: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    in_force: set[int] = field(default_factory=lambda: {0})
    starts: dict[int, tuple[Fate, bool]] = field(default_factory=dict)

    def judge(self, record: Record, names: int) -> Fate:
        """Judge a record of a ring that knows so many names."""
        if record.event_id >= names:
            return UNKNOWN_NAME
        if record.threshold > record.draw or record.threshold not in self.in_force:
            return BAD_THRESHOLD
        kind = self.kinds[record.event_id]
        word = self.words[record.event_id]
        if record.span == 0 or kind == EVENT_PLAIN:
            return self._alone(word, record)
        if kind == EVENT_START:
            fate = self._alone(word, record)
            self.starts[record.span] = fate, fate != Kept(record.threshold)
            return fate
        return self._end(word, kind == EVENT_EXCEPTION, record)

    def _alone(self, word: int, record: Record) -> Fate:
        if not self.is_on:
            return DISABLED
        if word == WORD_DENIED:
            return FILTERED
        return _sample(word, record)

    def _end(self, word: int, is_error: bool, record: Record) -> Fate:
        if not self.is_on:
            return DISABLED
        if word == WORD_DENIED:
            return FILTERED
        start, is_changed = self.starts.get(record.span, (Kept(0), False))
        if not is_changed:
            return Kept(record.threshold)
        if start == DISABLED:
            return DISABLED
        if is_error and word == 0:
            return Kept(record.threshold)
        if start == SAMPLED_OUT:
            return SAMPLED_OUT
        if start == FILTERED:
            return _sample(word, record)
        assert isinstance(start, Kept)
        return _sample(start.threshold, record)


def _sample(word: int, record: Record) -> Fate:
    if word == WORD_KEEP_NONE:
        return SAMPLED_OUT
    if word == WORD_UNSET or word <= record.threshold:
        return Kept(record.threshold)
    assert word <= THRESHOLD_MAX
    return Kept(word) if record.draw >= word else SAMPLED_OUT
