"""The table of rings: whatever is written in which groups, kills lose no event.

What the database holds, rings and the folded sum together, accounts for exactly the
events that were committed, and each ring that is a row stands where its last
committed batch has left it.
"""

from collections.abc import Mapping

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shmtel.hub.positions import Folded, RingState, Row
from shmtel.hub.ring_entry import RingEntry
from shmtel.hub.table import EXPIRY_S, Change, RingTable
from shmtel.wire.frames import RingClosed, RingOpened
from shmtel.wire.protocol import Position
from support.frames import HELLO, WORKER

CLOSED_MAX = 2
NUMBERS = st.integers(0, 5)


def _is_closed(row: Row) -> bool:
    return isinstance(row, RingState) and row.closed_reason is not None


class TableMachine(RuleBasedStateMachine):
    """A table, the rows that were written of it, and hubs that are killed."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, Row] = {}
        self.table = RingTable(closed_max=CLOSED_MAX)
        self.open: dict[int, RingEntry] = {}
        self.waiting: list[Change] = []
        self.committed: dict[str, int] = {}  # seq, of rings that are rows
        self.now_s = 1
        self.lives = [0] * 6  # a ring that was folded is gone; its number begins anew

    def _is_waiting(self, entry: RingEntry) -> bool:
        return any(change.entry is entry for change in self.waiting)

    @rule(number=NUMBERS)
    def open_ring(self, number: int) -> None:
        """Open a ring, as a collector does that holds it; not while it is in work."""
        ring_id = bytes([number, self.lives[number]]) * 8
        if number in self.open or any(
            change.entry.ring_id == ring_id for change in self.waiting
        ):
            return
        if not self.table.knows(HELLO.host_id, ring_id):
            self.lives[number] += 1
            ring_id = bytes([number, self.lives[number]]) * 8
        opened = RingOpened(1, ring_id, WORKER)
        self.open[number] = self.table.open(HELLO, opened, self.now_s)

    @rule(number=NUMBERS, events=st.integers(1, 9))
    def advance(self, number: int, events: int) -> None:
        """Do a batch of a ring."""
        if number in self.open:
            entry = self.open[number]
            last_seq = entry.position.last_seq + events
            entry.position = Position(last_seq, {0: last_seq})
            self.waiting.append(Change(entry, entry.position))

    @rule(number=NUMBERS)
    def close(self, number: int) -> None:
        """Do the batch that ends a ring."""
        if number in self.open:
            entry = self.open.pop(number)
            closed = RingClosed(1, entry.position.last_seq, "closed")
            self.table.close(entry, closed)
            self.waiting.append(Change(entry, entry.position, closed))

    @precondition(lambda self: self.waiting)
    @rule(count=st.integers(1, 20))
    def commit(self, count: int) -> None:
        """Write a group."""
        group, self.waiting = self.waiting[:count], self.waiting[count:]
        self._write(self.table.settle(group, self.now_s))
        for change in group:
            self.committed[change.entry.key] = change.position.last_seq
        # One that was opened again has its old row until its next batch is written.
        again = {e.key for e in self.table.entries() if e.closed_reason is None}
        again |= {change.entry.key for change in self.waiting}
        closed = {key for key, row in self.rows.items() if _is_closed(row)}
        assert len(closed - again) <= CLOSED_MAX

    @rule(number=NUMBERS)
    def leave(self, number: int) -> None:
        """End the stream of a ring that is at rest."""
        entry = self.open.get(number)
        if entry is not None and not self._is_waiting(entry):
            self.table.leave([self.open.pop(number)], self.now_s)

    @precondition(lambda self: not self.waiting)
    @rule(weeks=st.integers(0, 2))
    def sweep(self, weeks: int) -> None:
        """Let time pass."""
        self.now_s += weeks * (EXPIRY_S + 1)
        self._write(self.table.sweep(self.now_s))

    @rule()
    def kill(self) -> None:
        """Lose all that is in memory."""
        rings = [row for row in self.rows.values() if isinstance(row, RingState)]
        folded = self.rows.get("folded", Folded())
        assert isinstance(folded, Folded)
        self.table = RingTable(rings, folded, closed_max=CLOSED_MAX)
        self.open.clear()
        self.waiting.clear()

    def _write(self, rows: Mapping[str, Row | None]) -> None:
        for key, row in rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row

    @invariant()
    def what_was_committed_is_accounted_for(self) -> None:
        """Once, in a row of its own or in the sum."""
        rings = [row for row in self.rows.values() if isinstance(row, RingState)]
        folded = self.rows.get("folded", Folded())
        assert isinstance(folded, Folded)
        events = sum(ring.last_seq for ring in rings) + folded.totals.get(0, 0)
        assert events == sum(self.committed.values())
        assert len(rings) + folded.rings >= len(self.committed)

    @invariant()
    def a_row_is_where_its_last_batch_left_it(self) -> None:
        """Neither behind what was acknowledged, nor ahead of what was done."""
        for key, row in self.rows.items():
            if isinstance(row, RingState):
                assert row.last_seq == self.committed[key]


TestTable = TableMachine.TestCase
TestTable.settings = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
)
