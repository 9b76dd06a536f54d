"""What the hub keeps of rings."""

from dataclasses import replace

from shmtel.hub.table import RingTable
from shmtel.wire.frames import RingClosed, RingOpened, WorkerCounters
from shmtel.wire.protocol import Position
from support.frames import HELLO, OPENED, WORKER

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


def test_old_closed_rings_are_folded() -> None:
    """Beyond the bound the oldest closed rings become one sum; live ones stay."""
    table = RingTable(closed_max=2)
    live = table.open(HELLO, ring(0))
    entries = [table.open(HELLO, ring(n, settled_seq=n)) for n in range(1, 5)]
    for entry in entries:
        table.close(entry, CLOSED)
    assert table.entries() == [live, *entries[2:]]
    assert (table.folded().rings, table.folded().totals) == (2, {0: 3})
    table.close(entries[0], CLOSED)
    assert table.folded().rings == 2
    assert len(table.entries()) == 3


def test_a_reopened_ring_is_not_folded() -> None:
    """A ring that lives again does not count as closed."""
    table = RingTable(closed_max=1)
    first = table.open(HELLO, ring(1))
    table.close(first, CLOSED)
    table.open(HELLO, ring(1))
    for number in (2, 3):
        table.close(table.open(HELLO, ring(number)), CLOSED)
    assert first in table.entries()
