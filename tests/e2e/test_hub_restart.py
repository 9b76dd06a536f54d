"""A hub that is killed and started again on its state, with a real line before it."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from shmtel.hub.positions import FILE_NAME
from shmtel_collector.ledger import Ledger
from support.collector_process import CollectorProcess
from support.processes import wait_until
from support.program import (
    clean_environment,
    fresh_namespace,
    json_lines,
    start_shmtel,
    stopped_at_exit,
    worker_program,
)
from support.uplink import connected, make_hello, make_segment

WAIT_S = 30.0
_EMITS = (
    "import signal",
    "signal.signal(signal.SIGTERM, lambda *_: exit(0))",
    "number = 0",
    "while True:",
    "    for _ in range(20):",
    "        number += 1",
    '        shmtel.emit("a.b", {"n": number})',
    "    time.sleep(0.005)",
)


class KilledHub:
    """One `shmtel hub` after the other, on one state and one file."""

    def __init__(self, directory: Path) -> None:
        self.jsonl = directory / "events.jsonl"
        self.state_dir = directory / "hub-state"
        self.address = f"unix:{directory / 'hub.sock'}"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start a hub."""
        Path(self.address.removeprefix("unix:")).unlink(missing_ok=True)
        self._process = start_shmtel(
            *("hub", "--listen", self.address, "--jsonl", str(self.jsonl)),
            *("--state-dir", str(self.state_dir)),
        )

    def wait_listening(self) -> None:
        """Wait until it can be dialled."""
        wait_until(Path(self.address.removeprefix("unix:")).exists, WAIT_S)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, by default without a word."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.communicate(timeout=WAIT_S)

    @contextmanager
    def committing_nothing(self) -> Iterator[None]:
        """Keep the hub from writing its table, as a disk that does not answer."""
        with closing(sqlite3.connect(self.state_dir / FILE_NAME)) as database:
            database.execute("BEGIN IMMEDIATE")
            yield

    def lose_table(self) -> None:
        """Remove its table of rings."""
        for path in self.state_dir.glob(f"{FILE_NAME}*"):
            path.unlink()

    def size(self) -> int:
        """How much is written."""
        return self.jsonl.stat().st_size if self.jsonl.exists() else 0

    def wait_written(self) -> None:
        """Wait until more is written than now."""
        before = self.size()
        wait_until(lambda: self.size() > before, WAIT_S)


@contextmanager
def running_worker(directory: Path, namespace: str) -> Iterator[subprocess.Popen[str]]:
    """Run a worker that emits until it is terminated."""
    program = worker_program(directory / "busy.py", _EMITS)
    environment = clean_environment(
        SHMTEL_ENABLED="1", SHMTEL_NAMESPACE=namespace, SHMTEL_WORKER_ID="busy"
    )
    worker = subprocess.Popen([sys.executable, program], env=environment, text=True)
    with stopped_at_exit(worker):
        yield worker


def numbers_by_ring(path: Path) -> dict[str, list[tuple[int, int | None]]]:
    """Return seq and number of each line, by ring, in the order of the file."""
    rings: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
    for line in json_lines(path):
        rings[line["ring_id"]].append((line["seq"], line["measurements"].get("n")))
    return rings


def require_once(hub: KilledHub, ledger: Ledger) -> None:
    """Assert that the file holds every committed event of the worker once, in order."""
    busy = [
        events
        for events in numbers_by_ring(hub.jsonl).values()
        if events[0][1] is not None
    ]
    (events,) = busy
    assert events == [(seq, seq) for seq in range(1, len(events) + 1)]
    (ring,) = (ring for ring in ledger.rings if ring.worker_id == "busy")
    assert ring.account.committed == len(events)
    assert ledger.total.unaccounted == 0
    assert sum(ledger.total.lost.values()) == 0


def test_every_event_once_over_hubs_that_are_killed(tmp_path: Path) -> None:
    """Whenever a hub dies, the file holds each committed event once and in order."""
    hub, draws = KilledHub(tmp_path), random.Random(5)
    with (
        fresh_namespace() as namespace,
        CollectorProcess(namespace, hub.address, tmp_path / "c") as collector,
        running_worker(tmp_path, namespace) as worker,
    ):
        for _ in range(5):
            hub.start()
            hub.wait_written()
            time.sleep(draws.uniform(0.0, 0.3))
            hub.end()
        hub.start()
        hub.wait_written()
        worker.terminate()
        worker.wait(WAIT_S)
        ledger = collector.wait_quiet()
        hub.end(signal.SIGTERM)
    require_once(hub, ledger)


@pytest.mark.parametrize("is_table_lost", [False, True])
def test_what_was_written_and_not_committed(
    tmp_path: Path, is_table_lost: bool
) -> None:
    """It comes again, and is not written again; also where the table was lost."""
    hub = KilledHub(tmp_path)
    with (
        fresh_namespace() as namespace,
        CollectorProcess(namespace, hub.address, tmp_path / "c") as collector,
        running_worker(tmp_path, namespace) as worker,
    ):
        hub.start()
        hub.wait_written()
        with hub.committing_nothing():
            for _ in range(3):
                hub.wait_written()
            hub.end()
        before = hub.jsonl.read_bytes().count(b"\n")  # the last line may be cut off
        if is_table_lost:
            hub.lose_table()
        hub.start()
        hub.wait_written()
        worker.terminate()
        worker.wait(WAIT_S)
        ledger = collector.wait_quiet()
        hub.end(signal.SIGTERM)
    require_once(hub, ledger)
    assert len(json_lines(hub.jsonl)) > before


def test_a_host_that_is_away_while_hubs_come_and_go(tmp_path: Path) -> None:
    """What was written of it is awaited, however much others have sent meanwhile."""
    hub, away, other = KilledHub(tmp_path), make_hello("away"), make_hello("other")
    hub.start()
    hub.wait_listening()
    with connected(hub.address, other) as peer:
        peer.open()
        peer.wait_acked(peer.send(make_segment(0, 1)))
    with connected(hub.address, away) as peer, hub.committing_nothing():
        peer.open(b"a" * 16)
        peer.send(make_segment(0, 3))
        wait_until(lambda: len(json_lines(hub.jsonl)) == 4, WAIT_S)
        hub.end()
    for seq in (1, 2):
        hub.start()
        hub.wait_listening()
        with connected(hub.address, other) as peer:
            peer.open()
            peer.wait_acked(peer.send(make_segment(seq, seq + 1)))
        hub.end()
    hub.start()
    hub.wait_listening()
    with connected(hub.address, away) as peer:
        peer.open(b"a" * 16)
        peer.wait_acked(peer.send(make_segment(0, 4)))
    hub.end()
    lines = [
        line["seq"] for line in json_lines(hub.jsonl) if line["node"] == "node-of-away"
    ]
    assert lines == [1, 2, 3, 4]
