"""Ends of workers in the state database: bounded, and judged when they are read."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

from shmtel.wire.frames import Worker
from shmtel_collector.end_store import DUE, KEPT_MAX, PENDING, TOLD
from shmtel_collector.last_words import LastWords
from shmtel_collector.state import State, StateError, read_ends
from shmtel_collector.worker_end import WorkerEnd, from_bytes, to_bytes

WORDS = LastWords({0: "a.start"}, (b"\x90",), (b"\x91\x00",), 1, 7, 9)


def _end(number: int) -> WorkerEnd:
    worker = Worker("w", "p", "s", 1, 2, "argv", "3.12", 3)
    counts = {"committed": 5, "lost.evicted": 2}
    ring_id = number.to_bytes(16, "big")
    return WorkerEnd(ring_id, worker, "vanished", number, 4, counts, WORDS)


def _told(number: int) -> WorkerEnd:
    """The same as it is told: without last words."""
    return replace(_end(number), words=None)


def test_end_is_read_as_it_was_written() -> None:
    """Names, arrays and counts come back."""
    assert from_bytes(*to_bytes(_end(1))) == _end(1)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    """A host whose workers die for ever has a database that does not grow."""
    state = State(tmp_path / "n.sqlite3")
    for number in range(KEPT_MAX + 50):
        state.ends.note(_end(number), DUE, is_kept=True)
        assert state.ends.take_due(()) == [replace(_end(number), words=None)]
    state.ends.note(_end(999), TOLD, is_kept=True)
    state.close()
    kept = read_ends(state.path)
    assert kept == [_end(n) for n in (*range(51, KEPT_MAX + 50), 999)]


def test_what_is_due_is_taken_once_the_ring_is_gone(tmp_path: Path) -> None:
    """As long as a ring is there it is not told; and written twice it is told once."""
    state = State(tmp_path / "n.sqlite3")
    state.ends.note(_end(1), DUE, is_kept=False)
    state.ends.note(_end(1), DUE, is_kept=False)
    assert state.ends.take_due({_end(1).ring_id}) == []
    state.close()
    state = State(state.path)
    assert state.ends.take_due(()) == [_told(1)]
    state.ends.note(_end(1), DUE, is_kept=False)
    assert state.ends.take_due(()) == []
    state.close()


def test_pending_end_is_told_with_its_final_counters(tmp_path: Path) -> None:
    """What is still under way when the ring goes is not told as what became of it."""
    state = State(tmp_path / "n.sqlite3")
    state.ends.note(_end(1), PENDING, is_kept=False)
    state.ends.note(_end(2), DUE, is_kept=False)
    assert state.ends.take_due(()) == [_told(2)]
    for _ in range(2):
        state.ends.settle(_end(1).ring_id, {"delivered": 9}, DUE)
        state.ends.settle(_end(2).ring_id, {"delivered": 9}, DUE)
    assert state.ends.take_due(()) == [replace(_told(1), counts={"delivered": 9})]
    assert state.ends.take_due(()) == []
    state.close()


def test_older_database_gets_the_table(tmp_path: Path) -> None:
    """One of a version that knew no ends goes on, and can be read before."""
    state = State(tmp_path / "n.sqlite3")
    host_id = state.host_id()
    state.close()
    with sqlite3.connect(state.path) as database:
        database.execute("DROP TABLE worker_ends")
    database.close()
    assert read_ends(state.path) == []
    state = State(state.path)
    state.ends.note(_end(1), TOLD, is_kept=True)
    assert (state.host_id(), state.set_aside) == (host_id, None)
    state.close()
    assert read_ends(state.path) == [_end(1)]


FIELDS = msgpack.unpackb(to_bytes(_end(2))[0], strict_map_key=False)
SOUND = msgpack.packb(FIELDS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", None),
        (b"\xc1", None),
        (b"\x80", None),
        (msgpack.packb([1, 2]), None),
        (msgpack.packb(FIELDS | {"ended_ns": "now"}), None),
        (msgpack.packb(FIELDS | {"counts": {"committed": "many"}}), None),
        (SOUND, b"\xc1"),
        (SOUND, msgpack.packb({"events": 5})),
        (SOUND, msgpack.packb([])),
    ],
)
def test_damaged_row_is_left_out(
    tmp_path: Path, content: bytes, words: bytes | None
) -> None:
    """It only informs, so it neither stops a collector nor a reader."""
    state = State(tmp_path / "n.sqlite3")
    state.ends.note(_end(1), DUE, is_kept=True)
    with sqlite3.connect(state.path) as database:
        row = (_end(2).ring_id, 5, DUE, 1, content, words)
        database.execute("INSERT INTO worker_ends VALUES (?, ?, ?, ?, ?, ?)", row)
    database.close()
    assert read_ends(state.path) == [_end(1)]
    assert _told(1) in state.ends.take_due(())
    assert state.ends.take_due(()) == []
    state.close()


def test_of_thousands_that_wait_only_the_newest_have_words(tmp_path: Path) -> None:
    """With a hub away for a day all are told later, and the database stays small."""
    state = State(tmp_path / "n.sqlite3")
    for number in range(KEPT_MAX + 50):
        state.ends.note(_end(number), PENDING, is_kept=True)
    with sqlite3.connect(state.path) as database:
        counted = database.execute("SELECT count(*), count(words) FROM worker_ends")
        assert counted.fetchone() == (KEPT_MAX + 50, KEPT_MAX)
    database.close()
    for number in range(KEPT_MAX + 50):
        state.ends.settle(_end(number).ring_id, {}, DUE)
    assert len(state.ends.take_due(())) == KEPT_MAX + 50
    assert len(read_ends(state.path)) == KEPT_MAX
    state.close()


def test_file_that_is_no_database(tmp_path: Path) -> None:
    """Whoever asks is told that it cannot be read."""
    path = tmp_path / "n.sqlite3"
    path.write_bytes(b"x" * 10_000)
    with pytest.raises(StateError):
        read_ends(path)


def test_ends_that_wait_are_not_looked_through(tmp_path: Path) -> None:
    """However many wait for their counters, one more costs what the first did."""
    state = State(tmp_path / "n.sqlite3")
    statements: list[str] = []
    state._database.set_trace_callback(statements.append)
    state.ends.note(_end(1), PENDING, is_kept=True)
    state.ends.settle(_end(1).ring_id, {}, DUE)
    assert state.ends.has_due()
    assert len(state.ends.take_due(())) == 1
    state._database.set_trace_callback(None)
    asked = [text for text in statements if "worker_ends" in text]
    assert len(asked) >= 7
    for text in asked:
        plan = state._database.execute(f"EXPLAIN QUERY PLAN {text}").fetchall()
        assert "SCAN worker_ends" not in [row[3] for row in plan], text
