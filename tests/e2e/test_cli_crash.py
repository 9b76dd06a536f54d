"""`shmtel crash`: what is known of dead workers, from rings and from what was kept."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.home import HOME
from support.processes import environment, wait_until
from support.program import shmtel
from support.ring_builder import RingBuilder, encode_head

_KILLED = (
    "import os, shmtel",
    "for n in range(50): shmtel.emit('work.step', {'n': n}, {'text': 'a\\x1b[31mb'})",
    "shmtel.span('db.query', {'table': 'users'}).__enter__()",
    "shmtel.emit('work.last', {'ratio': float('nan')}, {'raw': b'\\x00\\x01'})",
    "os.kill(os.getpid(), 9)",
)


def _crash(namespace: str, *arguments: str) -> list[dict[str, Any]]:
    done = shmtel("crash", "--json", "--namespace", namespace, *arguments)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "shmtel/crash/v1"
    workers: list[dict[str, Any]] = document["workers"]
    return workers


def _let_one_die(namespace: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(_KILLED)],
        cwd="/",
        env=environment(namespace, SHMTEL_WORKER_ID="doomed"),
        check=False,
    )
    assert done.returncode == -9


def _check(worker: dict[str, Any]) -> None:
    """What is known of the doomed worker, wherever that is known from."""
    assert (worker["worker_id"], worker["reason"]) == ("doomed", "vanished")
    assert worker["counts"]["committed"] == 52
    words = worker["last_words"]
    assert (words["first_seq"], words["last_seq"]) == (1, 52)
    assert words["open_span_count"] == 1
    (span,) = words["open_spans"]
    assert (span["event"], span["metadata"]) == ("db.query.start", {"table": "users"})
    assert [event["event"] for event in words["events"]] == [
        "work.step",
        "db.query.start",
        "work.last",
    ]
    last = words["events"][-1]
    assert (last["measurements"], last["metadata"]) == (
        {"ratio": None},
        {"raw": "AAE="},
    )
    assert last["parent_id"] == span["span_id"]


def test_ring_that_is_still_there(namespace: str) -> None:
    """Without any collector, and without a trace in the ring."""
    _let_one_die(namespace)
    (worker,) = _crash(namespace, "--last", "3")
    _check(worker)
    assert worker["source"] == "ring"
    assert worker["counts"]["in_ring"] == 52
    assert len(HOME.scan(namespace)) == 1


def test_what_the_collector_kept(namespace: str, tmp_path: Path) -> None:
    """The ring is gone, and what was known of it is still known."""
    with (
        NotingHub() as hub,
        CollectorProcess(namespace, hub.hub.address, tmp_path) as collector,
    ):
        _let_one_die(namespace)
        wait_until(lambda: hub.count() == 52 and HOME.scan(namespace) == [], 30)
        state = ("--state-dir", str(collector.state_dir))
        (worker,) = _crash(namespace, "--last", "3", *state)
    _check(worker)
    assert worker["source"] == "collector"
    assert worker["counts"]["delivered"] == 52
    assert worker["ended_ns"] > worker["created_ns"]


def test_page_for_people(namespace: str) -> None:
    """A table, the open spans with what was searched for them, and the last events."""
    _let_one_die(namespace)
    done = shmtel("crash", "--namespace", namespace, "-n", "2")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["WORKER", "POOL", "REASON", "ENDED"]
    assert lines[1].split()[:3] == ["doomed", "default", "vanished"]
    assert "open spans, by all of its events:" in done.stdout
    assert "db.query.start" in done.stdout
    assert "\x1b" not in done.stdout
    events = done.stdout.partition("last events:")[2].splitlines()[1:]
    assert len(events) == 2
    assert "work.last" in events[-1]


def test_the_living_and_the_orderly_are_not_listed(namespace: str) -> None:
    """Who left in good order is shown with --all, who lives never."""
    with Emitter(namespace, SHMTEL_WORKER_ID="alive") as alive:
        alive.emit(1)
        with Emitter(namespace, SHMTEL_WORKER_ID="orderly") as orderly:
            orderly.emit(1)
            orderly.leave()
        assert _crash(namespace) == []
        silent = shmtel("crash", "--namespace", namespace)
        assert (silent.returncode, silent.stdout) == (0, "")
        assert namespace in silent.stderr
        assert "--all" in silent.stderr
        (worker,) = _crash(namespace, "--all")
        assert (worker["worker_id"], worker["reason"]) == ("orderly", "closed")
        assert _crash(namespace, "--all", "--worker", "a*") == []


def test_hostile_ring_is_shown_as_far_as_it_is_one(namespace: str) -> None:
    """Records that are no events are passed over; a damaged ring is named."""
    with (
        RingBuilder(namespace=namespace) as ring,
        RingBuilder(namespace=namespace) as bad,
    ):
        ring.add_name("good")
        ring.append(0, None, {"n": 1})
        for fields in (
            b"\xc1\xc1\xc1\xc1",
            b"\xc0\x80\xc0\xd6\xff\0\0\0\0",
            b"\xc0" * 4,
        ):
            ring.append_array(encode_head(0, ring.seq + 1) + fields)
        ring.append(7)
        bad.write(8, b"\xff" * 32)
        done = shmtel("crash", "--json", "--namespace", namespace)
        assert done.returncode == 0, done.stderr
        assert f"{bad.name} is not read" in done.stderr
        (worker,) = json.loads(done.stdout)["workers"]
        # This process made the ring and holds no lock, so nothing is proven.
        assert worker["reason"] == "unproven"
        assert [e["event"] for e in worker["last_words"]["events"]] == ["good"]
