"""A real gunicorn with our hooks: what its arbiter knows arrives at a real hub."""

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.noted_line import NotedLine, noted_line
from support.processes import wait_until

APPLICATION = """
import os, time, shmtel

def app(environ, start_response):
    shmtel.emit("handled", {"n": 1})
    if environ["PATH_INFO"] == "/block":
        while not os.path.exists("release"):
            time.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (part for part in (b"hello ", str(os.getpid()).encode()))
"""
CONFIGURATION = """
from shmtel.contrib.gunicorn import instrument

def post_fork(server, worker):
    with open("forked", "a") as file:
        print(worker.pid, file=file)

def post_request(worker, req):
    open("answered", "a").close()

instrument(globals(), status_period_s=1)
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def line(tmp_path: Path) -> Iterator[NotedLine]:
    """Run hub and collector."""
    with noted_line(tmp_path) as line:
        yield line


class Gunicorn:
    """A running arbiter."""

    def __init__(self, line: NotedLine, directory: Path, *options: str) -> None:
        (directory / "gunicorn.conf.py").write_text(CONFIGURATION)
        self.log = directory / "gunicorn.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0"),
                    *(*options, "application:app"),
                ],
                cwd=directory,
                env=line.environment(
                    SHMTEL_POOL_NAME="web", SHMTEL_WORKER_ID="web-{index}"
                ),
                stdout=log,
                stderr=log,
            )

    def address(self) -> str | None:
        """Where it listens, as soon as it says so."""
        for word in self.log.read_text().split():
            if word.startswith("http://"):
                return word
        return None

    def get(self, path: str = "/") -> int:
        """Ask for the pid of the worker that answers."""
        address = wait_until(self.address, 30)
        request = urllib.request.Request(
            f"{address}{path}", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.read().split()[1])


@contextmanager
def gunicorn(line: NotedLine, directory: Path, *options: str) -> Iterator[Gunicorn]:
    """Run gunicorn until the block ends, in good order."""
    server = Gunicorn(line, directory, *options)
    try:
        yield server
        server.process.terminate()
        assert server.process.wait(30) == 0, server.log.read_text()
    finally:
        server.process.kill()
        server.process.wait()


def test_what_gunicorn_knows_arrives(line: NotedLine, tmp_path: Path) -> None:
    """Start, readiness, requests, queue, a worker's death and its replacement."""
    (tmp_path / "application.py").write_text(APPLICATION)
    with gunicorn(line, tmp_path, "--workers", "2", "--threads", "1") as server:
        (initialized,) = line.wait_for("pool.initialized")
        assert initialized.measurements["workers"] == 2
        assert initialized.metadata["subject_pool"] == "web"
        assert initialized.metadata["pool_name"] == "web.master"

        pid = server.get()
        (stop,) = line.wait_for("python.call.stop", pid=pid)
        assert stop.metadata.items() >= {
            ("command", "GET"),
            ("path", "/"),
            ("status", 200),
            ("correlation_id", TRACE),
            ("parent_id", PARENT),
            ("pool_name", "web"),
        }
        check_saturation(line, server, tmp_path)

        os.kill(pid, signal.SIGKILL)
        (exited,) = line.wait_for("pool.worker.exited", subject_pid=pid)
        assert (exited.metadata["signal"], exited.metadata["reason"]) == (
            *("SIGKILL", "signal"),
        )
        line.wait_for("pool.worker.spawn_started", reason="replacement")
        booted = line.wait_for("pool.worker.booted", 3)
        assert {event.metadata["worker_id"] for event in booted} == {"web-0", "web-1"}
        wait_until(lambda: server.get() not in (pid, None), 30)
    exits = line.wait_for("pool.worker.exited", 3)
    assert [event.measurements.get("exit_status") for event in exits] == [None, 0, 0]
    assert len(line.named("pool.worker.spawn_started", reason="start")) == 2
    assert line.named("pool.worker.spawn_failed") == []
    line.check_ledger()
    assert len((tmp_path / "forked").read_text().split()) == 3  # the user's own hooks
    assert (tmp_path / "answered").exists()


def check_saturation(line: NotedLine, server: Gunicorn, directory: Path) -> None:
    """See that busy workers and waiting connections are told, and their end."""
    askers = [threading.Thread(target=server.get, args=("/block",)) for _ in range(5)]
    for asker in askers:
        asker.start()

    def is_saturated() -> bool:
        return any(
            status.measurements["busy_workers"] == 2
            and status.measurements["available_workers"] == 0
            and status.measurements["queue_depth"] == 3
            for status in line.named("pool.status")
        )

    wait_until(is_saturated, 30)
    (directory / "release").touch()
    for asker in askers:
        asker.join()
    seen = len(line.named("pool.status"))
    last = line.wait_for("pool.status", seen + 2)[-1].measurements
    assert last.items() >= {
        *(("workers", 2), ("ready", 2), ("busy_workers", 0)),
        *(("available_workers", 2), ("queue_depth", 0)),
    }


def test_worker_that_does_not_boot(line: NotedLine, tmp_path: Path) -> None:
    """The failure has its cause, the exit its status, and gunicorn gives up."""
    (tmp_path / "application.py").write_text("raise LookupError('no such table')\n")
    server = Gunicorn(line, tmp_path, "--workers", "1")
    assert server.process.wait(30) == 3, server.log.read_text()
    (failed,) = line.wait_for("pool.worker.spawn_failed")
    assert failed.measurements == {"exit_status": 3}
    assert failed.metadata.items() >= {
        *(("error_type", "LookupError"), ("error_message", "no such table")),
        *(("reason", "boot"), ("subject_pool", "web")),
    }
    (exited,) = line.wait_for("pool.worker.exited")
    assert exited.measurements["exit_status"] == 3
    assert exited.metadata["subject_pid"] == failed.metadata["subject_pid"]
    line.check_ledger()


def test_worker_that_hangs(line: NotedLine, tmp_path: Path) -> None:
    """Gunicorn's timeout is the reason of the exit, and the span has an end."""
    (tmp_path / "application.py").write_text(APPLICATION)
    options = ("--workers", "1", "--timeout", "1")
    with gunicorn(line, tmp_path, *options) as server:
        line.wait_for("pool.worker.booted")
        with pytest.raises(OSError, match=r"500|closed|reset"):
            server.get("/block")
        (exited,) = line.wait_for("pool.worker.exited", reason="timeout")
        assert exited.measurements["lifetime"] > 1e9
        (call,) = line.wait_for("python.call.exception")
        assert call.metadata["outcome"] == "exit"
        line.wait_for("pool.worker.booted", 2)
    line.check_ledger()
