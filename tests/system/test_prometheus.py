"""A Prometheus server that scrapes a hub, and what it answers."""

import signal
import subprocess
from pathlib import Path

import pytest

from support.collector_process import CollectorProcess
from support.emitter import Emitter
from support.http import get
from support.metered_hub import MeteredHub
from support.program import fresh_namespace
from support.prometheus_server import prometheus

pytestmark = pytest.mark.system


def test_it_answers_with_true_values(tmp_path: Path) -> None:
    """Counts as the ledger has them, also over a hub that is killed; no reset, no
    series of the dead, and nothing that its own tool finds fault with."""
    with (
        fresh_namespace() as namespace,
        MeteredHub(tmp_path) as hub,
        CollectorProcess(namespace, hub.address, tmp_path / "c") as collector,
        prometheus(tmp_path, {"hub": hub.url}) as server,
        Emitter(namespace, SHMTEL_WORKER_ID="w-1") as doomed,
        Emitter(namespace, SHMTEL_WORKER_ID="w-2") as worker,
    ):
        doomed.emit(1_000)
        worker.emit(300)
        by_worker = 'label_replace(emitter_last, "tell", "$1", "worker_id", "(.*)")'
        server.wait("sum(shmtel_events_total)", **{"": 1_300})
        server.wait(by_worker, **{"w-1": 999, "w-2": 299})
        doomed.kill()
        server.wait(by_worker, **{"w-2": 299})
        hub.end(signal.SIGKILL)
        worker.emit(200)
        hub.start()
        server.wait("sum(shmtel_events_total)", **{"": 1_500})
        delivered = collector.wait_quiet().total.delivered
        server.wait("sum(shmtel_events_total)", **{"": delivered})
        server.wait("sum(shmtel_fleet_events_delivered_total)", **{"": delivered})
        server.wait(
            "sum(emitter_numbers_total)", **{"": sum(range(1_000)) + sum(range(500))}
        )
        server.wait(
            'resets(shmtel_events_total{event="emitter.event"}[10m])', **{"": 0}
        )
        judged = subprocess.run(
            ["promtool", "check", "metrics"],
            input=get(f"{hub.url}/metrics").text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")
