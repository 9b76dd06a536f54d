"""What the hub knows of one ring.

What is in memory runs ahead of the database by what is being written. Metrics are
made of what is `shown`, which does not: a hub that was killed goes on with what it
had shown, and no counter falls.
"""

from dataclasses import dataclass, field, replace

from shmtel.accounting.fleet import counted_of
from shmtel.accounting.rings import at_least
from shmtel.hub.positions import RingState, ring_key
from shmtel.wire.control import RingLedger
from shmtel.wire.frames import RingCounters, Segment, Worker, WorkerCounters
from shmtel.wire.protocol import Position


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What is on record of a ring; before anything is, where it began."""

    position: Position
    closed_reason: str | None
    counters: WorkerCounters
    is_gone: bool


@dataclass(slots=True, eq=False)
class RingEntry:
    """One ring. `position` is replaced as a whole, so it can be read at any time."""

    host_id: str
    node: str
    ring_id: bytes
    worker: Worker
    position: Position
    namespace: str = ""
    names: list[str] = field(default_factory=list)  # while it is open
    closed_reason: str | None = None
    counters: WorkerCounters | None = None  # final ones, once it is closed
    redelivered_through: int = 0  # handlers of an earlier hub may know what is below
    seen_s: int = 0  # when it was last open, or advanced
    streams: int = 0  # that have it open
    is_gone: bool = False  # its host has told of all rings, and not of this one
    is_advanced: bool = False  # by this process
    was_advanced: bool = False  # when it was opened last
    kept: RingState | None = None  # what the database holds, or is being given
    told: RingCounters = field(default_factory=lambda: RingCounters(0))  # the last
    key: str = field(init=False)  # among all rings of all hosts
    shown: Shown = field(init=False)

    def __post_init__(self) -> None:
        self.key = ring_key(self.host_id, self.ring_id)
        self.shown = self._now()

    def redelivered_in(self, segment: Segment) -> int:
        """Return up to which seq handlers may know the events of a segment; 0: none.

        An entry's first stream in this process may carry what an earlier hub had in
        work. Later ones carry what this one did not take, and it knows what it took.
        """
        if not self.was_advanced:
            known = self.redelivered_through
            self.redelivered_through = max(known, segment.resent_through)
        through = min(self.redelivered_through, segment.seq_last)
        return through if through > segment.seq_before else 0

    def for_ledger(self) -> RingLedger:
        """Return what the ledger is made of."""
        return self.for_metrics(self._now())

    def for_metrics(self, shown: Shown) -> RingLedger:
        """Return what metrics are made of, for what was `shown` a moment ago.

        What is under way is no more than the worker has committed by then.
        """
        committed = max(shown.counters.committed, shown.position.last_seq)
        return RingLedger(
            host_id=self.host_id,
            worker=self.worker,
            ring_id=self.ring_id,
            last_seq=shown.position.last_seq,
            totals=shown.position.totals,
            sent_seq=min(self.told.sent_seq, committed),
            spooled_seq=min(self.told.spooled_seq, committed),
            counters=shown.counters,
            closed_reason=shown.closed_reason or "",
            gone=shown.is_gone and shown.closed_reason is None,
        )

    def _now(self) -> Shown:
        counters = self.counters or self.told.counters
        return Shown(self.position, self.closed_reason, counters, self.is_gone)


def events_in(entry: RingEntry) -> int:
    """Return how many events are lost with a ring that is gone, and was not before."""
    if entry.is_gone or entry.closed_reason is not None:
        return 0
    ring = entry.for_ledger()
    return counted_of(ring).placed.committed - ring.last_seq


def not_less(told: RingCounters, before: RingCounters) -> RingCounters:
    """Return what is told, where a worker's counters never fall.

    They do where its collector cannot read them; and what was read of the ring may
    be ahead of them.
    """
    counters = at_least(before.counters, told.counters)
    read_seq = max(told.sent_seq, told.spooled_seq)
    if read_seq > counters.committed:
        counters = replace(counters, committed=read_seq)
    return told if counters is told.counters else replace(told, counters=counters)


def state_of(entry: RingEntry, position: Position, now_s: int) -> RingState:
    """Return what is kept of an open ring."""
    return RingState(
        host_id=entry.host_id,
        node=entry.node,
        ring_id=entry.ring_id,
        worker=entry.worker,
        last_seq=position.last_seq,
        totals=position.totals,
        counters=entry.told.counters,
        seen_s=now_s,
        namespace=entry.namespace,
        gone=entry.is_gone,
    )


def shown_of(state: RingState) -> Shown:
    """Return what of a ring is shown when this is on record."""
    position = Position(state.last_seq, state.totals)
    counters = state.counters or WorkerCounters()
    return Shown(position, state.closed_reason, counters, state.gone)


def restored(state: RingState) -> RingEntry:
    """Return the entry of a ring that the hub before this one has kept."""
    shown = shown_of(state)
    is_closed = state.closed_reason is not None
    return RingEntry(
        host_id=state.host_id,
        node=state.node,
        ring_id=state.ring_id,
        worker=state.worker,
        position=shown.position,
        namespace=state.namespace,
        closed_reason=state.closed_reason,
        counters=shown.counters if is_closed else None,
        is_gone=state.gone,
        told=RingCounters(0, counters=shown.counters),
        seen_s=state.seen_s,
        kept=state,
    )
