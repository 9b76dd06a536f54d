"""The ledgers and the metrics while events wait in the spool, and after."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.fleet_scene import WAIT_S, laws, ledger_of
from support.http import Values, scrape, total
from support.processes import wait_until
from support.program import fresh_namespace

EVENTS = 800  # more than half of the ring can hold, and less than all of it


class Line:
    """A worker, and a collector that spools because its hub is not there yet."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self._hub = f"unix:{directory}/hub.sock"
        self._namespace = stack.enter_context(fresh_namespace())
        self.worker = self._start_worker()
        self.collector = stack.enter_context(
            CollectorProcess(
                *(self._namespace, self._hub, directory / "c"),
                f'spool_dir = "{directory}/spool"\n',
                SHMTEL_COLLECTOR_HTTP="127.0.0.1:0",
            )
        )

    def _start_worker(self) -> Emitter:
        worker = Emitter(
            self._namespace, SHMTEL_RING_SIZE="64KiB", SHMTEL_SERVICE_NAME="shop"
        )
        return self._stack.enter_context(worker)

    def host(self) -> dict[str, Any]:
        """What the host's ledger says."""
        place = ("--namespace", self._namespace, "--state-dir")
        document = ledger_of(*place, str(self.collector.state_dir))
        account: dict[str, Any] = document["total"]
        assert account["unaccounted"] == 0
        return account

    def fleet(self) -> dict[str, Any]:
        """What the hub's ledger says."""
        account: dict[str, Any] = ledger_of("--hub", self._hub)["total"]
        assert account["unaccounted"] == 0
        return account

    def scrape(self) -> Values:
        """What the collector exposes."""
        values = scrape(self.collector.url())
        assert total(values, "shmtel_ledger_unaccounted_events") == 0
        return values

    def wait_until_spooled(self, least: int) -> Values:
        """Wait until ledger and metrics agree on what is in the spool."""

        def is_told() -> Values | None:
            spooled, values = self.host()["spooled"], self.scrape()
            agrees = total(values, "shmtel_events_spooled") == spooled
            return values if agrees and spooled >= least else None

        values: Values = wait_until(is_told, WAIT_S)
        return values

    def start_hub(self) -> None:
        """Let the hub come."""
        self._stack.enter_context(NotingHub(self._hub))


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """A line without a hub."""
    with ExitStack() as stack:
        yield Line(stack, tmp_path)


def test_what_is_spooled_is_told_by_all(line: Line) -> None:
    """Of a live ring and of one that is gone, over a restart, until the hub comes."""
    line.worker.emit(EVENTS)
    values = line.wait_until_spooled(EVENTS // 2)
    assert total(values, "shmtel_spool_bytes") > 0
    assert total(values, "shmtel_spool_max_bytes") == 1 << 30
    line.worker.emit(EVENTS)
    line.worker.kill()
    line.wait_until_spooled(2 * EVENTS)
    assert line.collector.stop()[0] == 0
    line.collector.start()
    values = line.wait_until_spooled(2 * EVENTS)
    assert total(values, "shmtel_events_committed_total", service="shop") == 2 * EVENTS
    line.start_hub()

    def is_told() -> dict[str, Any] | None:
        fleet, host = line.fleet(), line.host()
        is_done = host["delivered"] == 2 * EVENTS
        return fleet if is_done and laws(fleet) == laws(host) else None

    assert wait_until(is_told, WAIT_S)["spooled"] == 0
    values = line.wait_until_spooled(0)
    assert total(values, "shmtel_events_delivered_total") == 2 * EVENTS
    assert total(values, "shmtel_events_committed_total") == 2 * EVENTS
