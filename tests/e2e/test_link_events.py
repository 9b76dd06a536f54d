"""The collector's own link, as events in its own ring."""

from pathlib import Path
from typing import Any

from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.processes import wait_until

PATIENCE_S = 30.0


class Link:
    """What a hub hears of the link to it."""

    def __init__(self, hub: NotingHub) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        hub.hub.attach("link", "grpc.*", self._hear, None)

    def _hear(
        self, event: str, measurements: Any, metadata: Any, config: object
    ) -> None:
        self.heard.append((event, {**metadata, **measurements}))

    def names(self) -> list[str]:
        """Return the names of the events, in order."""
        return [event.removeprefix("grpc.") for event, _ in list(self.heard)]


def test_a_hub_that_comes_back_hears_how_long_it_was_away(
    namespace: str, tmp_path: Path
) -> None:
    """Connection and stream are told when they stand, and when not; no frame is."""
    address = f"unix:{tmp_path / 'hub'}"
    with CollectorProcess(namespace, address, tmp_path, lifecycle=True) as collector:
        with NotingHub(address) as first:
            link = Link(first)
            wait_until(lambda: len(link.heard) == 2, PATIENCE_S)
            with Emitter(namespace) as worker:
                worker.emit(100)
                wait_until(lambda: first.count() == 100, PATIENCE_S)
                worker.leave()
        assert link.names() == ["connection.established", "stream.opened"]
        second = NotingHub(address)
        link = Link(second)
        with second:
            wait_until(lambda: "stream.opened" in link.names(), PATIENCE_S)
            collector.wait_quiet()
            assert collector.stop()[0] == 0
    assert link.names() == [
        "stream.closed",
        "connection.lost",
        "connection.reconnected",
        "stream.opened",
    ]
    closed, lost, again, _ = (fields for _, fields in link.heard)
    assert {fields["worker_id"] for _, fields in link.heard} == {"collector"}
    assert closed["sent"] > 0
    assert closed["received"] > 0
    assert lost["uptime"] >= closed["duration"] > 0
    assert lost["target"] == again["target"] == address
    assert again["downtime"] > 0
    assert again["attempts"] >= 1
    ledger = collector.ledger().total
    assert (ledger.unaccounted, ledger.lost) == (0, {})
    assert not any(ledger.dropped.values())
