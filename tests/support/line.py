"""A whole line as programs: hub, collector, and a worker that emits for ever."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.program import (
    clean_environment,
    fresh_namespace,
    start_shmtel,
    stopped_at_exit,
    worker_program,
)

_START_S = 20.0
_BUSY = (
    "print(flush=True)",
    "while True:",
    '    shmtel.emit("a.b", {"n": 1})',
    '    shmtel.emit("c.d", {"n": 1})',
    "    time.sleep(0.001)",
)


@dataclass(frozen=True, slots=True)
class Line:
    """What a test needs to know about a running line."""

    hub: str
    namespace: str
    state_dir: Path
    jsonl: Path
    worker_id: str
    hub_process: subprocess.Popen[str]
    collector_process: subprocess.Popen[str]
    worker_process: subprocess.Popen[str]


def wait_for_text(path: Path, text: str) -> None:
    """Wait until a file holds a text."""
    deadline = time.monotonic() + _START_S
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{text!r} did not appear in {path}"
        time.sleep(0.02)


@contextmanager
def running_line(tmp_path: Path, *hub_options: str) -> Iterator[Line]:
    """Run a line until the context ends; events flow when it begins."""
    with started_line(tmp_path, tmp_path / "events.jsonl", *hub_options) as line:
        wait_for_text(line.jsonl, "a.b")
        yield line


@contextmanager
def started_line(tmp_path: Path, jsonl: Path, *hub_options: str) -> Iterator[Line]:
    """Run a line until the context ends; nothing need have arrived."""
    state_dir = tmp_path / "state"
    hub = f"unix:{tmp_path / 'hub.sock'}"
    with ExitStack() as stack:
        namespace = stack.enter_context(fresh_namespace())
        hub_process, collector_process = (
            stack.enter_context(stopped_at_exit(start_shmtel(*arguments)))
            for arguments in (
                ("hub", "--listen", hub, "--jsonl", str(jsonl), *hub_options),
                (
                    *("collector", "--hub", hub, "--namespace", namespace),
                    *("--state-dir", str(state_dir)),
                ),
            )
        )
        worker_process = stack.enter_context(
            stopped_at_exit(_start_worker(tmp_path, namespace))
        )
        yield Line(
            hub=hub,
            namespace=namespace,
            state_dir=state_dir,
            jsonl=jsonl,
            worker_id="busy",
            hub_process=hub_process,
            collector_process=collector_process,
            worker_process=worker_process,
        )


def _start_worker(tmp_path: Path, namespace: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, worker_program(tmp_path / "busy.py", _BUSY)],
        env=clean_environment(
            SHMTEL_ENABLED="1", SHMTEL_NAMESPACE=namespace, SHMTEL_WORKER_ID="busy"
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
