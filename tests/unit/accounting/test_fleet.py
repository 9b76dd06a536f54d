"""Both laws for a fleet, from what a hub knows."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmtel.accounting.accounts import Account, sum_of
from shmtel.accounting.fleet import fleet_ledger
from shmtel.wire.control import HostLedger, RingLedger, RingSum
from shmtel.wire.frames import HostCounters, Outcome, Worker, WorkerCounters

CLAIMS = WorkerCounters(10, 1, 2, 3, {"ring_full": 4})
HOST = HostLedger("h", "node", "ns", connected=True, as_of_ns=5)
RING = RingLedger(
    "h",
    Worker("w", "pool", pid=9),
    b"r" * 16,
    last_seq=4,
    totals={Outcome.DELIVERED: 3, Outcome.REJECTED_MALFORMED: 1},
    sent_seq=7,
    spooled_seq=5,
    counters=CLAIMS,
)
ANSWERED = Account(
    committed=10,
    dropped={"ring_full": 4},
    sampled_out=1,
    filtered=2,
    disabled=3,
    delivered=3,
    rejected={"malformed": 1},
)


def _account(ring: RingLedger, host: HostLedger = HOST) -> Account:
    (row,) = fleet_ledger([host], [ring]).rings
    return row.account


def test_a_live_ring_is_where_its_collector_says() -> None:
    """Answered, spooled, in flight and in the ring follow from four positions."""
    account = _account(RING)
    assert account == replace(ANSWERED, spooled=1, in_flight=2, in_ring=3)
    assert (account.emitted, account.unaccounted) == (20, 0)


def test_without_a_stream_nothing_is_in_flight() -> None:
    """What was under way when the stream ended is in its ring again."""
    account = _account(RING, replace(HOST, connected=False))
    assert account == replace(ANSWERED, spooled=1, in_ring=5)


def test_the_hub_may_be_ahead_of_the_last_word() -> None:
    """Events that came after the counters are no less accounted for."""
    ring = replace(RING, last_seq=12, totals={0: 12})
    assert _account(ring) == replace(
        ANSWERED, committed=12, delivered=12, rejected={}, in_ring=0
    )


def test_a_closed_ring_has_nothing_under_way() -> None:
    """What its worker claims beyond its end is missing, and said to be."""
    account = _account(replace(RING, closed_reason="vanished"))
    assert account == ANSWERED
    assert account.unaccounted == 6


@pytest.mark.parametrize("reason", ["retired", "quarantined", "evicted"])
def test_behind_some_ends_claims_prove_nothing(reason: str) -> None:
    """A damaged ring can claim anything, and a retired one went on elsewhere."""
    account = _account(replace(RING, closed_reason=reason))
    assert account == replace(ANSWERED, committed=4)
    assert account.unaccounted == 0


def test_a_ring_that_is_gone_is_not_counted_twice() -> None:
    """What was in it its host tells as evicted, for all such rings at once."""
    lost = HostCounters(evicted_rings=1, evicted={Outcome.LOST_EVICTED: 6})
    host = replace(HOST, counters=lost)
    ledger = fleet_ledger([host], [replace(RING, gone=True)])
    assert [(row.state, row.account.committed) for row in ledger.rings] == [
        ("evicted", 6),
        ("gone", 4),
    ]
    assert ledger.total.lost == {"evicted": 6}
    assert ledger.total.unaccounted == 0


def test_folded_rings_stay_in_the_sum() -> None:
    """A host's sum holds the rings that are no longer kept one by one."""
    folded = RingSum(3, 10, {0: 10}, CLAIMS)
    ledger = fleet_ledger([replace(HOST, folded=folded)], [RING])
    assert [row.worker_id for row in ledger.rings] == ["3 rings", "w"]
    assert ledger.hosts[0].account == ledger.total
    assert ledger.total.delivered == 13


def test_parts_have_their_own_sums() -> None:
    """Globs choose hosts or workers, and the sum is that of what is shown."""
    other = HostLedger("i", "other")
    rings = [RING, replace(RING, host_id="i"), replace(RING, worker=Worker("x"))]
    ledger = fleet_ledger([HOST, other], rings)
    part = ledger.of_nodes("oth*")
    assert [host.host.node for host in part.hosts] == ["other"]
    assert part.total.committed == 10
    assert ledger.of_workers("x").total.committed == 10
    assert ledger.of_nodes("*").total == ledger.total


def test_json_speaks_as_a_hosts_ledger_does() -> None:
    """The same words under every host, and as of when they are."""
    host = fleet_ledger([HOST], [RING]).to_json()["hosts"][0]
    account = _account(RING).to_json()
    assert {word: host[word] for word in account} == account
    assert (host["connected"], host["as_of_ns"]) == (True, 5)


_SEQ = st.integers(0, 1 << 40)
_RINGS = st.builds(
    lambda delivered, lost, sent, spooled, claimed, closed, gone: RingLedger(
        "h",
        Worker(),
        b"",
        delivered + lost,
        {0: delivered, 17: lost},
        sent,
        spooled,
        WorkerCounters(claimed, 1, 2, 3, {"invalid": 4}),
        closed,
        gone,
    ),
    *(_SEQ, _SEQ, _SEQ, _SEQ, _SEQ),
    st.sampled_from(["", "", "closed", "retired"]),
    st.booleans(),
)


@given(st.lists(_RINGS, max_size=5), st.booleans())
def test_sums_are_those_of_the_rings(rings: list[RingLedger], connected: bool) -> None:
    """However positions lie, the host's account is the sum, and only an end misses."""
    ledger = fleet_ledger([replace(HOST, connected=connected)], rings)
    assert ledger.total == sum_of(row.account for row in ledger.rings)
    for ring, row in zip(rings, ledger.rings, strict=True):
        if ring.closed_reason != "closed":
            assert row.account.unaccounted == 0
        assert row.account.unaccounted >= 0
