"""The state database: what it keeps, how it is bounded, how it survives damage."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from shmtel.accounting.counts import Claims
from shmtel_collector.finished import FinishedRing, FoldedRings
from shmtel_collector.state import State, StateError, read_finished, read_left_out


def _ring(number: int, delivered: int = 10) -> FinishedRing:
    return FinishedRing(
        ring_id=number.to_bytes(16, "big"),
        worker_id=f"worker-{number}",
        pool_name="pool",
        pid=number,
        closed_ns=number,
        reason="vanished",
        last_seq=delivered + 2,
        totals={0: delivered, 16: 2},
        claims=Claims(delivered + 2, 1, 2, 3, {"ring_full": 4}),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is; its directory does not exist yet."""
    return tmp_path / "state" / "test.sqlite3"


def test_finished_ring_comes_back_as_it_was(path: Path) -> None:
    """What is written down can be read, by another program and later."""
    state = State(path)
    state.finish(_ring(1))
    assert read_finished(path) == ([_ring(1)], FoldedRings())
    state.close()
    assert read_finished(path) == ([_ring(1)], FoldedRings())


def test_writing_a_ring_twice_counts_it_once(path: Path) -> None:
    """A collector killed between writing and removing writes the ring again."""
    for _ in range(2):
        state = State(path)
        state.finish(_ring(1))
        state.close()
    assert read_finished(path)[0] == [_ring(1)]


def test_oldest_rings_are_folded(path: Path) -> None:
    """Beyond the bound the oldest rows become one sum, and nothing is lost."""
    state = State(path, max_rows=3)
    for number in range(1, 6):
        state.finish(_ring(number, delivered=number))
    state.close()
    rings, folded = read_finished(path)
    assert rings == [_ring(number, delivered=number) for number in (3, 4, 5)]
    assert folded == FoldedRings(
        rings=2,
        last_seq=(1 + 2) + (2 + 2),
        totals={0: 3, 16: 4},
        claims=Claims(7, 2, 4, 6, {"ring_full": 8}),
    )


def test_numbers_of_a_hostile_worker_fit(path: Path) -> None:
    """A claim that no database integer holds is kept all the same."""
    hostile = _ring(1)
    claims = Claims(2**64 - 1, 2**64 - 1, 0, 0, {"ring_full": 2**64 - 1})
    hostile = FinishedRing(
        hostile.ring_id, "w", "p", 1, 1, "closed", 2**64 - 1, {0: 2**64 - 1}, claims
    )
    state = State(path)
    state.finish(hostile)
    state.close()
    assert read_finished(path)[0] == [hostile]


def test_host_id_is_made_once(path: Path) -> None:
    """The id of the host is the same at every start."""
    first = State(path)
    host_id = first.host_id()
    first.close()
    second = State(path)
    assert second.host_id() == host_id
    second.close()


def test_epoch_always_grows(path: Path) -> None:
    """A start with the clock set back has a greater epoch all the same."""
    state = State(path)
    assert state.next_epoch(1_000) == 1_000
    assert state.next_epoch(500) == 1_001
    state.close()
    state = State(path)
    assert state.next_epoch(0) == 1_002
    state.close()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _overwrite(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)


def _forge(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO folded VALUES (0, '[]')")
    database.close()


def _wrong_schema(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE finished")
        database.execute("CREATE TABLE finished (other)")
    database.close()


def test_one_of_a_later_version_is_left_alone(path: Path) -> None:
    """It is no damage: to begin anew beside it would lose what it knows."""
    State(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StateError, match=r"later version of shmtel \(99\); use that"):
        State(path)
    assert [one.name for one in path.parent.glob("*damaged*")] == []


@pytest.mark.parametrize("spoil", [_truncate, _overwrite, _forge, _wrong_schema])
def test_damaged_database_is_set_aside(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    """Whatever is wrong with the file, the collector starts and keeps the file."""
    state = State(path)
    state.finish(_ring(1))
    state.close()
    spoil(path)
    spoiled = path.read_bytes()
    state = State(path)
    assert state.set_aside is not None
    assert state.set_aside.read_bytes() == spoiled
    state.finish(_ring(2))
    state.close()
    assert read_finished(path)[0] == [_ring(2)]


def test_second_damage_does_not_overwrite_the_first(path: Path) -> None:
    """Files that were set aside are all kept."""
    set_aside = set()
    for _ in range(3):
        path.parent.mkdir(exist_ok=True)
        _overwrite(path)
        state = State(path)
        set_aside.add(state.set_aside)
        state.close()
    assert len(set_aside) == 3


def test_sound_database_is_not_set_aside(path: Path) -> None:
    """An ordinary start touches nothing."""
    for _ in range(2):
        state = State(path)
        assert state.set_aside is None
        state.finish(_ring(1))
        state.close()


def test_unusable_directory_names_the_cure(tmp_path: Path) -> None:
    """A state directory that cannot be is a clear error."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StateError, match="--state-dir"):
        State(tmp_path / "file" / "test.sqlite3")


def test_database_that_is_a_directory_is_an_error(path: Path) -> None:
    """What cannot be opened is not taken for damage."""
    path.mkdir(parents=True)
    with pytest.raises(StateError, match="--state-dir"):
        State(path)
    assert os.listdir(path.parent) == [path.name]


def test_failed_write_is_an_error_and_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring that cannot be written down is reported, so that it is not removed."""
    monkeypatch.setattr("shmtel_collector.state.BUSY_SECONDS", 0.01)
    state = State(path)
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateError, match="cannot write"):
        state.finish(_ring(1))
    other.rollback()
    other.close()
    state.finish(_ring(2))
    state.close()
    assert read_finished(path)[0] == [_ring(2)]


def test_no_database_is_no_ring(path: Path) -> None:
    """Where no collector ever ran there is nothing to read, and no error."""
    assert read_finished(path) == ([], FoldedRings())


def test_unreadable_database_is_an_error(path: Path) -> None:
    """A reader says that it cannot read; it repairs nothing."""
    path.parent.mkdir()
    _overwrite(path)
    with pytest.raises(StateError, match="cannot read"):
        read_finished(path)


def test_a_database_nobody_may_look_for_is_an_error(path: Path) -> None:
    """What the system refuses to look at is said with a cure, not raised as it is."""
    path.parent.mkdir()
    unlookable = path.parent / ("x" * 300)
    with pytest.raises(StateError, match="--state-dir"):
        read_finished(unlookable)


def test_a_database_that_is_being_made_is_empty(path: Path) -> None:
    """A reader that comes before the tables do finds nothing, and no error."""
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE facts (name TEXT PRIMARY KEY)")
    database.close()
    assert read_finished(path) == ([], FoldedRings())
    assert read_left_out(path) == {}
