"""One ring as the collector serves it: source, worker, names, settlement.

States:

    OPENED   no resume point on this stream: nothing is drained
    LIVE     drained; segments are in flight ahead of the hub's acknowledgement
    CLOSING  drained to its end and announced as closed; the answer is awaited
    CLOSED   acknowledged: to be written down and removed

A lost stream takes a ring back to OPENED from anywhere before CLOSED: the
cursor returns to `head`, and the hub's next resume point says what it kept.

Settlement. `head` moves only for what the hub has acknowledged. The totals in
the ring are the source's; `_accepted` are the hub's, which run behind only when
the hub has lost state: then a segment without events counts the gap as lost.

Damage. Nothing more is drained; what the worker claims beyond the last good
record is counted as lost, once when the damage is met and once at the end.

Rules: time, policy and the stream are the caller's; whoever judges the names
is told of each before an event of it is taken.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from shmtel import _ring
from shmtel.wire.frames import (
    UNKNOWN_EVENT_ID,
    Outcome,
    RingClosed,
    Segment,
    SegmentCount,
    WorkerCounters,
)
from shmtel.wire.protocol import NO_EVENTS
from shmtel_collector import settlement
from shmtel_collector.control import ControlZone
from shmtel_collector.finished import Claims, FinishedRing
from shmtel_collector.left_out import LeftOut, event_table
from shmtel_collector.source import Source
from shmtel_collector.worker import worker_of

RETIRED = "retired"
QUARANTINED = "quarantined"


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
    """

    def __init__(
        self,
        name: str,
        source: Source,
        on_names: Callable[["Ring"], None],
        is_own: bool = False,
    ) -> None:
        """Take over a source; `on_names` is told when `names` has grown."""
        self.name = name
        self.source = source
        self.is_own = is_own
        self._on_names = on_names
        self.control = ControlZone(self.source)
        self.ring_id = self.source.identity["ring_id"]
        self.worker = worker_of(self.source.identity)
        self.names: list[str] = []
        self.state = State.OPENED
        self.number = 0  # on the current stream; 0: not announced
        self.announced_names = 0
        self.end: End | None = None
        self.sent_seq = self.source.settled_seq
        self._accepted_seq = self.source.settled_seq
        self._accepted = self.source.totals
        self._positions: dict[int, int] = {}  # in flight: last seq -> position
        self._claimed_seq: int | None = None  # what to count up to; None: not now
        self._last_tail = self.source.tail()
        self.left_out = LeftOut()

    # -- the stream ----------------------------------------------------------

    def suspend(self) -> None:
        """Forget the stream: it is lost."""
        self.number = self.announced_names = 0
        if self.state is not State.CLOSED:
            self.state = State.OPENED
            self._rewind()

    def resume(self, last_seq: int, totals: Mapping[int, int]) -> None:
        """Go on from where the hub stands; its totals sum to its last seq."""
        self._accepted = settlement.to_list(totals)
        if self.state is not State.OPENED:  # the hub has discarded a segment
            self._rewind()
        self._accepted_seq = self.sent_seq = last_seq
        self.control.set_sent_seq(last_seq)
        if last_seq > self.source.settled_seq:
            self._catch_up()
        self.state = State.LIVE

    def take(self, budget_bytes: int) -> Segment | None:
        """Drain at most a budget, as the next segment; None: nothing is there."""
        if self.sent_seq < self.source.settled_seq:
            outcome = Outcome.LOST_HUB_STATE_LOST
            return self._lost(self.source.settled_seq, outcome, self.source.head)
        drained = self._drain(budget_bytes)
        if drained is None:
            return self._take_claimed()
        segment = Segment(
            ring=self.number,
            seq_before=drained.seq_before,
            seq_last=drained.seq_last,
            delivered=drained.delivered,
            events=drained.events,
            counts=tuple(SegmentCount(*count) for count in drained.counts),
        )
        return self._sent(segment, drained.position)

    def acknowledge(self, segment: Segment) -> None:
        """Settle a segment that the hub has accepted."""
        position = self._positions.pop(segment.seq_last)
        self._accepted = settlement.after(self._accepted, segment)
        self.left_out.add(segment)
        self._accepted_seq = segment.seq_last
        if self._accepted_seq >= self.source.settled_seq:
            self.source.settle(position, self._accepted_seq, self._accepted)

    def read_names(self) -> bool:
        """Read the names that the worker has added; say whether there were any."""
        added = self.source.names(len(self.names))
        if added:
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
        if tail == self._last_tail:
            return 0.0
        grown, self._last_tail = tail - self._last_tail, tail
        return max(grown, 0) / self.source.capacity

    def is_idle(self) -> bool:
        """Say whether nothing was there to do when `growth` was last asked."""
        source = self.source
        is_read = source.cursor == self._last_tail and source.damage is None
        return is_read and self.end is None and self.sent_seq >= source.settled_seq

    def unread_bytes(self) -> int:
        """Return how many bytes wait behind the cursor."""
        return self.source.tail() - self.source.cursor

    # -- the end -------------------------------------------------------------

    def finish(self, reason: str) -> None:
        """Fix the end of the ring: its worker is proven dead, or it was retired."""
        final_tail = self.source.tail()
        if reason == RETIRED:
            self.control.set_final_tail(final_tail)
        self.end = End(reason, final_tail)
        self._claimed_seq = None  # a damaged ring is asked once more

    def is_drained(self) -> bool:
        """Say whether the end is known and everything before it was sent."""
        if self.end is None or self.state is not State.LIVE:
            return False
        if self.sent_seq < self.source.settled_seq:
            return False
        if self.source.damage is not None:
            return self._claimed_seq is not None and self._claimed_seq <= self.sent_seq
        return self.source.cursor >= self.end.final_tail

    def closing(self) -> RingClosed:
        """Announce the end; the ring is CLOSING from here on."""
        self.state = State.CLOSING
        claims = self._claims()
        return RingClosed(
            ring=self.number,
            last_seq=self.sent_seq,
            reason=self._reason(),
            counters=WorkerCounters(
                committed=claims.committed,
                sampled_out=claims.sampled_out,
                filtered=claims.filtered,
                disabled=claims.disabled,
                dropped=dict(claims.dropped),
            ),
        )

    def finished(self, closed_ns: int) -> FinishedRing:
        """Return what stays of the ring."""
        totals = settlement.to_table(self._accepted)
        return FinishedRing(
            ring_id=self.ring_id,
            worker_id=self.worker.worker_id,
            pool_name=self.worker.pool_name,
            pid=self.worker.pid,
            closed_ns=closed_ns,
            reason=self._reason(),
            last_seq=self._accepted_seq,
            totals=totals,
            claims=self._claims(),
            events=event_table(self.source.events(), self.left_out.counts(), totals),
        )

    # -- inside --------------------------------------------------------------

    def _reason(self) -> str:
        if self.source.damage is not None:
            return QUARANTINED
        return self.end.reason if self.end is not None else ""

    def _claims(self) -> Claims:
        return self.source.claims() or Claims(committed=self.sent_seq)

    def _drain(self, budget_bytes: int) -> "_ring.Drained | None":
        """Drain; names on the way are read, and so judged, before their events."""
        drained = self.source.drain(budget_bytes)
        while drained is not None:
            has_grown = self.read_names()
            if drained.seq_last > drained.seq_before:
                return drained
            if not drained.wants_names:  # overwritten faster than it can be copied
                return None
            if not has_grown:  # it has taken back a name that it had published
                self.source.spoil("names")
                return None
            drained = self.source.drain(budget_bytes)
        return None

    def _rewind(self) -> None:
        self._positions.clear()
        self._claimed_seq = None
        self.source.rewind()
        self.sent_seq = self.source.settled_seq
        # What was sent and then overwritten may be at the hub all the same: it is not
        # called lost before the hub has said where it stands.
        if not self.source.overwrites:
            self.control.set_sent_seq(self.sent_seq)

    def _catch_up(self) -> None:
        """Settle what the hub had accepted when the collector before us died."""
        source = self.source
        if not source.skip_to(self._accepted_seq):
            source.spoil("resume_point")
        source.settle(source.cursor, self._accepted_seq, self._accepted)

    def _take_claimed(self) -> Segment | None:
        """Count what a damaged ring still holds as lost."""
        if self.source.damage is None:
            return None
        if self._claimed_seq is None:
            self._claimed_seq = self.source.claimed_seq()
        if self._claimed_seq <= self.sent_seq:
            return None
        outcome = Outcome.LOST_QUARANTINED
        return self._lost(self._claimed_seq, outcome, self.source.cursor)

    def _lost(self, last_seq: int, outcome: int, position: int) -> Segment:
        count = SegmentCount(UNKNOWN_EVENT_ID, outcome, last_seq - self.sent_seq)
        segment = Segment(
            ring=self.number,
            seq_before=self.sent_seq,
            seq_last=last_seq,
            delivered=0,
            events=NO_EVENTS,
            counts=(count,),
        )
        return self._sent(segment, position)

    def _sent(self, segment: Segment, position: int) -> Segment:
        self.sent_seq = segment.seq_last
        self._positions[segment.seq_last] = position
        self.control.set_sent_seq(segment.seq_last)
        return segment
