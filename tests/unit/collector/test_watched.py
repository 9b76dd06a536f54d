"""The collector as its endpoints see it."""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shmtel.wire.frames import HostCounters
from shmtel_collector import watched
from shmtel_collector.census import Census, OwnEvents
from shmtel_collector.link import Link
from shmtel_collector.state import State
from shmtel_collector.watched import StalledError, Watched, database_fault

CENSUS = Census(
    *("ns", {}, [], {}, [], HostCounters(), Link(True, 1, 0), 1, 0),
    OwnEvents({}, {}),
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A state database as a collector leaves it."""
    state = State(tmp_path / "s.sqlite3")
    state.host_id()
    state.close()
    return state.path


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in a thread of its own, as the collector's is to the server."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def _watched(
    loop: asyncio.AbstractEventLoop,
    database: Path,
    age_ns: int = 0,
    is_connected: bool = True,
) -> Watched:
    return Watched(
        *(loop, lambda: CENSUS, lambda: time.monotonic_ns() - age_ns),
        *(lambda: is_connected, "hub:1", database),
    )


def test_a_scrape_comes_from_the_collectors_loop(
    loop: asyncio.AbstractEventLoop, database: Path
) -> None:
    """What moves is looked at where it is moved."""
    body, _ = asyncio.run(_watched(loop, database).metrics(""))
    assert b"shmtel_hub_connected 1.0" in body
    assert b"shmtel_ready 1.0" in body
    database.unlink()
    body, _ = asyncio.run(_watched(loop, database).metrics(""))
    assert b"shmtel_ready 0.0" in body


def test_a_loop_that_does_not_go_round(
    loop: asyncio.AbstractEventLoop, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it for ever, and it is neither alive nor ready."""
    monkeypatch.setattr(watched, "ANSWER_S", 0.05)
    stalled = _watched(loop, database, watched.STALLED_NS * 2)
    release = threading.Event()
    loop.call_soon_threadsafe(release.wait)
    try:
        with pytest.raises(StalledError):
            asyncio.run(stalled.metrics(""))
    finally:
        release.set()
    assert not stalled.liveness().is_ready
    readiness = asyncio.run(stalled.readiness())
    assert not readiness.is_ready
    assert "[-]pass failed: 10" in readiness.text()


def test_what_is_asked_may_fail(
    loop: asyncio.AbstractEventLoop, database: Path
) -> None:
    """The error is the asker's, and the loop goes on."""

    def fail() -> Census:
        raise StalledError("the sums cannot be read")

    asked = _watched(loop, database)
    asked._census = fail
    with pytest.raises(StalledError, match="sums"):
        asyncio.run(asked.metrics(""))
    asked._census = lambda: CENSUS
    assert asyncio.run(asked.metrics(""))


def test_a_hub_is_not_required(loop: asyncio.AbstractEventLoop, database: Path) -> None:
    """Without one events wait; that it is away is said."""
    readiness = asyncio.run(_watched(loop, database, is_connected=False).readiness())
    assert readiness.is_ready
    text = readiness.text(is_verbose=True)
    assert "[ ]hub not required: no stream to hub:1" in text


def test_a_database_that_can_be_written(database: Path) -> None:
    """Also while somebody else writes, which is what it is for."""
    assert database_fault(database) is None
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert database_fault(database) is None


def test_a_database_that_cannot_be_written(database: Path) -> None:
    """One that is gone or damaged has a reason, and is not made anew."""
    os.truncate(database, 100)
    fault = database_fault(database)
    assert fault is not None
    assert str(database) in fault
    database.unlink()
    assert "unable to open" in (database_fault(database) or "")
    assert not database.exists()
