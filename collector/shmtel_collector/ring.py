"""One ring as the collector serves it: source, worker, names, settlement.

States:

    OPENED   no resume point on this stream: nothing is sent
    LIVE     drained; segments are in flight ahead of the hub's acknowledgement
    CLOSING  drained to its end and announced as closed; the answer is awaited
    CLOSED   acknowledged, or buried: nothing that is said of it counts any more

A lost stream takes a ring back to OPENED from anywhere before CLOSED: the
cursor returns to `head`, and the hub's next resume point says what it kept.

Order. Four seqs, each at or behind the one before:

    settled_seq   the hub has acknowledged it         in the ring's slot
    head_seq      released: at the hub or spooled     in the ring's slot
    sent_seq      sent on this stream                 may be less than head_seq
    read_seq      drained, see reader.py              never less than either

What is sent next comes from the spool while sent_seq < head_seq, and then from the
ring. What is spooled was read behind head_seq, in the bounds in which it was sent.

Settlement. `head` moves only for what the hub has acknowledged, or the spool
holds. The totals in the ring are the source's; `accepted` are the hub's, which run
behind only when it has lost state: then a segment without events counts the gap.

Rules: time, policy and the stream are the caller's; whoever judges the names
is told of each before an event of it is taken.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from shmtel.wire.frames import Outcome, Segment
from shmtel_collector import settlement
from shmtel_collector.backlog import Backlog, lost
from shmtel_collector.control import ControlZone
from shmtel_collector.flight import Flight
from shmtel_collector.left_out import LeftOut
from shmtel_collector.reader import Read, Reader
from shmtel_collector.ring_source import RingSource
from shmtel_collector.spool_file import SpoolUnreadable
from shmtel_collector.spool_records import Standing

_log = logging.getLogger("shmtel.collector")

RETIRED = "retired"


class State(Enum):
    """Where a ring stands on the current stream."""

    OPENED = "opened"
    LIVE = "live"
    CLOSING = "closing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class End:
    """The proven end of a ring: nothing behind `final_tail` counts."""

    reason: str
    final_tail: int


class Ring:
    """One ring, from attach to removal.

    Attributes:
        is_own: a collector writes it, this one or an earlier one.
        is_counted: its final account is written down, and only its segment is left.
    """

    def __init__(
        self,
        name: str,
        source: RingSource,
        on_names: Callable[["Ring"], None],
        backlog: Backlog,
        is_own: bool = False,
    ) -> None:
        """Take over a source; `on_names` is told when `names` has grown."""
        self.name = name
        self.source = source
        self.is_own = is_own
        self._on_names = on_names
        self._backlog = backlog
        self.control = ControlZone(self.source)
        self.ring_id: bytes = self.source.identity["ring_id"]
        self.worker = self.source.worker
        self.names: list[str] = []
        self.state = State.OPENED
        self.number = 0  # on the current stream; 0: not announced
        self.announced_names = 0
        self.end: End | None = None
        self.accepted_seq = self.sent_seq = self.source.settled_seq
        self.reader = Reader(self.source)
        self.accepted = self.source.totals
        self._flight = Flight(self.source.sent_seq())
        self._last_tail = self.source.tail()
        self.left_out = LeftOut()
        self.is_counted = False

    # -- the stream ----------------------------------------------------------

    def suspend(self) -> None:
        """Forget the stream: it is lost."""
        self.number = self.announced_names = 0
        self._flight.ever_sent_seq = self._ever_sent_seq()
        if self.state is not State.CLOSED:
            self.state = State.OPENED
            self._rewind()

    def resume(self, last_seq: int, totals: Mapping[int, int]) -> None:
        """Go on from where the hub stands; its totals sum to its last seq."""
        if self.state is State.CLOSED:
            return
        if self.state is not State.OPENED or self._flight.unsent:
            self._rewind()  # the hub has discarded a segment, or may have ours
        self.accepted = settlement.to_list(totals)
        self.accepted_seq = self.sent_seq = last_seq
        self._note_sent()
        if last_seq > self.source.settled_seq:
            self._catch_up()
        self.state = State.LIVE

    def take(self, budget_bytes: int) -> Segment | None:
        """Take at most a budget, as the next segment; None: nothing is there."""
        source = self.source
        if self.sent_seq < source.settled_seq:
            gap = lost(self.sent_seq, source.settled_seq, Outcome.LOST_HUB_STATE_LOST)
            _log.warning(
                "%d events of worker %s were acknowledged by a hub that knows nothing "
                "of them now: they count as lost, reason hub_state_lost",
                *(source.settled_seq - self.sent_seq, self.worker.worker_id),
            )
            return self._sent(Read(gap, source.head))
        if self.sent_seq < source.head_seq:
            return self._take_spooled()
        if self._flight.unsent:
            return self._sent(self._flight.unsent.popleft())
        read = self.reader.read(budget_bytes, self.read_names)
        return None if read is None else self._sent(read)

    def least_bytes(self) -> int:
        """Return how much the next segment has at least, whatever the budget."""
        segment = self._peek_spooled()
        return 0 if segment is None else len(segment.events)

    def acknowledge(self, segment: Segment) -> None:
        """Settle a segment that the hub has accepted."""
        if self.state is State.CLOSED:
            return
        read = self._flight.land(segment)
        self.accepted = settlement.after(self.accepted, segment)
        self.left_out.add(segment)
        self.accepted_seq = segment.seq_last
        if self.accepted_seq >= self.source.settled_seq:
            self._settle(read.position)

    def read_names(self) -> bool:
        """Read the names that the worker has added; say whether there were any."""
        if added := self.source.names(len(self.names)):
            self.names.extend(added)
            self._on_names(self)
        return bool(added)

    def is_at_work(self) -> bool:
        """Say whether a worker, and no collector, may still emit into it."""
        is_open = self.state in (State.OPENED, State.LIVE) and self.end is None
        return is_open and not self.control.is_retired and not self.is_own

    def growth(self) -> float:
        """Return how much was written since the last call, as share of the ring."""
        tail = self.source.tail()
        grown, self._last_tail = tail - self._last_tail, tail
        return max(grown, 0) / self.source.capacity

    def is_idle(self) -> bool:
        """Say whether nothing has come since `growth`, and nothing is there to do."""
        source = self.source
        tail = source.tail()
        return (
            tail == self._last_tail == source.cursor
            and source.damage is None
            and self.end is None
            and self.sent_seq >= source.head_seq
            and not self._flight.unsent
        )

    def is_read(self) -> bool:
        """Say whether it is sound, and everything in it was read."""
        return self.source.damage is None and self.source.cursor == self.source.tail()

    def fill(self) -> float:
        """Return how much of it is not released, as share of the ring."""
        return (self.source.tail() - self.source.head) / self.source.capacity

    def is_behind(self, limit_bytes: int) -> bool:
        """Say whether so much is unread, or something else comes before it."""
        if self._flight.unsent or self.sent_seq < self.source.head_seq:
            return True
        return self.source.tail() - self.source.cursor >= limit_bytes

    # -- the spool -----------------------------------------------------------

    def read_ahead(self, budget_bytes: int, segment_bytes: int) -> list[Read]:
        """Return what is next for the spool; it stays here until it is `spooled`."""
        found: list[Read] = []
        for read in self._ahead(segment_bytes):
            found.append(read)
            budget_bytes -= len(read.segment.events)
            if budget_bytes <= 0:
                break
        return found

    def spooled(self, last: Read) -> None:
        """Release everything up to here: it is safe in the spool."""
        source, last_seq = self.source, last.segment.seq_last
        source.settle(last.position, last_seq, source.settled_seq, source.totals)
        self._flight.release(last_seq)

    def is_released(self) -> bool:
        """Say whether the ring has ended, and all of it is at the hub or spooled."""
        is_open = self.state in (State.OPENED, State.LIVE)
        return is_open and self._is_read() and self.reader.seq == self.source.head_seq

    def standing(self) -> Standing:
        """Return how far it has come."""
        source = self.source
        return Standing(source.settled_seq, source.totals, self._ever_sent_seq())

    # -- the end -------------------------------------------------------------

    def finish(self, reason: str) -> None:
        """Fix the end of the ring: its worker is proven dead, or it was retired."""
        final_tail = self.source.tail()
        if reason == RETIRED:
            self.control.set_final_tail(final_tail)
        self.end = End(reason, final_tail)
        self.reader.ask_again()

    def is_drained(self) -> bool:
        """Say whether the end is known and everything before it was sent."""
        is_sent = self.sent_seq >= max(self.source.settled_seq, self.reader.seq)
        return self.state is State.LIVE and self._is_read() and is_sent

    # -- inside --------------------------------------------------------------

    def _is_read(self) -> bool:
        return self.end is not None and self.reader.is_at(self.end.final_tail)

    def _ahead(self, segment_bytes: int) -> Iterator[Read]:
        yield from self._flight.unreleased(self.source.head_seq)
        while (read := self.reader.read(segment_bytes, self.read_names)) is not None:
            self._flight.unsent.append(read)
            yield read

    def _peek_spooled(self) -> Segment | None:
        source = self.source
        if source.settled_seq <= self.sent_seq < source.head_seq:
            with suppress(SpoolUnreadable):  # it may be there all the same
                return self._backlog.peek(self.sent_seq, source.head_seq)
        return None

    def _take_spooled(self) -> Segment | None:
        if (segment := self._peek_spooled()) is None:
            return None
        self._backlog.drop()
        sent = self._sent(Read(segment, self.source.head))
        self._backlog.note(self.standing())
        return sent

    def _sent(self, read: Read) -> Segment:
        sent = self._flight.send(read, self.number)
        self.sent_seq = sent.seq_last
        self._note_sent()
        return sent

    def _note_sent(self) -> None:
        """Leave for a collector after this one: what was sent stays sent."""
        self.control.set_sent_seq(self._ever_sent_seq())

    def _ever_sent_seq(self) -> int:
        return max(self.sent_seq, self._flight.ever_sent_seq)

    def _rewind(self) -> None:
        self._flight.clear()
        self._backlog.drop()
        self.reader.rewind()
        self.sent_seq = self.source.settled_seq

    def _catch_up(self) -> None:
        """Settle what the hub had accepted when the collector before us died."""
        source, seq = self.source, self.accepted_seq
        if seq > source.head_seq:
            if not source.skip_to(seq):
                source.spoil("resume_point")
            self.reader.seq = seq
        else:
            with suppress(SpoolUnreadable):  # then only the reasons are less exact
                self._backlog.resume(self.standing(), seq, self.accepted)
        self._settle(source.cursor)

    def _settle(self, position: int) -> None:
        """Settle what is accepted, whether it is still in the ring or in the spool."""
        source, seq = self.source, self.accepted_seq
        had_backlog = source.settled_seq < source.head_seq
        position = source.head if seq <= source.head_seq else position
        source.settle(position, max(seq, source.head_seq), seq, self.accepted)
        if had_backlog:
            self._backlog.note(self.standing())
