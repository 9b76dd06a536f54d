"""The spool between real processes: the hub is away, and everything else dies."""

import threading
import time
from functools import partial
from pathlib import Path

from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.home import HOME
from support.processes import wait_until

_RING = {"SHMTEL_RING_SIZE": "64KiB"}
_EVENTS = 200
_UNSPOOLED = 800  # of 56 bytes: more than half a ring, and 200 less than a whole one


class _Spooling(CollectorProcess):
    """A collector that is told where to spool, by its configuration file."""

    def __init__(self, namespace: str, hub: str, directory: Path) -> None:
        self.spool_dir = directory / "spool"
        config = f'spool_dir = "{self.spool_dir}"\nspool_max = "64MiB"\n'
        super().__init__(namespace, hub, directory, config)

    def wait_spooled(self, events: int) -> None:
        """Wait until so many events have left shared memory for the spool."""
        wait_until(lambda: self.ledger().total.spooled >= events, 60.0)


def _emit_many(worker: Emitter, collector: _Spooling, rounds: int) -> int:
    """Emit many times what the ring holds, never faster than it is spooled."""
    before = collector.ledger().total.spooled
    for number in range(1, rounds + 1):
        worker.emit(_EVENTS)
        collector.wait_spooled(before + number * _EVENTS - _UNSPOOLED)
    return rounds * _EVENTS


def _has_grown(hub: NotingHub, count: int) -> bool:
    return hub.count() > count


def _assert_whole(hub: NotingHub) -> None:
    for seqs in hub.seqs.values():
        assert seqs == list(range(1, len(seqs) + 1))


def test_everything_dies_while_the_hub_is_away(namespace: str, tmp_path: Path) -> None:
    """A worker outgrows its ring, it and the collector are killed: all arrives once."""
    address = f"unix:{tmp_path}/hub.sock"
    with _Spooling(namespace, address, tmp_path / "c") as collector:
        with (
            Emitter(namespace, **_RING) as dying,
            Emitter(namespace, **_RING) as living,
        ):
            total = _emit_many(dying, collector, 40)
            dying.kill()
            collector.kill()
            living.emit(100)
            collector.start()
            wait_until(lambda: len(HOME.scan(namespace)) == 1, 60.0)
            collector.wait_spooled(total)
            collector.kill()
            collector.start()
            with NotingHub(address) as hub:
                wait_until(lambda: hub.count() == total + 100, 60.0)
                wait_until(lambda: collector.ledger().total.spooled == 0, 60.0)
                ledger = collector.wait_quiet()
                living.leave()
                wait_until(lambda: HOME.scan(namespace) == [], 60.0)
            _assert_whole(hub)
            assert sorted(map(len, hub.seqs.values())) == [100, total]
        assert ledger.total.unaccounted == 0
        assert ledger.total.delivered == ledger.total.committed == total + 100
        assert sum(ledger.total.dropped.values()) == 0
        assert "Traceback" not in collector.log()


def test_killed_while_it_gives_back(namespace: str, tmp_path: Path) -> None:
    """SIGKILL amid the delivery of the spool, again and again: each event once."""
    address = f"unix:{tmp_path}/hub.sock"
    with (
        Emitter(namespace, **_RING) as worker,
        _Spooling(namespace, address, tmp_path / "c") as collector,
    ):
        total = _emit_many(worker, collector, 60)
        with NotingHub(address) as hub:
            for _ in range(5):
                before = hub.count()
                wait_until(partial(_has_grown, hub, before), 60.0)
                collector.kill()
                worker.emit(50)
                collector.start()
            total += 250
            wait_until(lambda: hub.count() >= total, 60.0)
            wait_until(lambda: collector.ledger().total.spooled == 0, 60.0)
            account = collector.wait_quiet().total
        _assert_whole(hub)
        assert (account.delivered, account.unaccounted) == (total, 0)


def test_a_spool_that_was_destroyed_is_counted(namespace: str, tmp_path: Path) -> None:
    """The hub is told how many events are lost, and the next ones arrive."""
    address = f"unix:{tmp_path}/hub.sock"
    with (
        Emitter(namespace, **_RING) as worker,
        _Spooling(namespace, address, tmp_path / "c") as collector,
    ):
        with Emitter(namespace, **_RING) as dying:
            gone = _emit_many(dying, collector, 12)
            dying.kill()
        wait_until(lambda: len(HOME.scan(namespace)) == 0, 60.0)
        lost = _emit_many(worker, collector, 12)
        collector.kill()
        (path,) = collector.spool_dir.glob("*.sqlite3")
        path.write_bytes(b"not a database" * 1000)
        Path(f"{path}-wal").unlink()
        collector.start()
        with NotingHub(address) as hub:
            worker.emit(7)
            wait_until(lambda: hub.count() >= 7, 60.0)
            wait_until(lambda: collector.ledger().total.spooled == 0, 60.0)
            total = collector.wait_quiet().total
        assert total.unaccounted == 0
        assert total.lost["spool_damaged"] >= gone + lost - _UNSPOOLED
        assert total.delivered + total.lost["spool_damaged"] == gone + lost + 7
        assert collector.log().count("set aside") == 1
        assert list(collector.spool_dir.glob("*.damaged-1"))


def test_a_directory_that_is_none_keeps_no_collector_from_starting(
    namespace: str, tmp_path: Path
) -> None:
    """One warning names the cure; events are delivered as without a spool."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "spool").write_text("a file")
    with (
        NotingHub() as hub,
        Emitter(namespace) as worker,
        _Spooling(namespace, hub.hub.address, tmp_path / "c") as collector,
    ):
        worker.emit(100)
        wait_until(lambda: hub.count() == 100)
        assert collector.log().count("--spool-dir") == 1


def test_what_is_spooled_waits_for_a_collector_that_knows_where(
    namespace: str, tmp_path: Path
) -> None:
    """One that is started without a spool says so, and loses nothing of the dead."""
    address = f"unix:{tmp_path}/hub.sock"
    with _Spooling(namespace, address, tmp_path / "c") as collector:
        with Emitter(namespace, **_RING) as dying:
            total = _emit_many(dying, collector, 3)
            dying.kill()
        wait_until(lambda: HOME.scan(namespace) == [], 60.0)
        collector.kill()
        settings = collector.config.read_text()
        collector.config.write_text("")
        with NotingHub(address) as hub:
            collector.start()
            wait_until(lambda: "connected to hub" in collector.log(), 60.0)
            assert collector.log().count("--spool-dir") == 1
            assert collector.ledger().total.spooled == total
            collector.kill()
            collector.config.write_text(settings)
            collector.start()
            wait_until(lambda: hub.count() == total, 60.0)
        _assert_whole(hub)


def test_a_wedged_handler_is_relieved_by_the_spool(
    namespace: str, tmp_path: Path
) -> None:
    """The hub is there and answers nothing: no event is dropped, all arrive once."""
    with (
        NotingHub() as hub,
        Emitter(namespace, **_RING) as worker,
        _Spooling(namespace, hub.hub.address, tmp_path / "c") as collector,
    ):
        is_free = threading.Event()
        hub.hub.attach_batch("wedged", "*", lambda batch, config: is_free.wait(60.0))
        try:
            total = _emit_many(worker, collector, 20)
        finally:
            is_free.set()
        wait_until(lambda: hub.count() >= total, 60.0)
        wait_until(lambda: collector.ledger().total.spooled == 0, 60.0)
        account = collector.wait_quiet().total
        _assert_whole(hub)
    assert (account.delivered, account.unaccounted) == (total, 0)
    assert sum(account.dropped.values()) == 0


def test_a_hub_that_is_away_at_5000_events_per_second(
    namespace: str, tmp_path: Path
) -> None:
    """All that was committed is delivered afterwards, in order; memory is bounded."""
    address = f"unix:{tmp_path}/hub.sock"
    with (
        Emitter(namespace, SHMTEL_RING_SIZE="256KiB") as worker,
        _Spooling(namespace, address, tmp_path / "c") as collector,
    ):
        wait_until(lambda: "serving" in collector.log(), 30.0)
        before = collector.memory_bytes()
        started = time.monotonic()
        for number in range(1, 51):
            worker.emit(500)
            time.sleep(max(started + number * 0.1 - time.monotonic(), 0.0))
        with NotingHub(address) as hub:
            committed = collector.ledger().total.committed
            wait_until(lambda: hub.count() >= committed, 60.0)
            wait_until(lambda: collector.ledger().total.spooled == 0, 60.0)
            account = collector.wait_quiet().total
            _assert_whole(hub)
        assert account.delivered == account.committed == committed
        assert committed + sum(account.dropped.values()) == 25_000
        assert committed > 20_000  # the rest is what a stalled machine may cost
        assert account.unaccounted == 0
        assert collector.memory_bytes() - before < 64 << 20
