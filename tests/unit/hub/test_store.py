"""What a hub remembers over restarts, and what becomes of damage."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from shmtel.errors import ConfigurationError
from shmtel.hub.store import FILE_NAME, Store, StoreError
from shmtel.policy.model import Policy, Rule, Sampling, Selector, Toggle

RULES = (
    Rule(Selector("w", "p", "s", "n"), Sampling(0.25, ("a.*", "b"))),
    Rule(Selector(), Toggle(False), 2**62),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield an open store."""
    with closing(Store(tmp_path)) as opened:
        yield opened


def reopened(store: Store) -> Store:
    """Return the state as the next hub finds it."""
    store.close()
    assert store.path is not None
    return Store(store.path.parent)


def changed(policy: Policy) -> Policy:
    """Return a next version."""
    return replace(policy, version=policy.version + 1, rules=RULES)


@pytest.mark.parametrize("directory", [None, "state/below"])
def test_a_new_store_has_an_origin_and_no_policy(
    directory: str | None, tmp_path: Path
) -> None:
    """There is nothing to say yet, under a name that no other store has."""
    places = [directory and tmp_path / f"{directory}{i}" for i in range(2)]
    one, two = (Store(Path(place) if place else None) for place in places)
    with closing(one), closing(two):
        assert one.policy == Policy(origin=one.policy.origin)
        assert len(one.policy.origin) == 32
        assert one.policy.origin != two.policy.origin


def test_the_policy_outlives_the_hub(store: Store) -> None:
    """Rules, deadlines, version and origin come back."""
    policy = changed(store.policy)
    store.save(policy)
    with closing(reopened(store)) as again:
        assert again.policy == policy


def test_refusals_are_of_the_policy_of_now(store: Store) -> None:
    """They come back, until the policy changes; a late one of before is void."""
    policy = changed(store.policy)
    store.save(policy)
    for host, instance in (("b", b"1"), ("a", b"2"), ("b", b"3")):
        store.note_rejected(host, instance, policy.version)
    store.note_rejected("other", b"4", policy.version - 1)
    store = reopened(store)
    assert store.rejected() == {"a": b"2", "b": b"3"}
    store.save(changed(policy))
    store.note_rejected("late", b"5", policy.version)
    with closing(reopened(store)) as again:
        assert again.rejected() == {}


def test_two_hubs_do_not_share_a_directory(store: Store) -> None:
    """The second is told whose it is, and what to do."""
    assert store.path is not None
    with pytest.raises(ConfigurationError, match=r"another hub .* --state-dir"):
        Store(store.path.parent)
    with closing(reopened(store)):
        pass


def damage_nothing_but_noise(path: Path) -> None:
    """Overwrite the file."""
    path.write_bytes(b"noise" * 1_000)


def damage_the_row(path: Path) -> None:
    """Store a policy that is none."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE policy SET policy = x'ff'")


def damage_the_type(path: Path) -> None:
    """Store a text in place of bytes."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE policy SET policy = 'text'")


def damage_the_schema(path: Path) -> None:
    """Lose a table."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE rejected")


def damage_the_origin(path: Path) -> None:
    """Store a policy without a name."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE policy SET policy = x''")


@pytest.mark.parametrize(
    "damage",
    [
        damage_nothing_but_noise,
        damage_the_row,
        damage_the_type,
        damage_the_schema,
        damage_the_origin,
    ],
)
def test_a_damaged_state_is_set_aside(
    damage: object, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """It is kept under another name, and the hub starts anew as another origin."""
    store.save(changed(store.policy))
    store.close()
    assert store.path is not None
    damage(store.path)  # type: ignore[operator]
    with caplog.at_level(logging.ERROR), closing(reopened(store)) as again:
        assert again.policy.version == 0
        assert again.policy.origin != store.policy.origin
        again.save(changed(again.policy))
    assert f"{FILE_NAME}.damaged-1" in caplog.text
    assert store.path.with_name(f"{FILE_NAME}.damaged-1").exists()


def test_a_later_version_is_refused(store: Store) -> None:
    """Its file is not ours to judge: it stays as it is, and is free for its hub."""
    store.close()
    assert store.path is not None
    with closing(sqlite3.connect(store.path)) as database:
        database.execute("PRAGMA user_version = 99")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="later version of shmtel"):
            Store(store.path.parent)


def test_a_disk_that_fails_refuses_the_change(store: Store) -> None:
    """The reason is given, and the policy is the one of before."""
    before = store.policy
    assert store.path is not None
    with closing(sqlite3.connect(store.path)) as database:
        database.execute("BEGIN IMMEDIATE")  # as good as a disk that does not answer
        with pytest.raises(StoreError, match=r"cannot write .*locked"):
            store.save(changed(before))
    assert store.policy == before
    with closing(reopened(store)) as again:
        assert again.policy == before


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """The text says which directory, why, and the cure."""
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigurationError, match=r"file.*--state-dir"):
        Store(file / "below")


def test_a_store_that_is_forgotten_lets_go(tmp_path: Path) -> None:
    """A hub that nobody stopped does not keep its directory to itself."""
    store = Store(tmp_path)
    origin = store.policy.origin
    del store
    with closing(Store(tmp_path)) as again:
        assert again.policy.origin == origin


def test_a_closed_store_refuses() -> None:
    """A hub that has stopped changes nothing any more."""
    store = Store(None)
    store.close()
    store.close()
    with pytest.raises(StoreError):
        store.save(changed(store.policy))
