"""From real workers through the real collector to a real hub."""

import os
import signal
from pathlib import Path

import pytest

from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.home import HOME
from support.processes import wait_until
from support.ring_builder import RingBuilder


def test_events_arrive_in_order(
    collector: CollectorProcess, hub: NotingHub, namespace: str
) -> None:
    """Every event of every worker arrives once, in the order of its emits."""
    with Emitter(namespace) as one, Emitter(namespace) as two:
        for _ in range(10):
            one.emit(100)
            two.emit(50)
        wait_until(lambda: hub.count() == 1500)
        assert sorted(map(len, hub.seqs.values())) == [500, 1000]
        assert all(seqs == sorted(set(seqs)) for seqs in hub.seqs.values())
        assert collector.wait_quiet().total.delivered == 1500


def test_last_events_of_a_killed_worker_arrive(
    collector: CollectorProcess, hub: NotingHub, namespace: str
) -> None:
    """SIGKILL loses nothing that was committed, and nothing is left behind."""
    with Emitter(namespace) as worker:
        worker.emit(1000)
        worker.process.kill()  # and nobody waits for it: it is a zombie
        wait_until(lambda: HOME.scan(namespace) == [])
        assert hub.count() == 1000
    ledger = collector.ledger()
    assert [ring.state for ring in ledger.rings] == ["vanished"]
    assert ledger.total.delivered == ledger.total.committed == 1000


def test_ring_of_a_worker_that_died_before_is_drained(
    hub: NotingHub, namespace: str, tmp_path: Path
) -> None:
    """A collector that starts late finds what dead workers left."""
    with Emitter(namespace) as worker:
        worker.emit(1000)
        worker.kill()
    with CollectorProcess(namespace, hub.hub.address, tmp_path):
        wait_until(lambda: hub.count() == 1000)
        wait_until(lambda: HOME.scan(namespace) == [])


def test_lost_lock_costs_a_ring_and_no_event(
    collector: CollectorProcess, hub: NotingHub, namespace: str
) -> None:
    """A live worker that lost the proof of its life goes on in a new ring."""
    with Emitter(namespace) as worker:
        worker.emit(10)
        first = worker.ring_id()
        worker.command("lose_lock")

        def has_moved() -> bool:
            worker.emit(1)
            return worker.ring_id() != first

        wait_until(has_moved)
        wait_until(lambda: HOME.scan(namespace) == [worker.ring_name()])
        emitted = int(worker.command("emitted"))
        wait_until(lambda: hub.count() == emitted)
        assert len(hub.seqs) == 2
        assert collector.wait_quiet().total.unaccounted == 0


def test_killed_collector_loses_nothing_and_repeats_nothing(
    collector: CollectorProcess, hub: NotingHub, namespace: str
) -> None:
    """Killed again and again under load, with a worker dying in between."""
    with Emitter(namespace) as one, Emitter(namespace) as two:
        for round_number in range(5):
            workers = [one, two] if round_number < 3 else [one]
            before = hub.count()
            while hub.count() == before:
                for worker in workers:
                    worker.emit(200)
            collector.kill()
            if round_number == 2:
                two.kill()
            one.emit(200)
            collector.start()
        one.leave()
        wait_until(lambda: HOME.scan(namespace) == [])
    ledger = collector.ledger()
    assert sorted(ring.state for ring in ledger.rings) == ["closed", "vanished"]
    assert ledger.total.unaccounted == 0
    assert ledger.total.delivered == ledger.total.committed == hub.count()
    for seqs in hub.seqs.values():
        assert seqs == list(range(1, len(seqs) + 1))


def test_damaged_ring_beside_good_ones(
    collector: CollectorProcess, hub: NotingHub, namespace: str
) -> None:
    """One ring that breaks is counted and logged; its neighbours do not notice."""
    with Emitter(namespace) as worker, RingBuilder(namespace=namespace) as bad:
        bad.hold_lock()
        bad.add_name("a.b")
        bad.append(0)
        bad.append_array(b"x" * 40, length=0xFFFFFFFF)
        worker.emit(1000)
        wait_until(lambda: hub.count() == 1001)
        os.ftruncate(bad.fd, 0)
        worker.emit(1000)
        wait_until(lambda: hub.count() == 2001)
        wait_until(lambda: "quarantined" in collector.log())
        assert collector.stop()[0] == 0


def test_events_wait_for_a_hub_that_is_away(namespace: str, tmp_path: Path) -> None:
    """Without a hub the ring holds; when it comes, or comes back, all is sent."""
    address = f"unix:{tmp_path}/hub.sock"
    with (
        Emitter(namespace) as worker,
        CollectorProcess(namespace, address, tmp_path) as collector,
    ):
        worker.emit(1000)
        wait_until(lambda: "hub" in collector.log())
        with NotingHub(address) as first:
            wait_until(lambda: first.count() == 1000)
            collector.wait_quiet()
        worker.emit(500)
        with NotingHub(address) as second:
            wait_until(lambda: second.count() == 500)
            total = collector.wait_quiet().total
    assert (total.delivered, total.unaccounted) == (1500, 0)
    assert collector.log().count("Traceback") == 0


def test_clean_stop_sends_the_last_events(
    collector: CollectorProcess, hub: NotingHub, namespace: str
) -> None:
    """What was emitted before SIGTERM is delivered, and the next one goes on."""
    with Emitter(namespace) as worker:
        worker.emit(10)
        wait_until(lambda: hub.count() == 10)
        worker.emit(2000)
        code, seconds = collector.stop()
        assert (code, hub.count()) == (0, 2010)
        assert seconds < 2.0
        worker.emit(5)
        collector.start()
        wait_until(lambda: hub.count() == 2015)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_clean_stop_leaves_no_lock(
    collector: CollectorProcess, hub: NotingHub, namespace: str, number: signal.Signals
) -> None:
    """After a clean end there is nothing of the collector in shared memory."""
    with Emitter(namespace) as worker:
        worker.emit(1)
        wait_until(lambda: hub.count() == 1)
    assert _is_locked(namespace)
    assert collector.stop(number)[0] == 0
    assert not _is_locked(namespace)


def _is_locked(namespace: str) -> bool:
    return os.path.exists(f"{HOME.directory}/shmtel.{namespace}.collector")
