"""The collector's own events: their rate, and what they survive."""

from typing import Any

import pytest

import shmtel
from shmtel import _ring, ring
from shmtel.errors import ShmtelError
from shmtel_collector.journal import BURST, PER_SECOND, TEXT_MAX, RingJournal
from support.quiet_log import QuietLog


class Recorded:
    """A journal whose events are noted instead of emitted, and its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.rings: list[bytes] = []
        self.now = 0.0
        monkeypatch.setattr(shmtel, "emit", lambda *event: self.events.append(event))
        monkeypatch.setattr(shmtel, "enable", lambda: None)
        monkeypatch.setattr(ring, "use", lambda settings: None)
        monkeypatch.setattr(_ring, "own_rings", lambda: [b"r" * 16])
        self.log = QuietLog()
        self.failure: ShmtelError | None = None
        self.journal = RingJournal("ns", self._note, self.log, lambda: self.now)

    def _note(self, ring_id: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self.rings.append(ring_id)

    def record(self, times: int = 1) -> int:
        """Record so often; return how many events that made."""
        before = len(self.events)
        for _ in range(times):
            self.journal.record("policy.applied", {"version": 1}, {"origin": "o"})
        return len(self.events) - before


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """A journal at rest."""
    return Recorded(monkeypatch)


def test_flood_is_cut_and_counted(one: Recorded) -> None:
    """After a burst the rate is bounded; the next event says what is missing."""
    assert one.record(BURST + 100) == BURST
    one.now += 1.0
    assert one.record(100) == PER_SECOND
    assert one.events[BURST][1] == {"version": 1, "left_out": 100}
    assert one.events[BURST + 1][1] == {"version": 1}


def test_kinds_do_not_hide_each_other(one: Recorded) -> None:
    """However many workers die, a change of what is in force is on the record."""
    for _ in range(1_000):
        one.journal.record("pool.worker.terminated", {}, {"subject": "w"})
    assert one.record() == 1
    one.now += 1.0
    one.journal.record("pool.worker.terminated", {}, {"subject": "w"})
    assert one.events[-1][1]["left_out"] == 1_000 - 256


def test_rest_fills_the_burst_again(one: Recorded) -> None:
    """It never holds more than one burst."""
    one.record(BURST)
    one.now += 3_600.0
    assert one.record(2 * BURST) == BURST


def test_ring_is_noted_once(one: Recorded) -> None:
    """Whoever remembers own rings is told of each."""
    one.record(3)
    assert one.rings == [b"r" * 16]


def test_ring_that_cannot_be_noted_is_noted_later(one: Recorded) -> None:
    """A disk that is full raises into nobody; what is recorded is recorded."""
    one.failure = ShmtelError("the disk is full")
    one.journal.prepare()
    assert one.record(2) == 2
    assert len(one.log.lines) == 1
    assert "the disk is full" in one.log.lines[0]
    one.failure = None
    one.record(2)
    assert one.rings == [b"r" * 16]


def test_prepared_ring_is_noted_before_any_event(
    one: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made once, and whoever remembers own rings knows it by then."""
    rings: list[bytes] = []
    monkeypatch.setattr(_ring, "own_rings", lambda: rings)
    monkeypatch.setattr(ring, "open_ring", lambda: rings.append(b"o" * 16))
    for _ in range(2):
        one.journal.prepare()
    assert (one.rings, one.events) == ([b"o" * 16], [])


def test_long_text_is_cut(one: Recorded) -> None:
    """A rule with a thousand patterns is no reason to lose the event."""
    one.journal.record("overlay.changed", {}, {"rule": "x" * 100_000})
    assert len(one.events[0][2]["rule"]) == TEXT_MAX


def test_closed_journal_is_silent(one: Recorded) -> None:
    """After the end of its ring nothing is written."""
    one.journal.close()
    assert one.record(5) == 0


def test_what_is_left_out_is_counted_by_kind(one: Recorded) -> None:
    """For whoever looks at the collector's metrics."""
    one.record(BURST + 2)
    for _ in range(300):
        one.journal.record("pool.worker.spawned", {}, {"subject": "w"})
    assert one.journal.left_out == {"policy": 2, "pool.worker.spawned": 300 - 256}
    one.journal.close()
    assert one.record() == 0
    assert one.journal.left_out["policy"] == 2  # after the end nothing is due


def test_what_comes_again_leaves_room_for_what_does_not(
    one: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a ring that is half full, as when the hub is away, samples are left out."""
    usage = {"used_bytes": 51, "capacity_bytes": 100}
    monkeypatch.setattr(_ring, "stats", lambda: usage)
    names = ("pool.status", "python.memory.sampled", "python.cpu.sampled")
    for name in (*names, "pool.worker.ready"):
        one.journal.record(name, {}, {})
    assert [event[0] for event in one.events] == ["pool.worker.ready"]
    assert one.journal.left_out == dict.fromkeys(names, 1)
    usage["used_bytes"] = 50
    one.journal.record("pool.status", {"workers": 1}, {})
    assert one.events[1][1] == {"workers": 1, "left_out": 1}
