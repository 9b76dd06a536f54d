"""A hub or a collector that hangs: noticed, bounded, and no burden to the workers.

All are processes of their own; frozen is SIGSTOP, wedged a handler that does not
return.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from support.collector_process import CollectorProcess
from support.emitter import Emitter
from support.hub_process import HubProcess
from support.processes import wait_until
from support.program import fresh_namespace

SILENT_S = 3.0  # three heartbeats: so long a hub may say nothing
NOTICED_S = 5.0
STOPPED_S = 2.0
GROWTH_MAX_BYTES = 16 << 20
EMITS = 2_000
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class _Line:
    hub: HubProcess
    collector: CollectorProcess
    worker: Emitter
    flood: Emitter

    def memory_bytes(self) -> list[int]:
        """Resident memory of collector and hub."""
        pids = (self.collector.pid, self.hub.pid)
        return [psutil.Process(pid).memory_info().rss for pid in pids]

    def time_emits(self) -> tuple[int, int]:
        """Median and 99th percentile of an emit, in the quietest of some rounds."""
        rounds = [self.worker.time_emits(EMITS) for _ in range(5)]
        medians, percentiles = zip(*rounds, strict=True)
        return min(medians), min(percentiles)

    def check_all_delivered(self) -> int:
        """Stop the flood, and see that all is delivered; return how many."""
        self.flood.kill()
        total = self.collector.wait_quiet().total
        assert (total.unaccounted, total.lost) == (0, {})
        assert total.delivered == total.committed
        return total.committed

    def check_all_delivered_once(self) -> None:
        """See that besides each event came once, and in order."""
        committed = self.check_all_delivered()
        assert sum(self.hub.check_each_once().values()) == committed


@pytest.fixture
def line(tmp_path: Path) -> Iterator[_Line]:
    """A line whose workers have been heard; one of them emits all the time."""
    with ExitStack() as stack:
        namespace = stack.enter_context(fresh_namespace())
        hub = stack.enter_context(HubProcess("127.0.0.1:0", tmp_path))
        collector = stack.enter_context(
            CollectorProcess(namespace, hub.address, tmp_path)
        )
        worker, flood = (stack.enter_context(Emitter(namespace)) for _ in range(2))
        worker.emit(100)
        flood.command("flood")
        wait_until(lambda: len({ring for ring, _, _ in hub.segments()}) == 2)
        yield _Line(hub, collector, worker, flood)


def _check_emits(before: tuple[int, int], after: tuple[int, int]) -> None:
    assert after[0] <= 3 * before[0] + 2_000, (before, after)
    assert after[1] <= 10 * before[1] + 100_000, (before, after)


def test_a_frozen_hub_is_noticed_and_nothing_is_lost(line: _Line) -> None:
    """Its stream is dropped within 5 s; once it goes on, all arrives, and once."""
    times, memory = line.time_emits(), line.memory_bytes()
    line.hub.freeze()
    began = time.monotonic()
    wait_until(lambda: "silent" in line.collector.log(), NOTICED_S)
    _check_emits(times, line.time_emits())
    wait_until(lambda: time.monotonic() > began + NOTICED_S)
    growths = [b - a for a, b in zip(memory, line.memory_bytes(), strict=True)]
    assert max(growths) < GROWTH_MAX_BYTES
    count = line.hub.count()
    line.hub.thaw()
    wait_until(lambda: line.hub.count() > count, PATIENCE_S)
    line.check_all_delivered_once()


def test_a_wedged_handler_keeps_its_stream(line: _Line) -> None:
    """Heartbeats go on, so the stream stays; workers and memory do not notice."""
    times, memory = line.time_emits(), line.memory_bytes()
    line.hub.wedge()
    began = time.monotonic()
    wait_until(lambda: time.monotonic() > began + SILENT_S + 1.0)
    _check_emits(times, line.time_emits())
    growths = [b - a for a, b in zip(memory, line.memory_bytes(), strict=True)]
    assert max(growths) < GROWTH_MAX_BYTES
    assert "WARNING" not in line.collector.log()
    count = line.hub.count()
    line.hub.release()
    wait_until(lambda: line.hub.count() > count, PATIENCE_S)
    line.check_all_delivered_once()


@pytest.mark.parametrize("hang", ["freeze", "wedge"])
@pytest.mark.parametrize("is_noticed", [False, True])
def test_a_collector_stops_in_time(line: _Line, hang: str, is_noticed: bool) -> None:
    """No hub that hangs keeps its collector from ending within 2 s."""
    getattr(line.hub, hang)()
    began = time.monotonic()
    seconds = SILENT_S + 0.5 if is_noticed else 0.5
    wait_until(lambda: time.monotonic() > began + seconds)
    code, seconds = line.collector.stop()
    assert code == 0
    assert seconds < STOPPED_S


def test_a_hub_with_a_wedged_handler_stops_in_time(line: _Line) -> None:
    """Its batch is not acknowledged; the next hub gets it again."""
    line.hub.wedge()
    count = line.hub.count()
    wait_until(lambda: line.hub.count() > count)
    assert line.hub.stop() < STOPPED_S
    line.hub.release()
    line.hub.start()
    line.check_all_delivered()


def test_a_hub_stops_in_time_for_a_frozen_collector(line: _Line) -> None:
    """It is told, waited for a moment, and left."""
    line.collector.send_signal(signal.SIGSTOP)
    assert line.hub.stop() < STOPPED_S
    line.collector.send_signal(signal.SIGCONT)
    line.hub.start()
    line.check_all_delivered()
