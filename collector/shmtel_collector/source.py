"""A ring's consumer, made safe to use: damage becomes a fact, not an exception.

A worker can spoil its ring at any time, so every call of the consumer can
raise. Here the first RingError is kept as `damage`; from then on nothing is
read any more, and each call answers with what its caller can live with. The
control zone can still be written, to end the ring in order.

How many events a damaged ring still holds is the worker's claim (its committed
counter), believed as far as the unread bytes can hold that many of the smallest
records.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from shmtel import _ring
from shmtel.accounting.counts import Claims
from shmtel_collector.stripped import Entry, Unsettled
from shmtel_collector.worker import worker_of

# How an observation fails whose zones do not fit together, being of several moments.
# Where that is damage the consumer will meet it.
_RACES = ("positions", "settlement")

_T = TypeVar("_T")


class Source:
    """The consumer of one ring, and what is wrong with it.

    `cursor` and `cursor_seq` say where the next drain begins.
    """

    def __init__(self, consumer: _ring.Consumer, *, is_own: bool = False) -> None:
        """Take over a consumer; `is_own`: its descriptor is the worker side's.

        Of the ring of this very process no second descriptor may ever be closed,
        because that would drop the lock that proves the process alive.
        """
        self.is_own = is_own
        self._consumer = consumer
        self._judge_by: Callable[[_ring.Consumer], None] | None = None
        self._check_by: Callable[[_ring.Consumer], None] | None = None
        self._note_stripped: Callable[[Entry], None] = lambda entry: None
        self._unsettled = Unsettled()
        self.thresholds: dict[int, None] = {}  # in the order they came into force
        self.identity = consumer.identity
        self.capacity = self.identity["capacity"]
        self.overwrites = self.identity["overflow"] == _ring.RING_OVERWRITE
        self.worker = worker_of(self.identity)
        self.head = consumer.head
        self.head_seq = consumer.head_seq
        self.settled_seq = consumer.settled_seq
        self.totals = consumer.totals
        self.cursor = consumer.cursor
        self.cursor_seq = consumer.cursor_seq
        self.damage: str | None = None
        self._tail = self.cursor
        self.tail()

    def fileno(self) -> int:
        """Return the descriptor of the segment; `rewind` may replace it."""
        return self._consumer.fileno()

    def tail(self) -> int:
        """Return the tail; of a damaged ring the last that made sense."""
        if self.damage is None:
            try:  # as `_try` does, for what each pass asks of each ring
                self._tail = self._consumer.tail()
            except _ring.RingError as error:
                self.spoil(error.reason)
        return self._tail

    def drain(self, budget_bytes: int) -> _ring.Drained | None:
        """Take what is there, up to a budget."""
        if self.damage is not None:
            return None
        drained = self._try(lambda: self._consumer.drain(budget_bytes), None)
        if drained is not None:
            self.cursor, self.cursor_seq = drained.position, drained.seq_last
            self._unsettled.add(drained)
        return drained

    def settle(
        self, position: int, head_seq: int, settled_seq: int, totals: Sequence[int]
    ) -> None:
        """Release what is at the hub or in the spool, also of a damaged ring.

        Args:
            settled_seq: the totals are the hub's up to here; the rest is spooled.
        """
        self.head, self.head_seq = position, head_seq
        self.settled_seq, self.totals = settled_seq, list(totals)

        def settle() -> None:
            self._consumer.settle(position, head_seq, totals, settled_seq)

        try:
            self._try(settle, None)
        except ValueError:
            if self.damage is None:
                raise
            # More than its bytes can hold is lost: known here and to the hub.
        for entry in self._unsettled.settle(head_seq):
            self._note_stripped(entry)

    def skip_to(self, seq: int) -> bool:
        """Move the cursor past the record of a seq; False: there is none."""
        is_there = self._try(lambda: self._consumer.skip_to(seq), False)
        self._read_cursor()
        return is_there

    def rewind(self) -> None:
        """Go back to `head`; a damaged ring is read again up to its damage."""
        if self.damage is not None:
            self._start_anew()
        self._try(lambda: self._consumer.rewind(), None)
        self._read_cursor()

    def names(self, first_event_id: int) -> list[str]:
        """Return the names registered from an event id on."""
        return self._try(lambda: self._consumer.names(first_event_id), [])

    def write(self, action: Callable[[_ring.Consumer], None]) -> None:
        """Write into the control zone."""
        self._try(lambda: action(self._consumer), None)

    def judge_by(self, is_on: bool, words: tuple[int, ...], kinds: bytes) -> None:
        """Say what is applied again to what is drained."""
        self._judge_by = lambda ring: ring.set_judgement(
            is_on=is_on, words=words, kinds=kinds
        )
        self.write(self._judge_by)

    def check_by(
        self,
        shapes: "Sequence[_ring.Shape]",
        otherwise: "_ring.Shape",
        note_stripped: Callable[[Entry], None],
    ) -> None:
        """Say what events are held against, by event id.

        Args:
            note_stripped: told once of what each delivered event was stripped of.
        """
        self._note_stripped = note_stripped
        self._check_by = lambda ring: ring.set_shapes(shapes, otherwise)
        self.write(self._check_by)

    def allow(self, thresholds: Iterable[int]) -> None:
        """Let events claim thresholds that were in force."""
        added = dict.fromkeys(thresholds)
        self.thresholds.update(added)
        self.write(lambda ring: ring.allow_thresholds(added))

    def is_retired(self) -> bool:
        """Say whether an earlier collector has retired the ring."""
        observed = self._observe()
        if observed is None:
            return False
        return observed["control"]["enabled"] == _ring.RING_RETIRED

    def sent_seq(self) -> int:
        """Return up to where an earlier collector had sent events; its hint."""
        observed = self._observe()
        return 0 if observed is None else observed["control"]["sent_seq"]

    def claims(self) -> Claims | None:
        """Return the worker's own counters; None: unreadable."""
        counters = self._counters()
        if counters is None:
            return None
        return Claims(
            counters["committed"],
            counters["sampled_out"],
            counters["filtered"],
            counters["disabled"],
            counters["dropped"],
        )

    def high_water(self) -> int:
        """Return the most bytes that were taken at once; 0 if unreadable."""
        counters = self._counters()
        return 0 if counters is None else counters["high_water"]

    def events(self) -> "list[_ring.EventCounters]":
        """Return the worker's own counters by event; none if unreadable."""
        observed = self._observe()
        return [] if observed is None else observed["events"]

    def initial_words(self) -> list[int]:
        """Return what the worker itself has set, by event id; its claim."""
        return [event["initial_word"] for event in self.events()]

    def is_marked_closed(self) -> bool:
        """Say whether the worker left the ring in good order; False if unreadable."""
        counters = self._counters()
        return counters is not None and counters["closed"]

    def claimed_seq(self) -> int:
        """Return up to which seq events were committed, as far as plausible."""
        counters = self._counters()
        if counters is None:  # nothing is known of what followed
            return self.cursor_seq
        limit = self.cursor_seq + self._unread_bytes() // _ring.RING_RECORD_MIN
        return max(min(counters["committed"], limit), self.cursor_seq)

    def spoil(self, reason: str) -> None:
        """Declare the ring damaged."""
        if self.damage is None:
            self.damage = reason

    def close(self) -> None:
        """Let go of the ring, and of its lock."""
        self._consumer.close()

    def _try(self, action: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return action()
        except _ring.RingError as error:
            self.spoil(error.reason)
            return otherwise

    def _unread_bytes(self) -> int:
        if self.damage == "positions":  # a wild tail says nothing about how much
            return self.capacity
        observed = self._observe()
        tail = self._tail if observed is None else observed["tail"]
        return max(tail - self.cursor, 0)

    def _observe(self) -> "_ring.Observation | None":
        """Look at the ring as a whole; what a racing worker hides is no damage."""
        try:
            return _ring.observe(self.fileno())
        except _ring.RingError as error:
            if error.reason not in _RACES:
                self.spoil(error.reason)
            return None

    def _counters(self) -> "_ring.Counters | None":
        return self._try(lambda: self._consumer.counters(), None)

    def _read_cursor(self) -> None:
        if self.damage is None:
            self.cursor = self._consumer.cursor
            self.cursor_seq = self._consumer.cursor_seq

    def _start_anew(self) -> None:
        """Make a new consumer; both share the file, so the lock stays ours."""
        if self.is_own:
            return
        fd = -1
        try:
            fd = os.dup(self._consumer.fileno())
            consumer = _ring.Consumer(fd)
        except (_ring.RingError, OSError):  # the old one serves to end the ring
            if fd >= 0:
                os.close(fd)
            return
        self._consumer.close()
        self._consumer = consumer
        self.damage = None
        self.tail()
        self.write(lambda ring: ring.allow_thresholds(self.thresholds))
        for action in (self._check_by, self._judge_by):
            if action is not None:
                self.write(action)
