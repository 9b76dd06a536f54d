"""What the hub keeps of rings."""

from dataclasses import replace

from shmtel.hub.positions import Folded, RingState, Row, folded_row
from shmtel.hub.ring_entry import RingEntry
from shmtel.hub.table import EXPIRY_S, Change, RingTable
from shmtel.wire.frames import RingClosed, RingOpened, Segment, WorkerCounters
from shmtel.wire.protocol import Position
from support.frames import HELLO, OPENED, WORKER, plain_segment

CLOSED = RingClosed(1, 5, "vanished", WorkerCounters(5))


def ring(number: int, settled_seq: int = 0) -> RingOpened:
    """Return the announcement of a ring."""
    return RingOpened(1, bytes([number]) * 16, WORKER, settled_seq, {0: settled_seq})


def test_an_unknown_ring_starts_where_it_was_settled() -> None:
    """The collector's word counts for a ring that the hub has never seen."""
    entry = RingTable().open(HELLO, ring(1, settled_seq=4))
    assert entry.position == Position(4, {0: 4})


def test_a_known_ring_keeps_its_position() -> None:
    """What the hub accepted counts, whatever a collector announces."""
    table = RingTable()
    entry = table.open(HELLO, ring(1, settled_seq=4))
    entry.position = Position(9, {0: 9})
    entry.names.append("a")
    again = table.open(HELLO, ring(1, settled_seq=2))
    assert again is entry
    assert again.position == Position(9, {0: 9})
    assert again.names == []


def test_rings_belong_to_their_host() -> None:
    """A host cannot reach the ring of another by announcing its id."""
    table = RingTable()
    mine = table.open(HELLO, OPENED)
    assert table.open(replace(HELLO, host_id="other"), OPENED) is not mine


def test_the_end_of_a_ring() -> None:
    """A closed ring tells why and with what counters; opened again it lives."""
    table = RingTable()
    entry = table.open(HELLO, ring(1))
    table.close(entry, CLOSED)
    assert entry.closed_reason == "vanished"
    assert entry.counters == WorkerCounters(5)
    table.open(HELLO, ring(1))
    assert entry.closed_reason is None


def test_names_are_kept_while_a_ring_is_open() -> None:
    """Nobody asks for them later, and they are most of what a ring takes."""
    table = RingTable()
    closed, left = (table.open(HELLO, ring(n)) for n in (1, 2))
    closed.names.append("a")
    left.names.append("b")
    in_work = closed.names
    table.close(closed, CLOSED)
    table.leave([left], now_s=1)
    assert (closed.names, left.names, in_work) == ([], [], ["a"])


def close(table: RingTable, entry: RingEntry) -> dict[str, Row | None]:
    """Close a ring and commit it."""
    table.close(entry, CLOSED)
    return table.settle([Change(entry, entry.position, CLOSED)], now_s=1)


def test_old_closed_rings_are_folded() -> None:
    """Beyond the bound the oldest closed rings become one sum; live ones stay."""
    table = RingTable(closed_max=2)
    live = table.open(HELLO, ring(0))
    entries = [table.open(HELLO, ring(n, settled_seq=n)) for n in range(1, 5)]
    rows = [close(table, entry) for entry in entries]
    assert table.entries() == [live, *entries[2:]]
    assert table.folded() == Folded(2, {0: 3})
    assert rows[2][entries[0].key] is None
    assert folded_row(Folded(1, {0: 1})).items() <= rows[2].items()
    assert close(table, entries[0]) == {}
    assert table.folded().rings == 2
    assert len(table.entries()) == 3


def test_a_reopened_ring_is_not_folded() -> None:
    """A ring that lives again does not count as closed."""
    table = RingTable(closed_max=1)
    first = table.open(HELLO, ring(1))
    close(table, first)
    table.open(HELLO, ring(1))
    for number in (2, 3):
        close(table, table.open(HELLO, ring(number)))
    assert first in table.entries()


def test_a_row_is_as_of_its_batch() -> None:
    """What a later batch did does not show; of several in one group the last does."""
    table = RingTable()
    entry = table.open(HELLO, ring(1))
    early, late = Position(3, {0: 3}), Position(5, {0: 4, 8: 1})
    entry.position = late
    (row,) = table.settle([Change(entry, early)], now_s=1).values()
    assert isinstance(row, RingState)
    assert (row.last_seq, row.totals, row.closed_reason) == (3, {0: 3}, None)
    changes = [Change(entry, early), Change(entry, late, CLOSED)]
    (row,) = table.settle(changes, now_s=1).values()
    assert isinstance(row, RingState)
    assert (row.last_seq, row.totals) == (5, {0: 4, 8: 1})
    assert (row.closed_reason, row.counters) == ("vanished", WorkerCounters(5))


def test_a_table_of_what_was_kept() -> None:
    """Positions, ends and folded sums go on where they were; closed ones may fold."""
    table = RingTable()
    entries = [table.open(HELLO, ring(n, settled_seq=n)) for n in (1, 2)]
    rows = close(table, entries[0]) | table.settle(
        [Change(entries[1], Position(9, {0: 9}))], now_s=2
    )
    kept = [row for row in rows.values() if isinstance(row, RingState)]
    again = RingTable(kept, Folded(4, {0: 40}), closed_max=1)
    assert [entry.closed_reason for entry in again.entries()] == ["vanished", None]
    resumed = again.open(HELLO, ring(2))
    assert resumed.position == Position(9, {0: 9})
    close(again, resumed)
    assert again.folded() == Folded(5, {0: 41})


def test_rings_of_hosts_that_do_not_return() -> None:
    """What no stream has open is folded after a week; what one has, is not."""
    table = RingTable()
    lost, idle = (table.open(HELLO, ring(n, settled_seq=n)) for n in (1, 2))
    table.settle([Change(lost, lost.position), Change(idle, idle.position)], now_s=5)
    table.leave([lost], now_s=10)
    assert set(table.sweep(10 + EXPIRY_S)) == {idle.key}
    rows = table.sweep(11 + EXPIRY_S)
    assert table.entries() == [idle]
    assert rows[lost.key] is None
    assert table.folded() == Folded(1, {0: 1}, unclosed=1)
    seen = rows[idle.key]
    assert isinstance(seen, RingState)
    assert seen.seen_s == 11 + EXPIRY_S


def test_rings_that_were_left_are_bounded() -> None:
    """The oldest that no stream has open are folded, or forgotten if on no record."""
    table = RingTable(left_max=2)
    entries = [table.open(HELLO, ring(n, settled_seq=n)) for n in range(1, 7)]
    table.settle([Change(entry, entry.position) for entry in entries[:3]], now_s=1)
    table.leave(entries[:5], now_s=2)
    assert table.entries() == entries
    rows = table.settle([Change(entries[5], Position(6, {0: 6}))], now_s=3)
    assert table.entries() == entries[3:]
    assert table.folded() == Folded(3, {0: 6}, unclosed=3)
    assert [rows[entry.key] for entry in entries[:3]] == [None] * 3
    table.open(HELLO, ring(4))
    table.leave(entries[5:], now_s=4)
    assert table.entries() == entries[3:]
    table.leave([table.open(HELLO, ring(7))], now_s=5)
    assert entries[4] not in table.entries()
    assert table.folded().rings == 3


def test_what_was_kept_of_rings_that_were_left_is_bounded() -> None:
    """A hub that starts with too many folds them with its first group."""
    table = RingTable()
    entries = [table.open(HELLO, ring(n, settled_seq=n)) for n in (1, 2, 3)]
    changes = [Change(entry, entry.position) for entry in entries]
    kept = [
        r for r in table.settle(changes, now_s=1).values() if isinstance(r, RingState)
    ]
    again = RingTable(kept, left_max=1)
    again.settle([], now_s=2)
    assert [entry.ring_id for entry in again.entries()] == [entries[2].ring_id]


def resent(before: int, last: int, through: int) -> Segment:
    """Return a segment of events of which some were sent before."""
    return replace(plain_segment(before, last), resent_through=through)


def test_what_an_earlier_hub_may_have_handed_out() -> None:
    """It is what was sent before this process had the ring, over streams too."""
    table = RingTable()
    entry = table.open(HELLO, ring(1))
    assert entry.redelivered_in(resent(0, 3, 0)) == 0
    assert entry.redelivered_in(resent(0, 3, 5)) == 3
    entry.is_advanced = True
    assert entry.redelivered_in(resent(3, 9, 5)) == 5
    table.open(HELLO, ring(1))
    assert entry.redelivered_in(resent(3, 9, 9)) == 5
    assert entry.redelivered_in(resent(5, 9, 9)) == 0


def test_what_this_process_has_advanced_is_not_marked() -> None:
    """It knows what it took; what it did not take was sent in vain."""
    table = RingTable()
    entry = table.open(HELLO, ring(1))
    entry.is_advanced = True
    assert table.open(HELLO, ring(1)) is entry
    assert entry.redelivered_in(resent(0, 3, 3)) == 0
