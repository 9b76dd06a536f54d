"""One collector per namespace and host, and how it ends when others misbehave."""

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.home import HOME
from support.processes import wait_until
from support.program import fresh_namespace, shmtel, start_shmtel, stopped_at_exit
from support.uplink import ScriptedCollector, make_hello


def _lock_path(namespace: str) -> str:
    return f"{HOME.directory}/shmtel.{namespace}.collector"


def test_second_collector_is_refused(namespace: str, tmp_path: Path) -> None:
    """It ends with 1 and one line that names the pid; the first goes on."""
    with NotingHub() as hub, Emitter(namespace) as worker:
        address = hub.hub.address
        with CollectorProcess(namespace, address, tmp_path):
            worker.emit(1)
            wait_until(lambda: hub.count() == 1)
            second = shmtel(
                *("collector", "--hub", address, "--namespace", namespace),
                *("--state-dir", str(tmp_path / "other")),
            )
            with open(_lock_path(namespace)) as file:
                pid = file.read().strip()
            assert second.returncode == 1
            assert f"pid {pid}" in second.stderr
            assert "Traceback" not in second.stderr
            worker.emit(1)
            wait_until(lambda: hub.count() == 2)


def test_collectors_of_two_namespaces_share_a_host(
    namespace: str, tmp_path: Path
) -> None:
    """Each serves its own rings, over a stream of its own."""
    with (
        fresh_namespace() as other,
        NotingHub() as hub,
        Emitter(namespace) as one,
        Emitter(other) as two,
        CollectorProcess(namespace, hub.hub.address, tmp_path / "one"),
        CollectorProcess(other, hub.hub.address, tmp_path / "two"),
    ):
        one.emit(10)
        two.emit(20)
        wait_until(lambda: hub.count() == 30)


def test_superseded_collector_gives_way(namespace: str, tmp_path: Path) -> None:
    """A newer one of the same host id takes over; the older ends with an error."""
    with (
        NotingHub() as hub,
        Emitter(namespace) as worker,
        CollectorProcess(namespace, hub.hub.address, tmp_path) as collector,
    ):
        worker.emit(1)
        wait_until(lambda: hub.count() == 1)
        with closing(
            sqlite3.connect(collector.state_dir / f"{namespace}.sqlite3")
        ) as database:
            query = "SELECT value FROM facts WHERE name = 'host_id'"
            (host_id,) = database.execute(query).fetchone()
        newer = ScriptedCollector(hub.hub.address, make_hello(host_id, epoch=2**62))
        try:
            newer.wait_welcome()
            assert collector.wait() == 1
        finally:
            newer.close()
        assert "--state-dir" in collector.log()
        assert "Traceback" not in collector.log()
        assert not os.path.exists(_lock_path(namespace))


def test_frozen_hub_does_not_hold_up_the_end(namespace: str, tmp_path: Path) -> None:
    """With the hub stopped dead and batches under way, SIGTERM works in two seconds."""
    address = f"unix:{tmp_path}/hub.sock"
    jsonl = tmp_path / "events.jsonl"
    with (
        stopped_at_exit(
            start_shmtel("hub", "--listen", address, "--jsonl", str(jsonl))
        ) as hub,
        Emitter(namespace) as worker,
        CollectorProcess(namespace, address, tmp_path) as collector,
    ):
        worker.emit(1)
        wait_until(lambda: jsonl.exists() and jsonl.read_text())
        hub.send_signal(signal.SIGSTOP)
        worker.emit(5000)
        wait_until(lambda: collector.ledger().total.in_flight > 0)
        code, seconds = collector.stop()
        hub.send_signal(signal.SIGCONT)
        assert (code, seconds < 2.0) == (0, True), seconds
        total = collector.ledger().total
        assert (total.committed, total.unaccounted) == (5001, 0)


def test_silent_hub_is_given_up_and_found_again(namespace: str, tmp_path: Path) -> None:
    """A hub that freezes and wakes gets every event once."""
    address = f"unix:{tmp_path}/hub.sock"
    jsonl = tmp_path / "events.jsonl"
    with (
        stopped_at_exit(
            start_shmtel("hub", "--listen", address, "--jsonl", str(jsonl))
        ) as hub,
        Emitter(namespace) as worker,
        CollectorProcess(namespace, address, tmp_path) as collector,
    ):
        worker.emit(1)
        wait_until(lambda: jsonl.exists() and jsonl.read_text())
        hub.send_signal(signal.SIGSTOP)
        worker.emit(1000)
        wait_until(lambda: "is silent for" in collector.log())
        hub.send_signal(signal.SIGCONT)
        wait_until(lambda: jsonl.read_text().count("\n") >= 1001, seconds=20)
        collector.wait_quiet()
        assert jsonl.read_text().count("\n") == 1001


def test_unusable_state_directory_names_the_cure(
    namespace: str, tmp_path: Path
) -> None:
    """It ends with 1 and says which option helps."""
    (tmp_path / "file").write_text("in the way")
    below = tmp_path / "file" / "state"
    done = shmtel(
        *("collector", "--namespace", namespace), *("--state-dir", str(below))
    )
    assert done.returncode == 1
    assert "--state-dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_damaged_state_is_set_aside(namespace: str, tmp_path: Path) -> None:
    """A spoiled database is no reason not to start."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / f"{namespace}.sqlite3").write_bytes(b"spoiled" * 1000)
    with (
        NotingHub() as hub,
        Emitter(namespace) as worker,
        CollectorProcess(namespace, hub.hub.address, tmp_path) as collector,
    ):
        worker.emit(10)
        wait_until(lambda: hub.count() == 10)
        assert "set aside" in collector.log()
