"""The collector's judgement against a model of it, whatever happens in between."""

from collections import Counter
from random import Random
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from shmtel._ring import (
    EVENT_EXCEPTION,
    EVENT_PLAIN,
    EVENT_START,
    EVENT_STOP,
    THRESHOLD_MAX,
    WORD_DENIED,
    WORD_KEEP_NONE,
    WORD_UNSET,
    Consumer,
    Drained,
)
from support.judgement_model import Kept, Model, Record
from support.ring_builder import RingBuilder

NOT_KNOWN = 2**32 - 1
_KINDS = [EVENT_PLAIN, EVENT_START, EVENT_STOP, EVENT_EXCEPTION] * 2
_LEVELS = [0, 1, 2, 3, THRESHOLD_MAX]  # few, so that draws and words meet
_WORDS = [*_LEVELS, WORD_UNSET, WORD_UNSET, WORD_KEEP_NONE, WORD_DENIED]

_STEPS = (
    ("append", 24),
    ("judge", 2),
    ("cover", 1),
    ("toggle", 1),
    ("allow", 1),
    ("name", 1),
    ("drain", 6),
    ("rewind", 2),
    ("settle", 5),
)


class _Line:
    """A ring, its consumer, and the model that goes along."""

    def __init__(self, ring: RingBuilder, random: Random) -> None:
        self.ring = ring
        self.random = random
        for number in range(random.randint(0, 8)):
            ring.add_name(f"event.{number}")
        self.consumer = Consumer(ring.open())
        self.model = Model(words=[WORD_UNSET] * 8, kinds=list(_KINDS))
        self.records: list[Record] = []
        self.covered = 8
        self.spans = 0
        self.open: list[int] = []
        self.unsettled: list[Drained] = []

    def append(self) -> None:
        if self.ring.tail - self.consumer.head > self.ring.capacity - 8000:
            return
        random = self.random
        event_id = random.randint(0, 8)
        record = Record(
            event_id=event_id,
            draw=random.choice(_LEVELS),
            threshold=random.choice([0, 0, 0, 1, 2]),
            span=self._span_of(_KINDS[event_id % 8]),
        )
        self.ring.append(
            record.event_id,
            None,
            {},
            {"text": "x" * random.choice([0, 0, 0, 500, 5000])},
            record.span.to_bytes(8, "big") + b"\xc0" * 8,
            draw=record.draw,
            threshold=record.threshold,
        )
        self.records.append(record)

    def _span_of(self, kind: int) -> int:
        """Pick a span: no two start with the same id, and none ends twice."""
        if self.random.random() < 0.1:
            return 0
        if kind in (EVENT_STOP, EVENT_EXCEPTION) and self.open:
            return self.open.pop(self.random.randrange(len(self.open)))
        self.spans += 1
        if kind == EVENT_START:
            self.open.append(self.spans)
        return self.spans

    def name(self) -> None:
        if len(self.ring.names) < 8:
            self.ring.add_name(f"event.{len(self.ring.names)}")

    def judge(self) -> None:
        self.model.words = self.random.choices(_WORDS, k=8)
        self._set()

    def cover(self) -> None:
        self.covered = self.random.choice([3, 8, 8])
        self._set()

    def toggle(self) -> None:
        self.model.is_on = self.random.random() < 0.8
        self._set()

    def cover_all(self) -> None:
        self.covered = 8
        self._set()

    def _set(self) -> None:
        self.consumer.set_judgement(
            is_on=self.model.is_on,
            words=self.model.words[: self.covered],
            kinds=bytes(_KINDS[: self.covered]),
        )

    def allow(self) -> None:
        threshold = self.random.choice(_LEVELS)
        self.consumer.allow_thresholds([threshold])
        self.model.in_force.add(threshold)

    def rewind(self) -> None:
        self.consumer.rewind()
        self.unsettled.clear()

    def settle(self) -> None:
        if self.unsettled:
            done = self.unsettled.pop(0)
            totals = [done.seq_last] + [0] * 31
            self.consumer.settle(done.position, done.seq_last, totals)

    def drain(self) -> None:
        drained = self.consumer.drain(0)
        if drained is None:
            assert self.consumer.cursor_seq == len(self.records)
            return
        self._compare(drained)
        self.unsettled.append(drained)
        if drained.wants_names:
            waiting = self.records[drained.seq_last].event_id
            assert self.covered <= waiting < len(self.ring.names)
        else:
            assert drained.seq_last > drained.seq_before

    def _compare(self, drained: Drained) -> None:
        kept: list[tuple[int, int, int]] = []
        counts: Counter[tuple[int, int]] = Counter()
        names = len(self.ring.names)
        for seq in range(drained.seq_before + 1, drained.seq_last + 1):
            record = self.records[seq - 1]
            assert record.event_id < self.covered or record.event_id >= names
            fate = self.model.judge(record, names)
            if isinstance(fate, Kept):
                kept.append((record.event_id, seq, fate.threshold))
            else:
                known = record.event_id if record.event_id < names else NOT_KNOWN
                counts[known, fate] += 1
        events: list[list[Any]] = msgpack.unpackb(drained.events)
        assert [(event[0], event[1], event[3]) for event in events] == kept
        assert {count[:2]: count[2] for count in drained.counts} == dict(counts)
        assert drained.delivered == len(kept)


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=80)
def test_every_record_is_judged_as_the_model_says(seed: int) -> None:
    """Over changes of words, names and toggles, splits into passes, rewinds and
    settlements; whatever is not delivered is counted by event and outcome.
    """
    random = Random(seed)
    names, weights = zip(*_STEPS, strict=True)
    with RingBuilder() as ring:
        line = _Line(ring, random)
        for name in random.choices(names, weights, k=400):
            getattr(line, name)()
        line.cover_all()
        while line.consumer.tail() > line.consumer.cursor:
            line.drain()
        assert line.consumer.cursor_seq == len(line.records)
        line.consumer.close()
