"""Workers of a real gunicorn have a ring each, with nothing but the variable."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.processes import environment, left_rings, wait_until
from support.program import fresh_namespace

APPLICATION = """
import os, shmtel

def app(environ, start_response):
    with shmtel.span("request", {"path": environ["PATH_INFO"]}):
        shmtel.emit("handled", {"n": 1})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


def get(port: int) -> int | None:
    """Ask the application for the pid of the worker that answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/x", timeout=5) as answer:
            return int(answer.read())
    except OSError:
        return None


@contextmanager
def gunicorn(namespace: str, directory: Path, *options: str) -> Iterator[int]:
    """Run gunicorn with three workers until the block ends; gives its port."""
    (directory / "application.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        place = f"fd://{listener.fileno()}"
        command = [sys.executable, "-m", "gunicorn", "-w", "3", "-b", place]
        process = subprocess.Popen(
            [*command, *options, "application:app"],
            cwd=directory,
            env=environment(namespace, SHMTEL_POOL_NAME="web"),
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
        )
    try:
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["plain", "preload"])
def test_each_gunicorn_worker_has_a_ring(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """Every request is in its worker's ring, also those of a killed one."""
    with fresh_namespace() as namespace:
        served: dict[int, int] = {}
        with gunicorn(namespace, tmp_path, *options) as port:
            wait_until(lambda: get(port), seconds=20)

            def two_have_served() -> bool:
                if (pid := get(port)) is not None:
                    served[pid] = served.get(pid, 0) + 1
                return len(served) >= 2

            wait_until(two_have_served, seconds=20)
            victim = next(iter(served))
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: len(set(served) | {get(port)} - {None}) >= 3, seconds=20)
        rings = {ring.identity["pid"]: ring for ring in left_rings(namespace)}
        assert served.keys() <= rings.keys()
        for pid, ring in rings.items():
            names = [event.name for event in ring.events]
            assert names == ["request.start", "handled", "request.stop"] * (
                len(names) // 3
            )
            assert len(names) // 3 >= served.get(pid, 0)
            assert ring.resource["pool_name"] == "web"
            assert ring.resource["worker_id"] == f"web-{pid}"
