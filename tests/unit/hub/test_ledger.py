"""The hub's half of the ledger."""

from shmtel.hub.ledger import RingLedger, make_ledger
from shmtel.hub.positions import Folded
from shmtel.hub.table import RingTable
from shmtel.wire.frames import RingClosed, WorkerCounters
from shmtel.wire.protocol import Position
from support.frames import HELLO, OPENED


def test_totals_have_names() -> None:
    """Outcomes stand under their names; one that is not known keeps its number."""
    table = RingTable()
    entry = table.open(HELLO, OPENED)
    entry.position = Position(7, {0: 4, 8: 2, 31: 1})
    table.close(entry, RingClosed(1, 7, "closed", WorkerCounters(7)))
    ledger = make_ledger(table.entries(), Folded(2, {17: 9}))
    assert ledger.rings == (
        RingLedger(
            node="node",
            worker_id="w-1",
            pool_name="pool",
            pid=42,
            ring_id="72" * 16,
            last_seq=7,
            totals={"delivered": 4, "rejected_malformed": 2, "outcome_31": 1},
            closed_reason="closed",
            counters=WorkerCounters(7),
        ),
    )
    assert ledger.folded_rings == 2
    assert ledger.folded_totals == {"lost_hub_state_lost": 9}
