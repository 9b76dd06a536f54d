"""A hub that sends its metrics to a StatsD server, from the program's side."""

import signal
from pathlib import Path

from support.collector_process import CollectorProcess
from support.emitter import Emitter
from support.http import by_label, total
from support.metered_hub import WAIT_S, MeteredHub
from support.processes import wait_until
from support.program import shmtel
from support.statsd import Receiver

CONFIG = """
[statsd]
address = "{address}"
dialect = "dogstatsd"
prefix = "fleet"
tags = {{ env = "test" }}
interval_s = {interval_s}
"""
EVENTS, NUMBERS = "fleet.shmtel.events", "fleet.emitter.numbers"
SENT = "shmtel_bridge_items_sent_total"


def test_a_hub_that_is_killed(namespace: str, tmp_path: Path) -> None:
    """The next one tells what is added from there on, and no history; over UDP."""
    with Receiver() as receiver:
        config = CONFIG.format(address=receiver.address, interval_s=0.1)
        with (
            MeteredHub(tmp_path, config) as hub,
            CollectorProcess(namespace, hub.address, tmp_path / "c") as collector,
            Emitter(namespace, SHMTEL_WORKER_ID="w-1") as worker,
        ):
            worker.emit(1_000)
            receiver.wait_counted(EVENTS, 1_000)
            receiver.wait_counted(NUMBERS, sum(range(1_000)))
            hub.end(signal.SIGKILL)
            hub.start()
            worker.emit(250)
            receiver.wait_counted(EVENTS, 1_250)
            account = collector.wait_quiet().total
            hub.end(signal.SIGTERM)
            receiver.read()
    assert account.delivered == account.committed == 1_250
    assert account.unaccounted == 0
    tag = "#env:test,event:emitter.event"
    assert receiver.counted[EVENTS + tag] == 1_250 == receiver.total(EVENTS)
    assert receiver.total(NUMBERS) == sum(range(1_250))
    assert receiver.last["fleet.emitter.last#env:test,worker_id:w-1"] == 1_249
    assert max(map(len, receiver.datagrams)) <= 1_432


def test_a_server_that_comes_late(namespace: str, tmp_path: Path) -> None:
    """What it missed it is told, and at the end of the hub the rest; the hub's own
    metrics tell of both."""
    path = tmp_path / "dsd"
    config = CONFIG.format(address=f"unix:{path}", interval_s=1)
    with (
        MeteredHub(tmp_path, config) as hub,
        CollectorProcess(namespace, hub.address, tmp_path / "c"),
        Emitter(namespace) as worker,
    ):
        worker.emit(500)
        failures = "shmtel_bridge_failures_total"
        wait_until(lambda: total(hub.scrape(), failures, reason="absent") > 0, WAIT_S)
        assert total(hub.scrape(), SENT) == 0
        with Receiver(path) as receiver:
            receiver.wait_counted(EVENTS, 500)
            values = hub.scrape()
            worker.emit(100)
            events = "shmtel_events_total"
            wait_until(lambda: total(hub.scrape(), events) == 600, WAIT_S)
            hub.end(signal.SIGTERM)
            receiver.read()
    assert total(values, SENT, bridge="statsd", kind="lines") > 0
    assert by_label(values, "shmtel_bridge_items_dropped_total", "reason") == {}
    assert receiver.total(EVENTS) == 600


def test_what_the_command_line_says(tmp_path: Path) -> None:
    """A wrong address or file is refused, with its line and the cure."""
    config = tmp_path / "hub.toml"
    config.write_text('[statsd]\naddress = "localhost"\n')
    common = ("hub", "--state-dir", str(tmp_path), "--listen", f"unix:{tmp_path / 'h'}")
    refused = shmtel(*common, "--config", str(config))
    assert refused.returncode == 6
    assert f"{config}:2: statsd: `address` is HOST:PORT" in refused.stderr
    refused = shmtel(*common, "--statsd", "localhost")
    assert refused.returncode == 6
    assert "statsd: `address` is HOST:PORT" in refused.stderr
    refused = shmtel(*common, "--statsd-dialect", "statsd")
    assert refused.returncode == 2
    assert "--statsd-dialect needs --statsd ADDR" in refused.stderr
