"""Programs of their own with telemetry on, and what their rings hold afterwards."""

import subprocess
import sys
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import msgpack

from support.home import HOME
from support.own_ring import Event, RingReader
from support.program import clean_environment


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Return the condition's first true value.

    Raises:
        TimeoutError: it did not become true in time.
    """
    deadline = monotonic() + seconds
    while not (value := condition()):
        if monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        sleep(0.005)
    return value


def environment(namespace: str, **variables: str) -> dict[str, str]:
    """The environment of a worker in a namespace."""
    worker = {"SHMTEL_ENABLED": "1", "SHMTEL_NAMESPACE": namespace}
    return clean_environment(**{**worker, **variables})


def run_python(
    code: str, namespace: str, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end with telemetry on; it must succeed."""
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd="/",  # where no source of ours shadows the installed build
        env=environment(namespace, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


class LeftRing:
    """A ring as its process has left it: who made it, and its events."""

    def __init__(self, name: str) -> None:
        self.reader = RingReader(name)
        self.identity = self.reader.consumer.identity
        self.resource: dict[str, Any] = msgpack.unpackb(self.identity["resource"])
        self.events: list[Event] = self.reader.events()


def left_rings(namespace: str) -> list[LeftRing]:
    """Read every ring of a namespace, in the order of their making."""
    rings = [LeftRing(name) for name in HOME.scan(namespace)]
    return sorted(rings, key=lambda ring: ring.identity["monotonic_ns"])
