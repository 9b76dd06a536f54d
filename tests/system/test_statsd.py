"""Etsy's own server, and what it has counted of what a hub sends."""

import signal
from pathlib import Path

import pytest

from shmtel.hub import measures
from shmtel.hub.bridges.statsd import StatsdBridge, StatsdSettings
from shmtel.hub.bridges.statsd.settings import Dialect
from support.collector_process import CollectorProcess
from support.emitter import Emitter
from support.measured import Bench
from support.metered_hub import WAIT_S, MeteredHub
from support.processes import wait_until
from support.program import fresh_namespace
from support.statsd import etsy_server

pytestmark = pytest.mark.system
CONFIG = """
[statsd]
address = "{address}"
dialect = "{dialect}"
distributions = "buckets"
interval_s = 0.1
"""
METRICS = """
[[metrics]]
kind = "distribution"
name = "emitter.spread"
event = "emitter.event"
measurement = "number"
buckets = [99, 499.5]
tags = ["pool_name"]
"""


@pytest.mark.parametrize("dialect", ["statsd", "dogstatsd"])
def test_it_has_the_true_values(dialect: Dialect, tmp_path: Path) -> None:
    """Counters to the event, sums and buckets; no line that it could not read. Of
    DogStatsD's tags it makes those of Graphite."""

    def name(metric: str, tag: str, value: str, leaf: str = "") -> str:
        if dialect == "statsd":
            return f"{metric}.{value.replace('.', '_')}{leaf}"
        return f"{metric}{leaf};{tag}={value}"

    with (
        fresh_namespace() as namespace,
        etsy_server(tmp_path) as server,
        MeteredHub(
            tmp_path, CONFIG.format(address=server.address, dialect=dialect) + METRICS
        ) as hub,
        CollectorProcess(namespace, hub.address, tmp_path / "c") as collector,
        Emitter(namespace, SHMTEL_WORKER_ID="w-1", SHMTEL_POOL_NAME="one") as worker,
    ):
        worker.emit(1_000)
        events = name("shmtel.events", "event", "emitter.event")
        wait_until(lambda: server.ask("counters").get(events) == 1_000, WAIT_S)
        hub.end(signal.SIGTERM)
        hub.start()
        worker.emit(24)
        account = collector.wait_quiet().total
        hub.end(signal.SIGTERM)
        counters, gauges = server.ask("counters"), server.ask("gauges")
    assert account.delivered == account.committed == counters[events] == 1_024
    assert counters["statsd.bad_lines_seen"] == 0
    assert counters[name("emitter.numbers", "pool_name", "one")] == sum(range(1_024))
    spread = {
        leaf: counters[name("emitter.spread", "pool_name", "one", leaf)]
        for leaf in (".count", ".sum")
    }
    assert spread == {".count": 1_024, ".sum": sum(range(1_024))}
    bounds = (
        (".bucket.99", ".bucket.499_5") if dialect == "statsd" else (".bucket",) * 2
    )
    told = [name("emitter.spread", "pool_name", "one", leaf) for leaf in bounds]
    if dialect == "dogstatsd":
        told = [f"{told[0]};le=99", f"{told[1]};le=499.5"]
    assert [counters[key] for key in told] == [100, 500]
    assert gauges[name("emitter.last", "worker_id", "w-1")] == 1_023


@pytest.mark.parametrize("dialect", ["statsd", "dogstatsd"])
def test_it_has_gauges_below_zero(dialect: Dialect, tmp_path: Path) -> None:
    """It takes a sign for a change, and has the value all the same, over and over."""
    bench = Bench(measures.last_value("depth", "a.b", "n"))
    ring = bench.ring()
    with etsy_server(tmp_path) as server:
        for value in (7, -5, -6, 0.5):
            ring.emit({"measurements": {"n": value}})
            settings = StatsdSettings(server.address, dialect)
            with StatsdBridge(bench.measures, settings):
                pass  # its last flush tells
            wait_until(lambda v=value: server.ask("gauges").get("depth") == v, WAIT_S)
