"""What the hub's ledger is made of."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from shmtel.hub.closed_sums import ClosedSums
from shmtel.hub.hosts import OTHER
from shmtel.hub.ledger import Summary, facts, summary
from shmtel.hub.positions import Folded, FoldedHost, RingState, Row
from shmtel.hub.ring_entry import RingEntry
from shmtel.hub.table import Change, RingTable
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
    table.publish(table.settle([Change(entry, entry.position, closed)], 0))


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
    assert facts(table, set()).hosts == (HostLedger(ME, "node", "ns"),)


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


def _shown(table: RingTable) -> Summary:
    return summary(table, {ME}, ClosedSums())


def _told(table: RingTable) -> None:
    table.hosts.enter(HELLO, 1).tell(HostCounters())


def _next(rows: Mapping[str, Row | None], **options: int) -> RingTable:
    """Return the table of the hub after the one that wrote these rows."""
    rings = [row for row in rows.values() if isinstance(row, RingState)]
    hosts = [row for row in rows.values() if isinstance(row, FoldedHost)]
    (folded,) = [r for r in rows.values() if isinstance(r, Folded)] or [Folded()]
    return RingTable(rings, folded, hosts, **options)


def test_metrics_do_not_run_ahead_of_the_record() -> None:
    """What a hub that is killed would take back is not told; the ledger has it."""
    table = RingTable()
    _told(table)
    entry = table.open(HELLO, OPENED)
    entry.told = RingCounters(1, 4, 0, CLAIMS)
    entry.position = Position(4, {0: 4})
    assert facts(table, {ME}).ledger().total.delivered == 4
    (host,) = _shown(table).ledger.hosts
    assert (host.account.delivered, host.account.in_flight) == (0, 4)
    assert host.account.unaccounted == 0
    rows = table.settle([Change(entry, entry.position)], 0)
    assert _shown(table).ledger.total.delivered == 0
    table.publish(rows)
    assert _shown(table).ledger.total.delivered == 4
    closed = RingClosed(1, 4, "closed", replace(CLAIMS, committed=4))
    table.close(entry, closed)
    assert _shown(table).closed == {}
    assert _shown(table).ledger.total.in_ring == 5  # as it was claimed before
    table.publish(table.settle([Change(entry, entry.position, closed)], 0))
    assert _shown(table).closed == {(ME, "closed"): 1}
    assert _shown(table).ledger.total.in_ring == 0


def test_a_host_has_no_series_before_it_has_told() -> None:
    """Half of an account would fall and come back; that it is away is told."""
    table = RingTable()
    _close(table, _open(table, 1), CLAIMS)
    host = table.hosts.enter(HELLO, 1)
    _open(table, 2).told = RingCounters(1, 0, 0, CLAIMS)
    shown = _shown(table)
    assert (shown.ledger.hosts, shown.ledger.rings, shown.closed) == ((), (), {})
    assert [known.host_id for known in shown.hosts] == [ME]
    host.tell(HostCounters())
    shown = _shown(table)
    assert shown.ledger.total.dropped == {"ring_full": 4}
    table.hosts.enter(HELLO, 2)  # a new stream takes nothing back
    assert _shown(table).ledger.total == shown.ledger.total


def test_sums_of_hosts_survive_a_hub() -> None:
    """In the transaction in which the rings go, for nobody tells of them again."""
    rows: dict[str, Row | None] = {}
    table = RingTable(closed_max=1)
    _told(table)
    for number in (1, 2, 3):
        entry = _open(table, number)
        closed = RingClosed(1, 4, "closed", replace(CLAIMS, committed=4))
        table.close(entry, closed)
        rows |= table.settle([Change(entry, entry.position, closed)], 0)
    table.publish(rows)
    after = _next(rows, closed_max=1)
    assert _shown(after).ledger.hosts == ()
    _told(after)
    assert _shown(after).ledger.total == _shown(table).ledger.total
    assert [h.host for h in _shown(after).ledger.hosts] == [
        h.host for h in _shown(table).ledger.hosts
    ]
    assert _shown(after).ledger.total.dropped == {"ring_full": 6}


def test_the_sum_of_a_host_that_is_forgotten_is_nobodys() -> None:
    """What is kept of it goes with the next rings that go."""
    table = RingTable(closed_max=0)
    table.hosts._hosts_max = 1
    _close(table, _open(table, 1), CLAIMS)
    other = replace(HELLO, host_id="other")
    table.hosts.enter(other, 1)
    entry = _open(table, 2, other)
    closed = RingClosed(1, 4, "closed", CLAIMS)
    table.close(entry, closed)
    rows = table.settle([Change(entry, entry.position, closed)], 0)
    hosts = {key: row for key, row in rows.items() if key.startswith("folded_host:")}
    assert sorted(row is None for row in hosts.values()) == [False, True]


def test_a_namesake_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """A collector that has lost its state is another host; its own return is none."""
    table = RingTable()
    table.hosts.enter(HELLO, 1)
    table.hosts.enter(HELLO, 2)
    table.hosts.enter(replace(HELLO, host_id="o", namespace="other"), 3)
    assert caplog.text == ""
    table.hosts.enter(replace(HELLO, host_id="new"), 4)
    assert "a second host is called node in namespace ns" in caplog.text


def test_hosts_are_bounded() -> None:
    """The hub remembers those it has heard of last."""
    table = RingTable()
    table.hosts._hosts_max = 2
    for number in range(4):
        table.hosts.enter(replace(HELLO, host_id=str(number)), number)
    assert [host.host_id for host in table.hosts.entries()] == ["2", "3"]
