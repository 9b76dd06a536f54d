"""A real Prometheus server that scrapes daemons, and what it answers."""

import json
import socket
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.http import get
from support.processes import wait_until
from support.program import stopped_at_exit

WAIT_S = 30.0


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
def prometheus(
    directory: Path, urls: Mapping[str, str], rules: Sequence[Path] = ()
) -> Iterator[Prometheus]:
    """Run a server that scrapes URLs by the names of their jobs."""
    config = directory / "prometheus.yml"
    config.write_text(json.dumps(_config(urls, rules)))  # which is YAML, too
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


def _config(urls: Mapping[str, str], rules: Sequence[Path]) -> dict[str, Any]:
    jobs = [
        {
            "job_name": job,
            "static_configs": [{"targets": [url.removeprefix("http://")]}],
        }
        for job, url in urls.items()
    ]
    return {
        "global": {"scrape_interval": "200ms", "evaluation_interval": "200ms"},
        "rule_files": list(map(str, rules)),
        "scrape_configs": jobs,
    }
