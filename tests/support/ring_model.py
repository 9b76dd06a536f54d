"""An executable model of a ring: a queue of records with a budget of bytes.

Written from docs/reference/layout.md and docs/concepts.md; it shares no code with
the product. Sizes are those of the msgpack library. What a real ring says and
does is compared with it by tests/model.

Rules:
- it holds every record that was ever committed, whole, and three marks: head,
  cursor and tail; what a ring may forget, the model remembers;
- where the layout leaves something open (how early a producer sees that the very
  last bytes of a ring would do) an event says so by its `slack`.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, takewhile
from typing import Any

import msgpack

from support.policy_model import draw_of

ALIGN = 8
HEADER = 8
ARRAY_HEAD = 27
NAMES_MAX = 1024
NAME_LENGTH_MAX = 255
NAMES_TEXT_SIZE = (128 << 10) - 64 - 64 * NAMES_MAX
CORRELATION_MAX = 128
PASS_MAX = 120 << 10
UNSET, KEEP_NONE, DENIED = 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF
OFF, ON = 0, 1
OUTCOMES = ("committed", "sampled_out", "filtered", "disabled")
REASONS = ("ring_full", "too_large", "invalid", "name_table_full", "no_ring")
OF_AN_EVENT = ("committed", "sampled_out", "filtered", *REASONS[:3])


@dataclass(frozen=True)
class Event:
    """What one call asks to be recorded."""

    name: str
    measurements: dict[str, Any]
    metadata: dict[str, Any] | None = None
    correlation_id: str | None = None
    span_length: int = 1  # bytes of the field: nil, or 18
    is_plain: bool = True  # False: the arguments are no event's
    slack: int = 0  # it may be refused with less room than this to spare

    @cached_property
    def length(self) -> int:
        """Bytes of the array."""
        fields = (self.correlation_id, self.measurements, self.metadata)
        packed = sum(len(msgpack.packb(each)) for each in fields)
        return ARRAY_HEAD + packed + self.span_length

    @cached_property
    def size(self) -> int:
        """Bytes in the ring, header and padding included."""
        return -(-(HEADER + self.length) // ALIGN) * ALIGN


@dataclass(frozen=True, slots=True)
class Record:
    """One committed event and where it ends."""

    seq: int
    threshold: int
    end: int
    event: Event


@dataclass(slots=True)
class RingModel:
    """One ring, from its making on."""

    capacity: int
    overwrites: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    by_name: dict[str, Counter[str]] = field(default_factory=dict)
    text_used: int = 0
    words: dict[str, int] = field(default_factory=dict)
    default_word: int = UNSET
    enabled: int = ON
    records: list[Record] = field(default_factory=list)
    head_seq: int = 0  # settled; the record behind which head stands
    shared_head: int = 0  # what the producer goes by, unless it overwrites
    oldest_seq: int = 0  # the last one that was given up
    gaps: list[tuple[int, int]] = field(default_factory=list)  # that drains found
    cursor_seq: int = 0
    follower_seq: int = 0
    most_used: int = 0
    calls: int = 0

    # -- marks -------------------------------------------------------------------

    @property
    def largest(self) -> int:
        """The size of the largest record."""
        return min(self.capacity // 4, 64 << 10)

    @property
    def seq(self) -> int:
        """The last one."""
        return len(self.records)

    @property
    def tail(self) -> int:
        """Position behind the last record."""
        return self.end_of(self.seq)

    @property
    def head(self) -> int:
        """Position behind the last settled record."""
        return self.end_of(self.head_seq)

    @property
    def floor(self) -> int:
        """Position from which on nothing is written over."""
        return self.end_of(self.oldest_seq) if self.overwrites else self.shared_head

    @property
    def used(self) -> int:
        """Bytes that the producer may not write."""
        return self.tail - self.floor

    @property
    def room(self) -> int:
        """Bytes that a record may take, header and padding included."""
        most = self.capacity - self.used
        return self.largest if self.overwrites else min(most, self.largest)

    def end_of(self, seq: int) -> int:
        """Return the position behind a record; 0 before the first."""
        return self.records[seq - 1].end if seq else 0

    def between(self, before: int, last: int) -> list[Record]:
        """Return the records with a seq in (before, last]."""
        return self.records[before:last]

    # -- producer ----------------------------------------------------------------

    def emit(self, event: Event, *, tail: int | None = None) -> str:
        """Record an event or count it; return what became of it.

        `tail` is what the ring says afterwards. It decides where the layout
        leaves the decision to the producer.
        """
        self.calls += 1
        outcome = self._outcome_of(event, tail)
        self._count(event, outcome)
        return outcome

    def emit_end(self, event: Event, start: str, threshold: int) -> str:
        """Record the end of a span whose start had this outcome and threshold.

        It follows its start, unless that was left out by its name, or was none.
        """
        if start not in ("committed", "ring_full", "too_large", "sampled_out"):
            return self.emit(event)
        self.calls += 1
        outcome = self._outcome_of_end(event, start, threshold)
        self._count(event, outcome)
        return outcome

    def after(self, event: Event) -> tuple[int, int]:
        """Return tail and bytes as they would be once an event is committed."""
        return self.tail + event.size, self.counts["bytes"] + event.length

    def register(self, name: str) -> bool:
        """Give a name its id, if there is room; return whether it has one."""
        if name in self.by_name:
            return True
        if not self._has_room_for_names(1, len(name.encode())):
            return False
        self.by_name[name] = Counter()
        self.text_used += len(name.encode())
        return True

    def register_span(self, operation: str) -> None:
        """Register the ends of a span with its start, if there is room for all."""
        start = f"{operation}.start"
        longest = len(start.encode()) + len("exception") - len("start")
        has_room = self._has_room_for_names(3, 3 * longest)
        if start not in self.by_name and longest <= NAME_LENGTH_MAX and has_room:
            for end in ("stop", "exception", "start"):
                self.register(f"{operation}.{end}")

    def _has_room_for_names(self, count: int, text: int) -> bool:
        return (
            len(self.by_name) + count <= NAMES_MAX
            and self.text_used + text <= NAMES_TEXT_SIZE
        )

    def word_of(self, name: str) -> int:
        """Return the word in force for a registered name."""
        word = self.policy_of(name)
        return 0 if word == UNSET else word

    def keeps_all_of(self, name: str) -> bool:
        """Say whether nothing but want of room keeps its events out."""
        return self.enabled == ON and name in self.by_name and self.word_of(name) == 0

    def policy_of(self, name: str) -> int:
        """Return the word that the control zone has for a registered name."""
        word = self.words.get(name, UNSET)
        return self.default_word if word == UNSET else word

    def _count(self, event: Event, outcome: str) -> None:
        self.counts[outcome] += 1
        if event.name in self.by_name and outcome in OF_AN_EVENT:
            self.by_name[event.name][outcome] += 1
        self.most_used = max(self.most_used, self.used)

    def _outcome_of(self, event: Event, tail: int | None) -> str:
        if self.enabled == OFF:
            return "disabled"
        if not 1 <= len(event.name.encode()) <= NAME_LENGTH_MAX:
            return "invalid"
        if not self.register(event.name):
            return "name_table_full"
        if len((event.correlation_id or "").encode()) > CORRELATION_MAX:
            return "invalid"
        word = self.word_of(event.name)
        return self._decide(event, word) or self._place(event, word, tail)

    def _outcome_of_end(self, event: Event, start: str, threshold: int) -> str:
        if not self.register(event.name):
            return "name_table_full"
        policy = self.policy_of(event.name)
        if policy == DENIED:
            return "filtered"
        if event.name.endswith(".exception") and policy == 0:
            return self._place(event, 0)
        return (
            "sampled_out" if start == "sampled_out" else self._place(event, threshold)
        )

    def _decide(self, event: Event, word: int) -> str | None:
        if word == DENIED:
            return "filtered"
        if word == KEEP_NONE:
            return "sampled_out"
        if word == 0:
            return None
        assert event.correlation_id is not None, "its draw could not be known"
        return None if draw_of(event.correlation_id) >= word else "sampled_out"

    def _spare(self, event: Event) -> int:
        return self.room - HEADER - event.length

    def _place(self, event: Event, threshold: int, tail: int | None = None) -> str:
        self.give_up_oldest()
        if not event.is_plain:
            assert self.room >= self.largest, "what comes first could not be known"
            return "invalid"
        spare = self._spare(event)
        if spare < 0 or (spare < event.slack and tail == self.tail):
            return "ring_full" if self.room < self.largest else "too_large"
        end = self.tail + event.size
        self.records.append(Record(self.seq + 1, threshold, end, event))
        self.counts["bytes"] += event.length
        return "committed"

    def give_up_oldest(self) -> None:
        """Make room for the largest record, before it is known how large it is."""
        while self.overwrites and self.used > self.capacity - self.largest:
            self.oldest_seq += 1

    # -- consumer ----------------------------------------------------------------

    def drain(self, budget: int) -> tuple[int, list[Record]]:
        """Take what one pass with a budget takes: whole records, one at least.

        Returns how many were overwritten in front of them, too.
        """
        overwritten = self._jump()
        taken = self._whole_records(self.cursor_seq, budget)
        self.cursor_seq += len(taken)
        return overwritten, taken

    def skip_to(self, seq: int) -> bool:
        """Go on behind a record that is there; say whether it is."""
        if seq > self.seq:
            return False
        if seq > self.cursor_seq:
            self.cursor_seq = seq
        return True

    def _jump(self) -> int:
        before = self.cursor_seq
        if before < self.oldest_seq:
            self.gaps.append((before, self.oldest_seq))
            self.cursor_seq = self.oldest_seq
        return self.cursor_seq - before

    def lost(self, seq: int) -> int:
        """Return how many up to a seq were overwritten unread."""
        return sum(max(0, min(last, seq) - before) for before, last in self.gaps)

    def _whole_records(self, behind: int, budget: int) -> list[Record]:
        limit = self.end_of(behind) + max(min(budget, PASS_MAX), self.largest)
        following = islice(self.records, behind, None)
        return list(takewhile(lambda record: record.end <= limit, following))

    def settle(self, seq: int) -> None:
        """Release the records up to one that was drained."""
        assert self.head_seq <= seq <= self.cursor_seq
        self.head_seq = seq
        self.shared_head = self.head

    def rewind(self) -> None:
        """Go back to head."""
        self.cursor_seq = self.head_seq
        cut = [(before, min(last, self.head_seq)) for before, last in self.gaps]
        self.gaps = [(before, last) for before, last in cut if before < last]

    def take_over(self) -> None:
        """Go on where the consumer before has settled, and say so to the producer."""
        self.rewind()
        self.shared_head = self.head

    # -- follower ----------------------------------------------------------------

    def follow(self, *, at_end: bool) -> None:
        """Start at the oldest record that is not released, or behind the newest."""
        self.follower_seq = self.seq if at_end else self.head_seq

    def take(self, budget: int) -> tuple[int, list[Record]]:
        """Read on; return how many records were missed, and those that were not.

        Behind head a record is safe until the producer may be at it again.
        """
        if self.overwrites:
            missed = max(0, self.oldest_seq - self.follower_seq)
            return missed, self._follow_on(self.follower_seq + missed, budget)
        position, missed = self.end_of(self.follower_seq), 0
        reached = self.tail + self.largest + 4096 - self.capacity
        if position < max(min(self.shared_head, reached), self.tail - self.capacity):
            missed = self.head_seq - self.follower_seq
            self.follower_seq = self.head_seq
        return missed, self._follow_on(self.follower_seq, budget)

    def _follow_on(self, behind: int, budget: int) -> list[Record]:
        records = self._whole_records(behind, budget)
        self.follower_seq = behind + len(records)
        return records
