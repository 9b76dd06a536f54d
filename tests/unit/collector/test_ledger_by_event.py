"""What the ledger knows by event name, over the life and the end of a ring."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from shmtel.accounting.accounts import Account, EventAccount, remainder
from shmtel.accounting.counts import Claims, EventCounts, heaviest
from shmtel_collector.finished import FinishedRing, FoldedRings
from shmtel_collector.ledger import NAMELESS, Ledger, read_ledger
from shmtel_collector.left_out import LeftOut, event_table
from shmtel_collector.state import State, read_finished
from support.emitter import Emitter
from support.home import HOME
from support.memory_line import SECOND_NS, MemoryLine
from support.ring_builder import RingBuilder

StartWorker = Callable[..., Emitter]
MakeRing = Callable[..., RingBuilder]
UNKNOWN_THRESHOLD = 7  # it was never in force


def _ledger(line: MemoryLine, namespace: str) -> Ledger:
    return read_ledger(namespace, line.database_path.parent, HOME)


def _bad_ring(make_ring: MakeRing) -> RingBuilder:
    """Build a ring with 2 events of `good`, 1 of `bad`, and 3 of it rejected."""
    ring = make_ring()
    ring.hold_lock()
    ring.add_name("good")
    ring.add_name("bad")
    for event_id, threshold in ((0, 0), (0, 0), (1, 0), *[(1, UNKNOWN_THRESHOLD)] * 3):
        ring.append(event_id, threshold=threshold, draw=99)
    ring.poke_entry(0, committed=2)
    ring.poke_entry(1, committed=4)
    return ring


def _check_bad_ring(ledger: Ledger) -> None:
    events = ledger.by_event()
    assert events["good"] == EventAccount(committed=2, forwarded=2)
    assert events["bad"] == EventAccount(
        committed=4, forwarded=1, rejected={"bad_threshold": 3}
    )
    assert events[NAMELESS] == EventAccount()
    assert ledger.total.unaccounted == 0


def test_a_worker_s_own_counters_are_by_event(
    namespace: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    """Committed, dropped and left out are known by name without a collector."""
    worker = start_worker(SHMTEL_DENY="c.*")
    worker.emit(10, "a.b")
    worker.emit(5, "c.d")
    ledger = read_ledger(namespace, tmp_path, HOME)
    events = ledger.by_event()
    assert events["a.b"] == EventAccount(committed=10, forwarded=10)
    assert events["c.d"] == EventAccount(filtered=5)
    assert events[NAMELESS].emitted == 0
    assert events == ledger.rings[0].by_event()


def test_what_the_collector_leaves_out_is_by_event(
    line: MemoryLine, namespace: str, make_ring: MakeRing
) -> None:
    """Its counts are there a round after the hub has acknowledged them."""
    _bad_ring(make_ring)
    line.connect()
    line.step(SECOND_NS)
    _check_bad_ring(_ledger(line, namespace))


def test_a_killed_collector_s_counts_go_on(
    line: MemoryLine, namespace: str, make_ring: MakeRing
) -> None:
    """The next one takes up what was written down, and adds to it."""
    ring = _bad_ring(make_ring)
    line.connect()
    line.step(SECOND_NS)
    line.crash()
    line.connect()
    ring.append(1, threshold=UNKNOWN_THRESHOLD, draw=99)
    ring.poke_entry(1, committed=5)
    line.step(SECOND_NS)
    line.step(SECOND_NS)
    bad = _ledger(line, namespace).by_event()["bad"]
    assert bad == EventAccount(committed=5, forwarded=1, rejected={"bad_threshold": 4})


def test_names_forgotten_by_a_kill_are_nameless_and_counted(
    line: MemoryLine, namespace: str, make_ring: MakeRing
) -> None:
    """Killed before it wrote them down: the totals say it, without the name."""
    _bad_ring(make_ring)
    line.connect()
    line.crash()
    line.connect()
    line.step(SECOND_NS)
    ledger = _ledger(line, namespace)
    assert ledger.total.rejected == {"bad_threshold": 3}
    assert ledger.by_event()[NAMELESS].rejected == {"bad_threshold": 3}
    assert ledger.total.unaccounted == 0


def test_a_finished_ring_keeps_its_events(
    line: MemoryLine, namespace: str, make_ring: MakeRing
) -> None:
    """After the end everything is known as before, and the note of it is gone."""
    ring = _bad_ring(make_ring)
    line.connect()
    line.step(SECOND_NS)
    ring.close()
    for _ in range(5):
        line.step(SECOND_NS)
    ledger = _ledger(line, namespace)
    assert [entry.state for entry in ledger.rings] != ["live"]
    _check_bad_ring(ledger)
    with sqlite3.connect(line.database_path) as database:
        assert database.execute("SELECT count(*) FROM left_out").fetchone() == (0,)
    database.close()


def _finished(number: int, events: dict[str, EventCounts]) -> FinishedRing:
    return FinishedRing(
        number.to_bytes(16, "big"), "w", "p", 1, number, "closed", 2, {0: 2},
        Claims(2), events,
    )  # fmt: skip


def test_folded_rings_keep_the_sum_by_event(tmp_path: Path) -> None:
    """Rings too old for a row of their own are still known by event."""
    state = State(tmp_path / "s.sqlite3", max_rows=1)
    counts = EventCounts(2, 3, 4, {"ring_full": 5}, {8: 1})
    for number in range(3):
        state.finish(_finished(number, {"a": counts}))
    state.close()
    (_,), folded = read_finished(tmp_path / "s.sqlite3")
    assert folded.events == {"a": EventCounts(4, 6, 8, {"ring_full": 10}, {8: 2})}


def test_many_names_are_bounded_and_still_counted(tmp_path: Path) -> None:
    """Of a ring with too many names those that say most are kept."""
    state = State(tmp_path / "s.sqlite3")
    events = {f"e.{number}": EventCounts(number) for number in range(1_000)}
    state.finish(_finished(1, events))
    state.close()
    ((ring,), _) = read_finished(tmp_path / "s.sqlite3")
    assert len(ring.events) == 256
    assert min(counts.committed for counts in ring.events.values()) == 744


def test_a_row_of_an_older_version_is_read(tmp_path: Path) -> None:
    """A finished ring that was written without events has none."""
    path = tmp_path / "s.sqlite3"
    state = State(path)
    state.finish(_finished(1, {}))
    state.close()
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE left_out")
        row = database.execute("SELECT ring FROM finished").fetchone()[0]
        older = row.replace(', "events": {}', "")
        assert older != row
        database.execute("UPDATE finished SET ring = ?", (older,))
    database.close()
    state = State(path)
    assert state.set_aside is None
    state.note_left_out({b"r": "{}"})
    state.close()
    assert read_finished(path) == ([_finished(1, {})], FoldedRings())


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": {}}', '{"1": 5}', '{"1": {"x": 1}}', "null"]
)
def test_damaged_counts_are_dropped(text: str) -> None:
    """What an earlier collector wrote is judged; the totals do not depend on it."""
    assert LeftOut(text).counts() == {}


def test_more_by_name_than_in_total_is_not_believed() -> None:
    """A hub that lost its state takes totals back; the names would not fit."""
    event = {
        **{"name": "a", "word": 0, "committed": 9, "sampled_out": 0},
        **{"filtered": 0, "dropped": {"ring_full": 0}},
    }
    table = event_table([event], {0: {1: 5, 8: 2}}, {1: 4, 8: 2})
    assert table == {"a": EventCounts(committed=9, left_out={8: 2})}


def test_a_name_that_is_registered_twice_is_one() -> None:
    """A hostile worker cannot hide counts behind a second entry."""
    event = {
        **{"name": "a", "word": 0, "committed": 2, "sampled_out": 1},
        **{"filtered": 0, "dropped": {"invalid": 1}},
    }
    table = event_table([event, event], {}, {})
    assert table == {"a": EventCounts(4, 2, 0, {"invalid": 2})}


def test_the_heaviest_names_stay() -> None:
    """Drops weigh as much as what was committed."""
    events = {"a": EventCounts(1), "b": EventCounts(0, dropped={"invalid": 9})}
    assert list(heaviest(events, 1)) == ["b"]


def test_counts_by_event_that_lead_leave_nothing_over() -> None:
    """They are read a moment after the totals of a ring that is written to."""
    account = Account(committed=5, in_ring=5, dropped={"ring_full": 1}, disabled=4)
    events = [EventAccount(committed=7, forwarded=7)]
    assert remainder(account, events) == EventAccount(
        dropped={"ring_full": 1}, disabled=4
    )
