"""Closed rings as sums: the same as one by one, whatever comes and goes."""

import random
from dataclasses import replace

import pytest

from shmtel.accounting.fleet import fleet_ledger
from shmtel.hub.closed_sums import ClosedSums
from shmtel.hub.ledger import Summary, facts, summary
from shmtel.hub.ring_entry import RingEntry, Shown
from shmtel.hub.table import Change, RingTable
from shmtel.wire.frames import (
    HostCounters,
    Outcome,
    RingClosed,
    RingOpened,
    WorkerCounters,
)
from shmtel.wire.protocol import Position
from support.frames import HELLO, WORKER

OTHER_HELLO = replace(HELLO, host_id="other", node="other")
SCRAPE_CALLS_MAX = 3  # a few, not one for each ring


class Scene:
    """A small table of rings that are opened, closed, opened again and folded."""

    def __init__(self, closed_max: int = 8) -> None:
        self.table = RingTable(closed_max=closed_max)
        self._draws = random.Random(3)
        self.sums = ClosedSums()
        for hello in (HELLO, OTHER_HELLO):
            host = self.table.hosts.enter(hello, 1)
            self.table.tell(host, host.stream, (), HostCounters())
        self.table.publish(self.table.settle((), 1))

    def open(self, number: int) -> RingEntry:
        """Open a ring, of one of two hosts."""
        hello = OTHER_HELLO if number % 3 else HELLO
        opened = RingOpened(1, number.to_bytes(16), WORKER)
        return self.table.open(hello, opened, 1)

    def close(self, number: int) -> None:
        """Let a ring end, having delivered and lost something."""
        entry = self.open(number)
        last_seq = entry.position.last_seq + self._draws.randrange(1, 50)
        totals = {Outcome.DELIVERED: last_seq - 1, Outcome.LOST_QUARANTINED: 1}
        entry.position = Position(last_seq, totals)
        counters = WorkerCounters(last_seq, dropped={f"r{number % 4}": number + 1})
        reason = self._draws.choice(["closed", "vanished"])
        closed = RingClosed(1, last_seq, reason, counters)
        self.table.close(entry, closed)
        rows = self.table.settle([Change(entry, entry.position, closed)], 1)
        self.table.publish(rows)

    def summary(self) -> Summary:
        """Return what a scrape makes of it."""
        return summary(self.table, (), self.sums)

    def require_the_same(self) -> None:
        """Compare with what the rings add up to one by one."""
        rings = [entry.for_metrics(entry.shown) for entry in self.table.entries()]
        whole = fleet_ledger(facts(self.table, ()).hosts, rings)
        summed = self.summary()
        by_host = {h.host.host_id: h.account for h in summed.ledger.hosts}
        assert by_host == {h.host.host_id: h.account for h in whole.hosts}
        states = [(r.host_id, r.state) for r in whole.rings if r.ring_id]
        states = [state for state in states if state[1] in ("closed", "vanished")]
        assert summed.closed == {state: states.count(state) for state in set(states)}


def test_sums_are_those_of_the_rings() -> None:
    """After each of many changes, and also where nobody had looked for a while."""
    scene, draws = Scene(), random.Random(5)
    for step in range(300):
        number = draws.randrange(24)
        (scene.close if draws.random() < 0.7 else scene.open)(number)
        if step % 3:
            scene.require_the_same()


def test_what_is_gone_leaves_nothing() -> None:
    """Neither a host nor a reason that no ring has any more."""
    scene = Scene()
    for number in range(8):
        scene.close(number)
    shown = [(entry, entry.shown) for entry in scene.table.entries()]
    assert len(scene.sums.of(shown).by_host) == 2
    gone = scene.sums.of([])
    assert (gone.by_host, gone.by_reason) == ({}, {})


def test_a_scrape_adds_up_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five thousand dead workers it looks at those that have died since."""
    scene = Scene(closed_max=5_000)
    for number in range(5_000):
        scene.close(number)
    scene.summary()
    calls: list[RingEntry] = []
    original = RingEntry.for_metrics

    def counting(entry: RingEntry, shown: Shown) -> object:
        calls.append(entry)
        return original(entry, shown)

    monkeypatch.setattr(RingEntry, "for_metrics", counting)
    assert all(not ring.ring_id for ring in scene.summary().ledger.rings)
    assert calls == []
    scene.close(5_000)
    scene.summary()
    assert len(calls) <= SCRAPE_CALLS_MAX
