"""Running the installed `shmtel` program as a person or a script would."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.home import HOME, VARIABLES

PROGRAM = Path(sys.executable).with_name("shmtel")
TIMEOUT_S = 60
NO_OWN_EVENTS = {
    "SHMTEL_LIFECYCLE": "0",
    "SHMTEL_STATUS_INTERVAL": "0",
    "SHMTEL_RESOURCES_INTERVAL": "0",
}
# Daemons of several tests at once would take the same port.
NO_HTTP = {"SHMTEL_COLLECTOR_HTTP": "off", "SHMTEL_HUB_HTTP": "off"}


def clean_environment(**extra: str) -> dict[str, str]:
    """Return our environment without other settings than the home, plus `extra`.

    The collector has events of its own where a test asks for them: else what it counts
    would depend on how many workers had ended by then, and on the time.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SHMTEL_")}
    return {**kept, **NO_OWN_EVENTS, **VARIABLES, **NO_HTTP, **extra}


def shmtel(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end."""
    return subprocess.run(
        [PROGRAM, *arguments],
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def start_shmtel(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a verb that runs until it is stopped."""
    return subprocess.Popen(
        [PROGRAM, *arguments],
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def stopped_at_exit(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kill a process if the test leaves it running."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def fresh_namespace() -> Iterator[str]:
    """Name a namespace that nobody uses, and remove what the test left in it."""
    namespace = f"test-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        yield namespace
    finally:
        for name in HOME.scan(namespace):
            HOME.unlink(name)
        # A collector that was killed leaves its lock file; what was evicted stays.
        for path in Path(HOME.directory).glob(f"shmtel.{namespace}.*"):
            path.unlink()


def worker_program(path: Path, lines: Sequence[str]) -> Path:
    """Write a worker's program and return its path."""
    path.write_text("\n".join(("import os, signal, sys, time, shmtel", *lines)))
    return path
