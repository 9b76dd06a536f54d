"""A line to measure at: a collector and a hub in processes of their own.

Its workers are a program of one parent that forks as many as are wanted, so that
each has a ring of its own and all begin with a line of input.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import processes
from scene import remove_rings

_HERE = Path(__file__).parent
_SINK = str(_HERE / "sink.py"), "shmtel"


@dataclass(frozen=True)
class Line:
    """Where workers emit to."""

    namespace: str
    hub: Popen[str]
    collector_pid: int

    def count(self) -> Any:
        """Ask the hub's handler, which by default tells how many have arrived."""
        return processes.ask(self.hub)

    def cpu_ns(self) -> tuple[int, int]:
        """Return the CPU time of collector and hub."""
        return processes.cpu_ns(self.collector_pid), processes.cpu_ns(self.hub.pid)

    def variables(self, **more: str) -> dict[str, str]:
        """Return the environment of a worker."""
        return {"SHMTEL_ENABLED": "1", "SHMTEL_NAMESPACE": self.namespace, **more}


@contextmanager
def running_line(*program: str) -> Iterator[Line]:
    """Run a line, with the hub of another program if one is given."""
    namespace = f"bench-{os.getpid()}-line"
    with tempfile.TemporaryDirectory() as directory:
        try:
            with processes.running(
                *(program or _SINK), directory, SHMTEL_NAMESPACE=namespace
            ) as hub:
                _, (collector,) = processes.hear(hub)
                yield Line(namespace, hub, collector)
        finally:
            remove_rings(namespace)
