"""What the hub's ledger is made of."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from shmtel.accounting.accounts import Account
from shmtel.hub.closed_sums import ClosedSums
from shmtel.hub.hosts import OTHER, HostEntry
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
NOTHING = HostCounters()
CLAIMS = WorkerCounters(9, dropped={"ring_full": 2})


def _enter(table: RingTable, now_ns: int = 1, hello: Hello = HELLO) -> HostEntry:
    return table.hosts.enter(hello, now_ns)


def _tell(
    table: RingTable,
    host: HostEntry,
    counters: HostCounters = NOTHING,
    rings: Iterable[tuple[RingEntry, RingCounters]] = (),
) -> None:
    table.tell(host, host.stream, rings, counters)


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
    final = WorkerCounters(10, dropped={"ring_full": 3})
    table.close(entry, RingClosed(1, 4, "vanished", final))
    (ring,) = facts(table, {ME}).rings
    assert (ring.closed_reason, ring.counters) == ("vanished", final)


def test_claims_do_not_fall() -> None:
    """A ring whose counters cannot be read any more is told of without them."""
    table = RingTable()
    host, entry = _enter(table), _open(table, 1)
    _tell(table, host, rings=[(entry, RingCounters(1, 11, 5, CLAIMS))])
    _tell(table, host, rings=[(entry, RingCounters(1, 11, 5))])
    claims = replace(CLAIMS, committed=11)  # they were read, and sent
    assert entry.told.counters == claims
    closed = table.close(entry, RingClosed(1, 11, "quarantined", WorkerCounters(11)))
    assert entry.counters == closed.counters == claims


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
    _tell(table, _enter(table, 17), HostCounters({"link": 1}))
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
    """Not before its host has told of all rings, and until it is there again."""
    table = RingTable()
    _enter(table)
    entries = [_open(table, number) for number in (1, 2)]
    host = _enter(table, 2)
    table.leave(entries, 0)
    entry = _open(table, 2)
    assert [ring.gone for ring in facts(table, {ME}).rings] == [False, False]
    _tell(table, host)
    assert [ring.gone for ring in facts(table, {ME}).rings] == [True, False]
    table.leave([entry], 0)
    assert [ring.gone for ring in facts(table, set()).rings] == [True, False]
    _open(table, 1)
    assert [ring.gone for ring in facts(table, {ME}).rings] == [False, False]


def test_a_stream_that_was_followed_tells_nothing() -> None:
    """Its rings may be open no more; that does not make any of them gone."""
    table = RingTable()
    host, entry = _enter(table), _open(table, 1)
    first = host.stream
    _enter(table, 2)
    table.leave([entry], 0)
    table.tell(host, first, [(entry, RingCounters(1, 9, 9, CLAIMS))], NOTHING)
    assert (entry.is_gone, entry.told, host.told) == (False, RingCounters(0), 0)


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
    _tell(table, _enter(table))
    table.publish(table.settle((), 0))


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
    table.publish(table.settle([Change(entry, entry.position)], 0))
    told = RingCounters(1, 4, 0, CLAIMS)
    _tell(table, _enter(table), rings=[(entry, told)])
    entry.position = Position(4, {0: 4})
    assert facts(table, {ME}).ledger().total.delivered == 4
    assert _shown(table).ledger.total == Account()
    table.publish(table.settle((), 0))
    account = _shown(table).ledger.total
    assert (account.delivered, account.in_flight, account.in_ring) == (0, 4, 5)
    assert (account.unaccounted, account.dropped) == (0, {"ring_full": 2})
    rows = table.settle([Change(entry, entry.position)], 0)
    assert _shown(table).ledger.total.delivered == 0
    table.publish(rows)
    assert _shown(table).ledger.total.delivered == 4
    closed = table.close(entry, RingClosed(1, 9, "closed", CLAIMS))
    assert _shown(table).closed == {}
    assert _shown(table).ledger.total.in_ring == 5
    entry.position = Position(9, {0: 9})
    table.publish(table.settle([Change(entry, entry.position, closed)], 0))
    assert _shown(table).closed == {(ME, "closed"): 1}
    assert _shown(table).ledger.total.in_ring == 0


def test_a_host_has_no_series_before_it_has_told() -> None:
    """That would be half of an account; that it is known is told."""
    table = RingTable()
    _close(table, _open(table, 1), CLAIMS)
    host = _enter(table)
    rings = [(_open(table, 2), RingCounters(1, 0, 0, CLAIMS))]
    for tell in (lambda: None, lambda: _tell(table, host, rings=rings)):
        tell()
        shown = _shown(table)
        assert (shown.ledger.hosts, shown.ledger.rings, shown.closed) == ((), (), {})
        assert [known.host_id for known in shown.hosts] == [ME]
    table.publish(table.settle((), 0))
    shown = _shown(table)
    assert shown.ledger.total.dropped == {"ring_full": 4}
    _enter(table, 2)  # a new stream takes nothing back
    assert _shown(table).ledger.total == shown.ledger.total


def test_sums_of_hosts_survive_a_hub() -> None:
    """In the transaction in which the rings go, for nobody tells of them again."""
    rows: dict[str, Row | None] = {}
    table = RingTable(closed_max=1)
    _tell(table, _enter(table), HostCounters({"link": 3}))
    for number in (1, 2, 3):
        entry = _open(table, number)
        closed = RingClosed(1, 4, "closed", replace(CLAIMS, committed=4))
        table.close(entry, closed)
        rows |= table.settle([Change(entry, entry.position, closed)], 0)
    table.publish(rows)
    after = _next(rows, closed_max=1)
    assert _shown(after).ledger.total == _shown(table).ledger.total
    (host,) = _shown(after).ledger.hosts
    assert host.host.counters.refused == {"link": 3}
    assert replace(host.host, as_of_ns=1) == _shown(table).ledger.hosts[0].host
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
