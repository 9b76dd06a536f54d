"""Death is proven or not said: real processes, real locks."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from shmtel import _ring
from shmtel.liveness import ProcessWatch, Verdict
from shmtel.procfs import has_exited, start_time, this_host
from support.emitter import Emitter
from support.processes import wait_until

StartWorker = Callable[..., Emitter]


class Probe:
    """A worker with a ring, and the watch over it."""

    def __init__(self, worker: Emitter) -> None:
        worker.emit(1)
        self.worker = worker
        self.consumer = worker.consumer()
        self.watch = self.another_watch()

    def another_watch(self) -> ProcessWatch:
        """A watch that knows nothing yet, as after a restart of the collector."""
        return ProcessWatch(self.consumer.identity, this_host())

    def verdict(self, watch: ProcessWatch | None = None) -> Verdict:
        """Judge now."""
        watch = watch or self.watch
        is_closed = self.consumer.counters()["closed"]
        return watch.probe(self.consumer.fileno(), lambda: is_closed)


@pytest.fixture
def probe(start_worker: StartWorker) -> Iterator[Probe]:
    """A live worker under watch."""
    probe = Probe(start_worker())
    yield probe
    probe.watch.close()
    probe.consumer.close()


def test_running_worker_is_alive_and_pinned(probe: Probe) -> None:
    """While the lock is held the worker lives, and its process is held on to."""
    assert probe.verdict() is Verdict.ALIVE
    assert probe.watch.pidfd is not None
    assert not has_exited(probe.watch.pidfd)


def test_stopped_worker_is_alive(probe: Probe) -> None:
    """A worker under SIGSTOP is not dead, however long it stands still."""
    probe.worker.process.send_signal(signal.SIGSTOP)
    assert probe.verdict() is Verdict.ALIVE


def test_zombie_is_dead(probe: Probe) -> None:
    """A killed worker whose parent has not looked yet is dead."""
    assert probe.verdict() is Verdict.ALIVE
    probe.worker.process.kill()
    wait_until(lambda: probe.verdict() is Verdict.DEAD, seconds=5.0)
    assert probe.worker.process.returncode is None


def test_zombie_is_dead_for_a_new_collector(probe: Probe) -> None:
    """A collector that starts later needs no pidfd from before the death."""
    probe.worker.process.kill()
    watch = probe.another_watch()
    wait_until(lambda: probe.verdict(watch) is Verdict.DEAD, seconds=5.0)
    assert probe.worker.process.returncode is None


def test_buried_worker_is_dead(probe: Probe) -> None:
    """A pid that no longer exists in our own namespace is a death."""
    probe.worker.kill()
    assert probe.verdict() is Verdict.DEAD
    assert probe.verdict(probe.another_watch()) is Verdict.DEAD


def test_closed_ring_is_dead(probe: Probe) -> None:
    """A worker that left in good order says so in its ring."""
    probe.worker.leave()
    elsewhere = this_host()._replace(pid_namespace=1, boot_id=b"")
    watch = ProcessWatch(probe.consumer.identity, elsewhere)
    assert probe.verdict(watch) is Verdict.DEAD


def test_lost_lock_is_no_death(probe: Probe) -> None:
    """A live worker that lost its lock by closing descriptors is not called dead."""
    assert probe.verdict() is Verdict.ALIVE
    probe.worker.command("lose_lock")
    assert _ring.lock_holder(probe.consumer.fileno()) is None
    assert probe.verdict() is Verdict.UNPROVEN
    assert probe.verdict(probe.another_watch()) is Verdict.UNPROVEN


def test_reused_pid_is_a_death(probe: Probe) -> None:
    """A process of that pid that started at another time is not the worker."""
    probe.worker.command("lose_lock")
    identity = {**probe.consumer.identity, "start_time": 1}
    watch = ProcessWatch(identity, this_host())  # type: ignore[arg-type]
    assert probe.verdict(watch) is Verdict.DEAD


def test_foreign_pid_namespace_proves_nothing(probe: Probe) -> None:
    """Pids of another namespace are not looked up in ours."""
    probe.worker.kill()
    elsewhere = this_host()._replace(pid_namespace=1)
    watch = ProcessWatch(probe.consumer.identity, elsewhere)
    assert probe.verdict(watch) is Verdict.UNPROVEN


def test_another_boot_is_a_death(probe: Probe) -> None:
    """A ring from before the last boot has no worker."""
    probe.worker.command("lose_lock")
    other = this_host()._replace(boot_id=os.urandom(16), pid_namespace=1)
    watch = ProcessWatch(probe.consumer.identity, other)
    assert probe.verdict(watch) is Verdict.DEAD


@pytest.mark.parametrize("unknown", [b"", bytes(16)])
def test_unknown_boot_proves_nothing(probe: Probe, unknown: bytes) -> None:
    """Where the boot cannot be read it is not taken for another one."""
    probe.worker.command("lose_lock")
    other = this_host()._replace(boot_id=unknown, pid_namespace=1)
    watch = ProcessWatch(probe.consumer.identity, other)
    assert probe.verdict(watch) is Verdict.UNPROVEN


def test_holder_with_another_start_time_is_not_pinned(probe: Probe) -> None:
    """Where /proc disagrees with the ring, nothing is held on to."""
    identity = {**probe.consumer.identity, "start_time": 1}
    watch = ProcessWatch(identity, this_host())  # type: ignore[arg-type]
    assert probe.verdict(watch) is Verdict.ALIVE
    assert watch.pidfd is None


def test_start_time_of_nobody_is_not_known() -> None:
    """A fact that cannot be had is None."""
    assert start_time(2**22 + 1) is None
    assert start_time(os.getpid()) is not None
