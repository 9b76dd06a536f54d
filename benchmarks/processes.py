"""Child processes of a benchmark: started, asked by a line, weighed, ended."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start this Python with arguments; it inherits no setting of shmtel's."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("SHMTEL_")}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**bare, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def tell(process: subprocess.Popen[str]) -> None:
    """Send an empty line."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> Any:
    """Read a line of JSON."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args} ended with {process.wait()}")
    return json.loads(line)


def ask(process: subprocess.Popen[str]) -> Any:
    """Send a line, and read one."""
    tell(process)
    return hear(process)


def end(process: subprocess.Popen[str]) -> None:
    """Close its input, which tells it to end, and wait for that."""
    assert process.stdin is not None
    process.stdin.close()
    process.wait(PATIENCE_S)
    assert process.stdout is not None
    process.stdout.close()


@contextmanager
def running(*arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start one that ends with its input; kill it if something fails."""
    process = start(*arguments, **variables)
    try:
        yield process
        end(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def cpu_ns(pid: int) -> int:
    """Return the CPU time of all threads that live, to the nanosecond."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Return the condition's first true value."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.002)
    return value
