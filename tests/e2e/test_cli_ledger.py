"""`shmtel ledger` by worker, event and reason, on the rings of real workers."""

import json
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from support.emitter import Emitter
from support.program import fresh_namespace, shmtel


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """Give two workers with events, and the options that lead to them."""
    with (
        fresh_namespace() as namespace,
        Emitter(namespace, SHMTEL_WORKER_ID="w.1", SHMTEL_DENY="c.*") as first,
        Emitter(namespace, SHMTEL_WORKER_ID="w.2") as second,
    ):
        first.emit(4, "a.b")
        first.emit(3, "c.d")
        second.emit(2, "a.b")
        yield ("--namespace", namespace, "--state-dir", str(tmp_path))


def _ledger(place: tuple[str, ...], *arguments: str) -> CompletedProcess[str]:
    result = shmtel("ledger", *arguments, *place)
    assert result.returncode == 0, result.stderr
    return result


def _rows(place: tuple[str, ...], *arguments: str) -> list[list[str]]:
    return [line.split() for line in _ledger(place, *arguments).stdout.splitlines()]


def test_by_event(place: tuple[str, ...]) -> None:
    """A line per event name, over all workers."""
    header, *rows = _rows(place, "--by", "event")
    assert header[:4] == ["EVENT", "EMITTED", "COMMITTED", "DROPPED"]
    assert [row[:3] for row in rows] == [["a.b", "6", "6"], ["c.d", "3", "0"]]
    assert rows[1][header.index("FILTERED")] == "3"


def test_by_reason(place: tuple[str, ...]) -> None:
    """A line per word and reason that has any events."""
    header, *rows = _rows(place, "--by", "reason")
    assert header == ["WORD", "REASON", "EVENTS"]
    assert rows == [["filtered", "3"], ["in_ring", "6"]]


def test_by_worker_event_and_reason(place: tuple[str, ...]) -> None:
    """All three at once name who, what and why."""
    by = [word for key in ("worker", "event", "reason") for word in ("--by", key)]
    rows = _rows(place, *by)[1:]
    facts = {(row[0], row[3], row[4], row[-1]) for row in rows}
    assert facts == {
        ("w.1", "a.b", "forwarded", "4"),
        ("w.1", "c.d", "filtered", "3"),
        ("w.2", "a.b", "forwarded", "2"),
    }


def test_some_workers_and_some_events(place: tuple[str, ...]) -> None:
    """Globs choose what is shown, in the table and in JSON alike."""
    rows = _rows(place, "--by", "event", "--worker", "*.2")[1:]
    assert [row[:2] for row in rows] == [["a.b", "2"]]
    rows = _rows(place, "--event", "c.*")[1:]
    assert [(row[0], row[3]) for row in rows] == [("w.1", "3")]
    arguments = ("--json", "--worker", "w.1", "--event", "a*")
    document = json.loads(_ledger(place, *arguments).stdout)
    assert document["events"]["a.b"]["committed"] == 4
    assert list(document["events"]) == ["a.b"]
    assert [ring["worker_id"] for ring in document["rings"]] == ["w.1"]


def test_json_is_complete(place: tuple[str, ...]) -> None:
    """Whatever the table shows, JSON has the rings, their events, and the sums."""
    document = json.loads(_ledger(place, "--json").stdout)
    assert document["schema"] == "shmtel/ledger/v1"
    assert document["total"]["emitted"] == 9
    assert document["total"]["disabled_by_collector"] == 0
    assert document["events"]["c.d"]["filtered"] == 3
    assert document["events"][""]["emitted"] == 0
    events = {
        ring["worker_id"]: ring["events"]["a.b"]["forwarded"]
        for ring in document["rings"]
    }
    assert events == {"w.1": 4, "w.2": 2}


def test_the_assertion_is_about_everything(place: tuple[str, ...]) -> None:
    """What is not shown is judged as well."""
    assert _ledger(place, "--assert", "--worker", "nobody").returncode == 0


def test_an_unknown_key_is_refused(place: tuple[str, ...]) -> None:
    """The message names the keys that there are."""
    result = shmtel("ledger", "--by", "colour", *place)
    assert result.returncode == 2
    assert "'worker', 'event', 'reason', 'node'" in result.stderr
