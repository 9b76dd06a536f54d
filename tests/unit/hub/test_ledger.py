"""What the hub's ledger is made of."""

from dataclasses import replace

from shmtel.hub.hosts import OTHER
from shmtel.hub.ledger import facts
from shmtel.hub.positions import Folded
from shmtel.hub.table import Change, RingEntry, RingTable
from shmtel.wire.control import HostLedger, RingSum
from shmtel.wire.frames import (
    Hello,
    HostCounters,
    RingClosed,
    RingCounters,
    WorkerCounters,
)
from shmtel.wire.limits import COUNTED_MAX
from shmtel.wire.protocol import Position
from support.frames import HELLO, OPENED

ME = HELLO.host_id
CLAIMS = WorkerCounters(9, dropped={"ring_full": 2})


def _open(table: RingTable, number: int, hello: Hello = HELLO) -> RingEntry:
    entry = table.open(hello, replace(OPENED, ring_id=bytes([number]) * 16))
    entry.position = Position(4, {0: 4})
    return entry


def _close(table: RingTable, entry: RingEntry, counters: WorkerCounters) -> None:
    """Close a ring, and let the committer fold what is too old."""
    closed = RingClosed(1, entry.position.last_seq, "closed", counters)
    table.close(entry, closed)
    table.settle([Change(entry, entry.position, closed)], 0)


def test_a_ring_has_the_last_claims() -> None:
    """Those that were told while it lives, and the final ones from its end on."""
    table = RingTable()
    entry = _open(table, 1)
    entry.told = RingCounters(1, 7, 5, CLAIMS)
    (ring,) = facts(table, {ME}).rings
    assert (ring.last_seq, ring.spooled_seq, ring.sent_seq) == (4, 5, 7)
    assert ring.counters == CLAIMS
    table.close(entry, RingClosed(1, 4, "vanished", WorkerCounters(4)))
    (ring,) = facts(table, {ME}).rings
    assert (ring.closed_reason, ring.counters) == ("vanished", WorkerCounters(4))


def test_an_announcement_forgets_what_was_under_way() -> None:
    """What an earlier stream had sent without an answer is in the ring again."""
    table = RingTable()
    _open(table, 1).told = RingCounters(1, 7, 5, CLAIMS)
    _open(table, 1)
    (ring,) = facts(table, {ME}).rings
    assert (ring.sent_seq, ring.spooled_seq) == (0, 5)


def test_a_host_is_as_of_its_last_word() -> None:
    """Connected or not, it is told when that was."""
    table = RingTable()
    host = table.hosts.enter(HELLO, 17)
    host.tell(HostCounters({"link": 1}))
    for connected in (True, False):
        (known,) = facts(table, {ME} if connected else set()).hosts
        assert known == HostLedger(
            ME, "node", "ns", connected, 17, HostCounters({"link": 1})
        )


def test_a_host_of_an_earlier_hub_is_listed() -> None:
    """Rings that were kept over a restart have a host, though it has said nothing."""
    table = RingTable()
    _open(table, 1)
    assert facts(table, set()).hosts == (HostLedger(ME, "node"),)


def test_a_ring_that_is_not_announced_any_more_is_gone() -> None:
    """Not before its host has told of all rings, and not while it is away."""
    table = RingTable()
    host = table.hosts.enter(HELLO, 1)
    entries = [_open(table, number) for number in (1, 2)]
    host = table.hosts.enter(HELLO, 2)
    table.leave(entries, 0)
    _open(table, 2)
    assert [ring.gone for ring in facts(table, {ME}).rings] == [False, False]
    host.tell(HostCounters())
    assert [ring.gone for ring in facts(table, {ME}).rings] == [True, False]
    assert [ring.gone for ring in facts(table, set()).rings] == [False, False]


def test_what_is_folded_stays_with_its_host() -> None:
    """Claims and totals of rings that are no longer kept count for their host."""
    table = RingTable(closed_max=1)
    other = replace(HELLO, host_id="other", node="elsewhere")
    for number, hello in ((1, HELLO), (2, HELLO), (3, other)):
        entry = _open(table, number, hello)
        _close(table, entry, replace(CLAIMS, committed=4))
    (known, _) = facts(table, set()).hosts
    assert known.node == "node"
    totals, claims = {0: 8}, WorkerCounters(8, dropped={"ring_full": 4})
    assert known.folded == RingSum(2, 8, totals, claims)
    assert facts(table, set()).ledger().total.delivered == 12


def test_what_is_folded_is_counted_under_few_reasons() -> None:
    """A collector that makes up reasons does not fill the hub's memory with them."""
    table = RingTable(closed_max=0)
    for number in range(1, COUNTED_MAX + 21):
        claims = WorkerCounters(1, dropped={f"reason-{number}": 2})
        _close(table, _open(table, number), claims)
    (known,) = facts(table, set()).hosts
    dropped = known.folded.counters.dropped
    assert len(dropped) == COUNTED_MAX
    assert dropped["reason-1"] == 2
    assert dropped[OTHER] == 2 * (COUNTED_MAX + 20 - (COUNTED_MAX - 1))


def test_what_earlier_hubs_folded_has_no_host() -> None:
    """It still counts, under no name."""
    table = RingTable(folded=Folded(2, {0: 5, 17: 6}), closed_max=0)
    _close(table, _open(table, 1), CLAIMS)
    *_, earlier = facts(table, set()).hosts
    assert earlier == HostLedger("", "", folded=RingSum(2, 11, {0: 5, 17: 6}))


def test_hosts_are_bounded() -> None:
    """The hub remembers those it has heard of last."""
    table = RingTable()
    table.hosts._hosts_max = 2
    for number in range(4):
        table.hosts.enter(replace(HELLO, host_id=str(number)), number)
    assert [host.host_id for host in table.hosts.entries()] == ["2", "3"]
