"""Workers of every fate, a collector and its hub, and what each says of them."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from shmtel.endpoints.server import HttpServer
from shmtel.hub.watched import WatchedHub
from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.hostile_rings import RINGS, Forged
from support.processes import wait_until
from support.program import shmtel

WAIT_S = 30.0
FORGED = next(kind for kind in RINGS if kind.name == "forged threshold")
LAWS = (
    *("emitted", "committed", "dropped", "sampled_out", "filtered", "disabled"),
    *("delivered", "rejected", "sampled_out_by_collector", "filtered_by_collector"),
    *("disabled_by_collector", "lost", "spooled", "in_flight", "in_ring"),
    "unaccounted",
)


def ledger_of(*options: str) -> dict[str, Any]:
    """Return what `shmtel ledger --json` says."""
    result = shmtel("ledger", "--json", *options)
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


class FleetScene:
    """Workers that drop, sample, filter and die, and one that forges an event."""

    def __init__(self, stack: ExitStack, namespace: str, directory: Path) -> None:
        self.namespace = namespace
        self._stack = stack
        self.noting = stack.enter_context(NotingHub())
        self.address = self.noting.hub.address
        endpoints = HttpServer(WatchedHub(self.noting.hub), "127.0.0.1", 0)
        self.hub_url = endpoints.open()
        stack.callback(endpoints.close)
        self.noting.hub.update_filter("*", deny=["noise.*"])
        self.full = self._worker("full", SHMTEL_RING_SIZE="64KiB")
        self.full.emit(2_000)
        self.full.emit(10, "noise.of.the.backlog")
        self.sampled = self._worker("sampled", SHMTEL_SAMPLING_RATE="0.5")
        self.sampled.emit(500)
        self.sampled.emit(7, "noise.of.the.backlog")
        self.denied = self._worker("denied", SHMTEL_DENY="secret.*")
        self.denied.emit(20, "secret.word")
        self.denied.emit(30)
        self.killed = self._worker("killed")
        self.killed.emit(40)
        self.killed.kill()
        self.forged = Forged(self.namespace, FORGED)
        stack.callback(self.forged.ring.close)
        self.collector = stack.enter_context(
            CollectorProcess(
                *(self.namespace, self.address, directory),
                SHMTEL_COLLECTOR_HTTP="127.0.0.1:0",
            )
        )
        self.forged.spoil()

    def _worker(self, worker_id: str, **variables: str) -> Emitter:
        worker = Emitter(self.namespace, SHMTEL_WORKER_ID=worker_id, **variables)
        return self._stack.enter_context(worker)

    def host(self) -> dict[str, Any]:
        """What the host's own ledger says."""
        place = ("--namespace", self.namespace, "--state-dir")
        return ledger_of(*place, str(self.collector.state_dir))

    def fleet(self, *options: str) -> dict[str, Any]:
        """What the hub's ledger says."""
        return ledger_of("--hub", self.address, *options)

    def collector_url(self) -> str:
        """Where the collector serves its endpoints."""
        return self.collector.url()

    def wait_until_told(self) -> dict[str, Any]:
        """Wait until nothing is under way and the hub has heard the last word."""

        def is_told() -> dict[str, Any] | None:
            fleet, host = self.fleet(), self.host()
            assert fleet["total"]["unaccounted"] == host["total"]["unaccounted"] == 0
            under_way = [host["total"][word] for word in ("in_ring", "in_flight")]
            is_equal = laws(fleet["total"]) == laws(host["total"])
            return fleet if is_equal and not any(under_way) else None

        try:
            told: dict[str, Any] = wait_until(is_told, WAIT_S)
        except TimeoutError as error:
            fleet, host = (laws(of()["total"]) for of in (self.fleet, self.host))
            raise TimeoutError(f"{fleet} differs from {host}") from error
        return told


def laws(account: dict[str, Any]) -> dict[str, Any]:
    """Return the words of both laws, without reasons that never happened."""
    return {
        word: {k: n for k, n in account[word].items() if n}
        if isinstance(account[word], dict)
        else account[word]
        for word in LAWS
    }
