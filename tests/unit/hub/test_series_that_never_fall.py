"""Whatever happens to hosts and hubs, no counter of what is on record falls."""

from dataclasses import asdict, replace

import pytest

from shmtel.hub.closed_sums import ClosedSums
from shmtel.hub.ledger import facts, summary
from shmtel.hub.positions import Folded, FoldedHost, RingState, Row
from shmtel.hub.ring_entry import RingEntry
from shmtel.hub.table import EXPIRY_S, Change, RingTable
from shmtel.wire.frames import (
    Hello,
    HostCounters,
    Outcome,
    RingCounters,
    WorkerCounters,
)
from shmtel.wire.protocol import Position
from support.frames import HELLO, OPENED

GAUGES = {"spooled", "in_flight", "in_ring"}
NOTHING = HostCounters()
EVICTED = HostCounters(evicted_rings=1, evicted={Outcome.LOST_EVICTED: 10})
NEW_ID = replace(HELLO, host_id="of a collector whose state was removed")


class Hubs:
    """A table, the disk under it, and the hub after this one."""

    def __init__(self) -> None:
        self.disk: dict[str, Row] = {}
        self.open: list[RingEntry] = []
        self.seen: dict[str, int] = {}
        self.start()

    def start(self) -> None:
        """Go on with what is on the disk, as after a SIGKILL."""
        rows = self.disk.values()
        self.table = RingTable(
            [row for row in rows if isinstance(row, RingState)],
            next((row for row in rows if isinstance(row, Folded)), None),
            [row for row in rows if isinstance(row, FoldedHost)],
        )
        self.sums = ClosedSums()
        self.open = []
        self.look()

    def connect(
        self,
        *rings: int,
        hello: Hello = HELLO,
        counters: HostCounters = NOTHING,
        claims: WorkerCounters | None = None,
    ) -> None:
        """Let a collector announce rings, and tell of all of them."""
        host = self.table.hosts.enter(hello, 1)
        self.look()
        for number in rings:
            opened = replace(OPENED, ring_id=bytes([number]) * 16)
            self.open.append(self.table.open(hello, opened, 1))
        told = [(e, RingCounters(1, 0, 0, claims or CLAIMS)) for e in self.open]
        self.table.tell(host, host.stream, told, counters)
        self.look()
        self.commit()

    def disconnect(self) -> None:
        """End the stream."""
        self.table.leave(self.open, 1)
        self.open = []
        self.look()

    def deliver(self, last_seq: int) -> None:
        """Take events of the rings that are open."""
        for entry in self.open:
            entry.position = Position(last_seq, {Outcome.DELIVERED: last_seq})
        self.look()
        self.commit(*(Change(entry, entry.position) for entry in self.open))

    def commit(self, *changes: Change, later_s: int = 0) -> None:
        """Write what there is."""
        rows = self.table.settle(changes, 1)
        if later_s:
            rows |= self.table.sweep(1 + later_s)
        self.look()
        for key, row in rows.items():
            if row is None:
                del self.disk[key]
            else:
                self.disk[key] = row
        self.table.publish(rows)
        self.look()

    def look(self) -> None:
        """Scrape: both laws hold, and nothing is less than before."""
        account = summary(self.table, (), self.sums).ledger.total
        assert account.unaccounted == 0
        now = {"emitted": account.emitted}
        for word, value in asdict(account).items():
            if word not in GAUGES:
                counts = value if isinstance(value, dict) else {"": value}
                now |= {f"{word}.{reason}": n for reason, n in counts.items()}
        fallen = {k: (n, now.get(k, 0)) for k, n in self.seen.items()}
        assert {k: v for k, v in fallen.items() if v[0] > v[1]} == {}
        self.seen |= now


CLAIMS = WorkerCounters(100, 4, 3, 2, {"ring_full": 5})


@pytest.fixture
def hubs() -> Hubs:
    """A ring of which ninety events of a hundred were delivered."""
    hubs = Hubs()
    hubs.connect(1)
    hubs.deliver(90)
    assert (hubs.seen["committed."], hubs.seen["dropped.ring_full"]) == (100, 5)
    return hubs


def _require_as_the_ledger(hubs: Hubs, **expected: int) -> None:
    """What is shown at the end is what the ledger says, and what is right."""
    ledger = facts(hubs.table, ()).ledger().total
    assert ledger == summary(hubs.table, (), hubs.sums).ledger.total
    assert {word: getattr(ledger, word) for word in expected} == expected
    assert ledger.dropped["ring_full"] % 5 == 0


def test_a_hub_that_is_killed(hubs: Hubs) -> None:
    """It goes on with what it had shown, before any collector is back."""
    hubs.start()
    _require_as_the_ledger(hubs, committed=100, emitted=114, delivered=90, in_ring=10)
    hubs.connect(1)
    hubs.deliver(95)
    _require_as_the_ledger(hubs, committed=100, emitted=114, delivered=95, in_ring=5)


@pytest.mark.parametrize("is_killed", [False, True], ids=["the hub stays", "and hub"])
def test_a_host_that_reboots(hubs: Hubs, is_killed: bool) -> None:
    """Its rings are gone with what was in them, which nobody tells."""
    hubs.disconnect()
    if is_killed:
        hubs.start()
    hubs.connect()
    assert facts(hubs.table, ()).ledger().total.lost == {"evicted": 10}
    _require_as_the_ledger(hubs, committed=100, emitted=114, in_ring=0)
    hubs.disconnect()
    hubs.start()
    hubs.connect(2)
    hubs.deliver(100)
    assert facts(hubs.table, ()).ledger().total.lost == {"evicted": 10}
    _require_as_the_ledger(hubs, committed=200, emitted=228, in_ring=0)


def test_a_ring_that_is_evicted_while_there_is_no_hub(hubs: Hubs) -> None:
    """What was in it is told by its host, and counted once; also while that is away."""
    hubs.disconnect()
    hubs.start()
    for _ in range(2):
        hubs.connect(counters=EVICTED)
        _require_as_the_ledger(hubs, committed=100, emitted=114, in_ring=0)
        hubs.disconnect()
        _require_as_the_ledger(hubs, committed=100, emitted=114, in_ring=0)
    assert facts(hubs.table, ()).ledger().total.lost == {"evicted": 10}


def test_a_host_with_a_new_id(hubs: Hubs) -> None:
    """What the old one had counted stays in the series of both, over hubs."""
    hubs.disconnect()
    hubs.connect(2, hello=NEW_ID)
    hubs.deliver(100)
    hubs.start()
    hubs.connect(2, hello=NEW_ID)
    _require_as_the_ledger(hubs, committed=200, delivered=190, in_ring=10)


def test_a_host_that_does_not_come_back(hubs: Hubs) -> None:
    """Its rings are folded, and what was in them is lost."""
    hubs.disconnect()
    hubs.commit(later_s=EXPIRY_S + 1)
    _require_as_the_ledger(hubs, committed=100, emitted=114, in_ring=0)
    hubs.start()
    _require_as_the_ledger(hubs, committed=100, emitted=114, in_ring=0)
    assert facts(hubs.table, ()).ledger().total.lost == {"evicted": 10}
