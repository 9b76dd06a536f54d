"""What the hub knows of one ring.

What is in memory runs ahead of the database by what is being written. Metrics are
made of what is `shown`, which does not: a hub that was killed goes on with what it
had shown, and no counter falls.
"""

from dataclasses import dataclass, field

from shmtel.hub.positions import RingState, ring_key
from shmtel.wire.control import RingLedger
from shmtel.wire.frames import RingCounters, Segment, Worker, WorkerCounters
from shmtel.wire.protocol import Position


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What is on record of a ring; before anything is, where it began."""

    position: Position
    closed_reason: str | None = None
    counters: WorkerCounters | None = None


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
    is_advanced: bool = False  # by this process
    was_advanced: bool = False  # when it was opened last
    kept: RingState | None = None  # what the database holds, or is being given
    told: RingCounters = field(default_factory=lambda: RingCounters(0))  # the last
    key: str = field(init=False)  # among all rings of all hosts
    shown: Shown = field(init=False)

    def __post_init__(self) -> None:
        self.key = ring_key(self.host_id, self.ring_id)
        self.shown = Shown(self.position, self.closed_reason, self.counters)

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

    def for_ledger(self, *, gone: bool = False) -> RingLedger:
        """Return what the ledger is made of."""
        now = Shown(self.position, self.closed_reason, self.counters)
        return self._ledger(now, gone=gone)

    def for_metrics(self, shown: Shown, *, gone: bool = False) -> RingLedger:
        """Return what metrics are made of, for what was `shown` a moment ago."""
        return self._ledger(shown, gone=gone)

    def _ledger(self, shown: Shown, *, gone: bool) -> RingLedger:
        told = self.told
        return RingLedger(
            host_id=self.host_id,
            worker=self.worker,
            ring_id=self.ring_id,
            last_seq=shown.position.last_seq,
            totals=shown.position.totals,
            sent_seq=told.sent_seq,
            spooled_seq=told.spooled_seq,
            counters=shown.counters or told.counters,
            closed_reason=shown.closed_reason or "",
            gone=gone and shown.closed_reason is None,
        )
