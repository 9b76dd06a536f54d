"""Metrics of events over deaths of workers and hubs: exactly what was delivered."""

import signal
import threading
from functools import partial
from http.client import HTTPException
from pathlib import Path

from support.collector_process import CollectorProcess
from support.emitter import Emitter
from support.http import Values, by_label, total
from support.metered_hub import WAIT_S, MeteredHub
from support.processes import wait_until
from support.program import shmtel


def counted(values: Values) -> float:
    """How many events the default metrics know."""
    return total(values, "shmtel_events_total")


def wait_counted(hub: MeteredHub, events: int) -> Values:
    """Wait until so many events are told of."""
    found: list[Values] = []

    def is_there() -> bool:
        found[:] = [hub.scrape()]
        return counted(found[0]) >= events

    wait_until(is_there, WAIT_S)
    return found[0]


def test_counts_are_those_of_the_ledger(namespace: str, tmp_path: Path) -> None:
    """A worker is killed, and the hub between its handlers and its transaction; what
    was told is never taken back, and in the end all is counted once."""
    with (
        MeteredHub(tmp_path) as hub,
        CollectorProcess(namespace, hub.address, tmp_path / "c") as collector,
        Emitter(namespace, SHMTEL_WORKER_ID="w-1", SHMTEL_POOL_NAME="one") as doomed,
        Emitter(namespace, SHMTEL_WORKER_ID="w-2", SHMTEL_POOL_NAME="two") as worker,
    ):
        doomed.emit(1_000)
        doomed.kill()
        before = wait_counted(hub, 1_000)
        with hub.committing_nothing():
            worker.emit(500)
            wait_until(lambda: handed_out(hub) == 1_500, WAIT_S)
            assert counted(hub.scrape()) == counted(before) == 1_000
            hub.end(signal.SIGKILL)
            hub.start()
            assert counted(hub.scrape()) == 1_000
        worker.emit(250)
        wait_counted(hub, 1_750)
        account = collector.wait_quiet().total
        values = hub.scrape()
    assert account.delivered == account.committed == 1_750
    assert account.unaccounted == 0
    assert counted(values) == account.delivered
    assert total(values, "shmtel_fleet_events_delivered_total") == account.delivered
    assert by_label(values, "emitter_numbers_total", "pool_name") == {
        "one": sum(range(1_000)),
        "two": sum(range(750)),
    }
    # Of the dead one nothing is left but its counts, for a minute or retired.
    assert by_label(values, "emitter_last", "worker_id") == {"w-2": 749}
    by_worker = by_label(values, "emitter_by_worker_total", "worker_id")
    assert by_worker == {"w-1": 1_000, "w-2": 750}


class Watcher:
    """Reads the fleet's counters all the time, and notes each that falls or goes."""

    def __init__(self, hub: MeteredHub) -> None:
        self._hub = hub
        self._last: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.fallen: list[tuple[str, float, float]] = []
        self.scrapes = 0

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.005):
            try:
                values = self._hub.scrape()
            except (OSError, HTTPException):  # it has just been killed
                continue
            self.scrapes += 1
            for series, before in self._last.items():
                if (value := values.get(series, -1.0)) < before:
                    self.fallen.append((str(series), before, value))
            self._last |= {s: n for s, n in values.items() if _is_counter(s[0])}


def _is_counter(name: str) -> bool:
    return name.startswith("shmtel_fleet_") and name.endswith("_total")


def handed_out(hub: MeteredHub) -> float:
    """How many events its handlers got, on record or not."""
    return total(hub.scrape(), "shmtel_hub_events_delivered_total")


def _has_more(hub: MeteredHub, before: float) -> bool:
    return handed_out(hub) >= before + 50


def test_no_counter_of_the_fleet_falls(namespace: str, tmp_path: Path) -> None:
    """Over hubs that are killed, with events handed out and not on record, while
    workers drop, die and begin; a fall is a reset, and events without end in a rate."""
    with (
        MeteredHub(tmp_path) as hub,
        CollectorProcess(namespace, hub.address, tmp_path / "c") as collector,
        Emitter(namespace, SHMTEL_WORKER_ID="w-1") as doomed,
        Emitter(namespace, SHMTEL_WORKER_ID="w-2", SHMTEL_RING_SIZE="64KiB") as worker,
        Watcher(hub) as watcher,
    ):
        doomed.emit(100)
        worker.emit(20_000)  # more than its ring holds at once
        wait_counted(hub, 200)
        for _ in range(2):
            with hub.committing_nothing():
                worker.emit(50)
                before = handed_out(hub)
                worker.emit(50)
                wait_until(partial(_has_more, hub, before), WAIT_S)
                hub.end(signal.SIGKILL)
            if doomed.process.poll() is None:
                doomed.kill()
            worker.emit(20)
            hub.start()
        account = collector.wait_quiet().total
        wait_until(
            lambda: (
                total(hub.scrape(), "shmtel_fleet_events_delivered_total")
                == account.delivered
            ),
            WAIT_S,
        )
        values = hub.scrape()
    assert watcher.fallen == []
    assert watcher.scrapes > 20
    dropped = by_label(values, "shmtel_fleet_events_dropped_total", "reason")
    assert dropped == {"ring_full": account.dropped["ring_full"]}
    assert total(values, "shmtel_fleet_events_emitted_total") == account.emitted


def test_a_hub_without_them(tmp_path: Path) -> None:
    """`--metrics off` keeps none; a file that is wrong is refused with its line."""
    config = tmp_path / "hub.toml"
    config.write_text('[[metrics]]\nkind = "counter"\nevents = "x"\n')
    refused = shmtel(
        *("hub", "--config", str(config), "--metrics", "off"),
        *("--state-dir", str(tmp_path), "--listen", f"unix:{tmp_path / 'h'}"),
    )
    assert refused.returncode == 6
    assert f"{config}:3: metric 1: unknown key 'events'; did you mean" in refused.stderr
