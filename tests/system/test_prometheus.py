"""A Prometheus server that scrapes a hub, and what it answers."""

import json
import signal
import socket
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.collector_process import CollectorProcess
from support.emitter import Emitter
from support.http import get
from support.metered_hub import WAIT_S, MeteredHub
from support.processes import wait_until
from support.program import fresh_namespace, stopped_at_exit

pytestmark = pytest.mark.system
CONFIG = """
scrape_configs:
- job_name: hub
  scrape_interval: 200ms
  static_configs:
  - targets: ["{target}"]
"""


class Prometheus:
    """A server, asked in its own language."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str) -> dict[str, float]:
        """Return the values of an expression, by label `tell` if it has one."""
        answer = get(f"{self.url}/api/v1/query?query={urllib.parse.quote(query)}")
        assert answer.status == 200, answer.text
        found = json.loads(answer.text)["data"]["result"]
        return {s["metric"].get("tell", ""): float(s["value"][1]) for s in found}

    def wait(self, query: str, **values: float) -> None:
        """Wait until an expression has these values, by `tell`."""
        try:
            wait_until(lambda: self.ask(query) == values, WAIT_S)
        except TimeoutError as error:
            raise TimeoutError(f"{query}: {self.ask(query)}, not {values}") from error

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return get(f"{self.url}/-/ready").status == 200
        except OSError:
            return False


@contextmanager
def prometheus(directory: Path, target: str) -> Iterator[Prometheus]:
    """Run a server that scrapes a target."""
    config = directory / "prometheus.yml"
    config.write_text(CONFIG.format(target=target))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        *("prometheus", f"--config.file={config}"),
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    with (directory / "prometheus.log").open("w") as log:
        server = subprocess.Popen(command, stderr=log, stdout=log, text=True)
    with stopped_at_exit(server):
        found = Prometheus(f"http://127.0.0.1:{port}")
        wait_until(found.is_ready, WAIT_S)
        yield found


def test_it_answers_with_true_values(tmp_path: Path) -> None:
    """Counts as the ledger has them, also over a hub that is killed; no reset, no
    series of the dead, and nothing that its own tool finds fault with."""
    with (
        fresh_namespace() as namespace,
        MeteredHub(tmp_path) as hub,
        CollectorProcess(namespace, hub.address, tmp_path / "c") as collector,
        prometheus(tmp_path, hub.url.removeprefix("http://")) as server,
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
