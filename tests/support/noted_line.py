"""A running line, worker to hub, and every event that a handler of the hub got."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from shmtel.hub import Hub
from support.collector_process import CollectorProcess
from support.home import HOME
from support.processes import environment, wait_until
from support.program import fresh_namespace


class Arrived(NamedTuple):
    """An event as the handler got it."""

    name: str
    measurements: dict[str, Any]
    metadata: dict[str, Any]


class NotedLine:
    """Hub and collector of a namespace, and what has arrived."""

    def __init__(self, namespace: str, hub: Hub, collector: CollectorProcess) -> None:
        self.namespace = namespace
        self._collector = collector
        self._lock = threading.Lock()
        self._arrived: list[Arrived] = []
        hub.attach("note", "*", self._note)

    def environment(self, **variables: str) -> dict[str, str]:
        """The environment of a program whose events go this way."""
        return environment(self.namespace, **variables)

    def named(self, name: str, **metadata: object) -> list[Arrived]:
        """Events of a name, with this in their metadata, in order of arrival."""
        with self._lock:
            events = [event for event in self._arrived if event.name == name]
        return [event for event in events if metadata.items() <= event.metadata.items()]

    def wait_for(self, name: str, count: int = 1, **metadata: object) -> list[Arrived]:
        """Wait until so many have arrived."""
        wait_until(lambda: len(self.named(name, **metadata)) >= count, 30)
        return self.named(name, **metadata)

    def check_ledger(self) -> None:
        """See, when all workers have ended, that nothing is missing."""
        wait_until(lambda: HOME.scan(self.namespace) == [], 30)
        total = self._collector.wait_quiet().total
        with self._lock:
            assert total.committed == total.delivered == len(self._arrived) > 0
        assert (total.unaccounted, total.lost, total.rejected) == (0, {}, {})

    def _note(
        self,
        event: str,
        measurements: Mapping[str, float],
        metadata: Mapping[str, object],
        _config: object,
    ) -> None:
        with self._lock:
            self._arrived.append(Arrived(event, dict(measurements), dict(metadata)))


@contextmanager
def noted_line(directory: Path) -> Iterator[NotedLine]:
    """Run hub and collector."""
    with (
        fresh_namespace() as namespace,
        Hub(f"unix:{directory / 'hub'}") as hub,
        CollectorProcess(namespace, hub.address, directory) as collector,
    ):
        yield NotedLine(namespace, hub, collector)
