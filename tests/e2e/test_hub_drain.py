"""A real hub that stops under a real collector: in order, or in time."""

import signal
import time
from pathlib import Path

from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.hubs import WAIT_S, Seqs
from support.processes import wait_until

STOP_SECONDS = 2.0


def stop(hub: NotingHub) -> float:
    """Stop a hub; return the seconds that took."""
    began = time.monotonic()
    hub.hub.stop()
    return time.monotonic() - began


def test_a_collector_leaves_a_hub_that_stops_and_finds_the_next(
    namespace: str, tmp_path: Path
) -> None:
    """Nothing is unanswered when it leaves, and nothing comes twice."""
    address = f"unix:{tmp_path / 'hub.sock'}"
    with (
        Emitter(namespace) as worker,
        CollectorProcess(namespace, address, tmp_path) as collector,
    ):
        with NotingHub(address) as first:
            worker.emit(1000)
            wait_until(lambda: first.count() == 1000)
            assert stop(first) < STOP_SECONDS
        wait_until(lambda: "asks to be dialled again" in collector.log())
        assert collector.wait_quiet().total.delivered == 1000
        worker.emit(500)
        with NotingHub(address) as second:
            wait_until(lambda: second.count() == 500)
    assert "ended the stream" not in collector.log()


def test_a_frozen_collector_does_not_hold_up_the_stop(
    namespace: str, tmp_path: Path
) -> None:
    """It cannot leave, so it is cut off; what it holds goes to the next hub."""
    address = f"unix:{tmp_path / 'hub.sock'}"
    with (
        Emitter(namespace) as worker,
        CollectorProcess(namespace, address, tmp_path) as collector,
    ):
        with NotingHub(address) as hub:
            worker.emit(10)
            wait_until(lambda: hub.count() == 10)
            collector.wait_quiet()
            collector.send_signal(signal.SIGSTOP)
            try:
                assert stop(hub) < STOP_SECONDS
            finally:
                collector.send_signal(signal.SIGCONT)
        worker.emit(5)
        with NotingHub(address) as second:
            wait_until(lambda: second.count() == 5)
        assert collector.wait_quiet().total.unaccounted == 0


def test_a_wedged_handler_does_not_hold_up_the_stop(
    namespace: str, tmp_path: Path
) -> None:
    """Its batch stays without an answer, and goes to the next hub as well."""
    address = f"unix:{tmp_path / 'hub.sock'}"
    wedged = Seqs()
    with (
        Emitter(namespace) as worker,
        CollectorProcess(namespace, address, tmp_path) as collector,
    ):
        with NotingHub(address) as hub:
            hub.hub.attach_batch("wedged", "*", wedged)
            wedged.hold()
            worker.emit(10)
            assert wedged.entered.wait(WAIT_S)
            assert stop(hub) < STOP_SECONDS
            wedged.may_go_on.set()
        with NotingHub(address) as second:
            wait_until(lambda: second.count() == 10)
        assert collector.wait_quiet().total.delivered == 10
