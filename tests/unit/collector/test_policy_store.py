"""What a collector remembers of policies, and what it does with damage."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shmtel.policy.model import (
    Filter,
    Policy,
    PolicyStatus,
    Rejection,
    Rule,
    Sampling,
    Selector,
    Toggle,
)
from shmtel_collector.policy_store import Kept, PolicyStoreError
from shmtel_collector.state import State

RING, OTHER = b"r" * 16, b"o" * 16
KEPT = Kept(
    fleet=Policy(3, (Rule(Selector(pool="p"), Sampling(0.5, ("a", "b")), 9),), "store"),
    rejected=PolicyStatus("store", 4, Rejection(2, "why")),
    overlays=(
        Policy(1, (Rule(Selector("w"), Toggle(False), 7),), "night"),
        Policy(2, (Rule(Selector(node="n"), Filter(("a",), ("b",)), 8),), "day"),
    ),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "state.sqlite3"


@pytest.fixture
def state(path: Path) -> Iterator[State]:
    """A new database."""
    with closing(State(path)) as state:
        yield state


def _execute(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement, values)


def test_everything_comes_back(state: State, path: Path) -> None:
    """Policy, refusal, and overlays in their order."""
    assert state.policies.kept() == Kept()
    state.policies.keep(Kept())
    state.policies.keep(KEPT)
    state.close()
    with closing(State(path)) as again:
        assert again.set_aside is None
        assert again.policies.kept() == KEPT


def test_refusal_of_another_version_is_forgotten(state: State, path: Path) -> None:
    """What an older program refused a newer one may understand."""
    state.policies.keep(KEPT)
    statement = "UPDATE policies SET kind = 'rejected by 0.0' WHERE kind LIKE 'rej%'"
    _execute(path, statement)
    kept = state.policies.kept()
    assert kept.rejected is None
    assert kept.fleet == KEPT.fleet


def test_thresholds_are_kept_by_ring_in_order(state: State) -> None:
    """Written twice they count once, and are then the newest."""
    policies = state.policies
    policies.note_thresholds({RING: [5, 3], OTHER: [1]})
    policies.note_thresholds({RING: [5]})
    assert policies.thresholds(RING) == [3, 5]
    policies.forget_thresholds(RING, [3])
    assert policies.thresholds(RING) == [5]
    assert policies.thresholds(OTHER) == [1]


def test_own_rings_are_known(state: State) -> None:
    """Also to the next collector."""
    state.policies.note_own_ring(RING)
    state.policies.note_own_ring(RING)
    assert state.policies.own_rings() == {RING}


def test_disk_that_fails_says_so(state: State, path: Path) -> None:
    """Another process that holds the database is such a failure."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(PolicyStoreError, match="cannot be written"):
            state.policies.keep(KEPT)
        with pytest.raises(PolicyStoreError, match="cannot be written"):
            state.policies.note_thresholds({RING: [1]})
    assert state.policies.kept() == Kept()
    assert state.policies.thresholds(RING) == []


@pytest.mark.parametrize("content", ["text", b"\xff\xff\xff", None])
@pytest.mark.parametrize("kind", ["fleet", "overlay"])
def test_damaged_policy_sets_the_database_aside(
    state: State, path: Path, kind: str, content: object
) -> None:
    """As any other damage: kept for a look, and the collector starts."""
    state.policies.keep(KEPT)
    state.close()
    value = b"\xff" if content is None else content
    _execute(path, f"UPDATE policies SET content = ? WHERE kind = '{kind}'", value)
    with closing(State(path)) as again:
        assert again.set_aside is not None
        assert again.policies.kept() == Kept()


def test_older_database_gets_the_tables(path: Path) -> None:
    """An update of the program loses nothing."""
    with closing(State(path)) as state:
        host_id = state.host_id()
    for table in ("policies", "thresholds", "own_rings"):
        _execute(path, f"DROP TABLE {table}")
    with closing(State(path)) as state:
        assert state.set_aside is None
        assert state.host_id() == host_id
        assert state.policies.kept() == Kept()
