"""Dashboard and alerts, asked of a Prometheus that scrapes a hub and a collector."""

import json
import re
import socket
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.collector_process import CollectorProcess
from support.emitter import Emitter
from support.http import get
from support.metered_hub import MeteredHub
from support.processes import run_python, wait_until
from support.program import fresh_namespace
from support.prometheus_server import WAIT_S, Prometheus, prometheus

pytestmark = pytest.mark.system
DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "shmtel.json").read_text())
# An event of each name that a default metric is of, with all its tags.
EMIT_ALL = """
import shmtel
from shmtel.hub.measures.defaults import default_metrics
events = {}
for metric in default_metrics():
    for name in metric.patterns:
        measurements, metadata = events.setdefault(name, ({}, {}))
        if isinstance(metric.measurement, str):
            measurements[metric.measurement] = 5
        metadata.update({key: "t" for key in metric.tags.values()})
        metadata["of_nobody"] = 1
del events["*"]
for name, (measurements, metadata) in events.items():
    shmtel.emit(name, measurements, metadata)
"""
# They have no series where nothing has gone wrong.
QUIET = (
    "shmtel_bridge_failures_total",
    "shmtel_bridge_items_dropped_total",
    "shmtel_fleet_events_lost_total",
    "shmtel_fleet_events_rejected_total",
    "shmtel_fleet_rings_quarantined_total",
    "shmtel_fleet_rings_refused_total",
    "shmtel_fleet_spool_max_bytes",  # of those that have one
    "shmtel_fleet_spool_refused_total",
    "shmtel_hub_metric_events_skipped_total",
    "shmtel_own_events_left_out_total",
    "shmtel_resources_unavailable_total",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A server that has scraped a line which has counted something of everything."""
    directory = tmp_path_factory.mktemp("line")
    with ExitStack() as stack:
        namespace = stack.enter_context(fresh_namespace())
        backend = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        backend.bind(("127.0.0.1", 0))
        config = f'[statsd]\naddress = "127.0.0.1:{backend.getsockname()[1]}"\n'
        hub = stack.enter_context(MeteredHub(directory, config))
        collector = stack.enter_context(
            CollectorProcess(
                *(namespace, hub.address, directory / "c"),
                SHMTEL_COLLECTOR_HTTP="127.0.0.1:0",
            )
        )
        run_python(EMIT_ALL, namespace)
        stack.enter_context(Emitter(namespace)).emit(10)
        collector.wait_quiet()
        urls = {"shmtel-hub": hub.url, "shmtel-collector": collector.url()}
        found = stack.enter_context(prometheus(directory, urls, [ALERTS]))
        # Twice at least, of both: a rate is between two scrapes.
        scraped = "count(count_over_time(shmtel_ready[1m]) > 2) == 2"
        for text in (scraped, "count_over_time(shmtel_rings_reaped_total[1m]) > 2"):
            wait_until(lambda text=text: found.ask(text), WAIT_S)
        yield found


def answer(server: Prometheus, path: str, **query: str) -> Any:
    """Return the data that the server answers with."""
    found = get(f"{server.url}/api/v1/{path}?{urllib.parse.urlencode(query)}")
    assert found.status == 200, found.text
    return json.loads(found.text)["data"]


def expressions() -> Iterator[str]:
    """Return those of all panels, as Grafana would ask them for everything."""
    for row in DASHBOARD["panels"]:
        for panel in (row, *row.get("panels", [])):
            for target in panel.get("targets", []):
                text = target["expr"].replace("$__rate_interval", "1m")
                text = text.replace("$__range", "1h")
                yield re.sub(r'"\$\w+"', '".*"', text)


def test_all_panels_show_something(server: Prometheus) -> None:
    """Every expression is one, and has series where there is anything to see."""
    empty = [
        text
        for text in expressions()
        if not answer(server, "query", query=text)["result"]
    ]
    assert [text for text in empty if not any(name in text for name in QUIET)] == []
    assert len(list(expressions())) > 100


def test_what_is_quiet_is_exposed_all_the_same(server: Prometheus) -> None:
    """The names of what goes wrong are known before it does."""
    families = {name.removesuffix("_total") for name in QUIET}  # as OpenMetrics has it
    assert families <= answer(server, "metadata").keys()


def test_no_rule_fails(server: Prometheus) -> None:
    """All of them are evaluated, and nothing is wrong with a line that is well."""

    def rules() -> list[Any]:
        groups = answer(server, "rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_until(lambda: {rule["health"] for rule in rules()} == {"ok"}, WAIT_S)
    firing = [rule["name"] for rule in rules() if rule.get("alerts")]
    assert firing == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_no_fault(arguments: tuple[str, ...]) -> None:
    """In the files as they are; the last ones are the alerts' own tests."""
    judged = subprocess.run(
        ["promtool", *arguments],
        cwd=ALERTS.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
