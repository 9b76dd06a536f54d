"""What a collector exposes: sums that never go back, fill, and its own state."""

import time
from collections.abc import Callable

import pytest

from shmtel.accounting.counts import Claims
from shmtel.endpoints.exposition import Samples
from shmtel.errors import SegmentError
from shmtel_collector.census import Census, CensusTaker, OwnEvents
from shmtel_collector.host_counts import HostCounts
from shmtel_collector.metrics import FAMILIES, samples_of
from support.emitter import Emitter
from support.home import HOME
from support.memory_line import SECOND_NS, MemoryLine

StartWorker = Callable[..., Emitter]
COUNTERS = [family.name for family in FAMILIES if family.kind == "counter"]


def _take(line: MemoryLine, namespace: str) -> Census:
    counts = HostCounts(line.fleet, line.state.tally, line.spool, HOME, namespace)
    return CensusTaker(
        *(namespace, 17, line.fleet, line.state.tally, counts),
        *(line.session.link, lambda: 4, line.validation.stripped),
        OwnEvents({"policy": 3}, {"owner": 2}),
    ).take()


def _samples(line: MemoryLine, namespace: str) -> Samples:
    return samples_of(_take(line, namespace))


def test_a_live_ring_counts(
    line: MemoryLine, namespace: str, start_worker: StartWorker
) -> None:
    """Under its service, and dropped events under its index as well."""
    worker = start_worker(SHMTEL_SERVICE_NAME="shop", SHMTEL_DENY="x")
    worker.emit(5)
    worker.emit(2, "x")
    line.connect()
    worker.emit(3)
    found = _samples(line, namespace)
    assert found.of("shmtel_events_emitted_total") == {("shop",): 10}
    assert found.of("shmtel_events_delivered_total") == {("shop",): 5}
    assert found.of("shmtel_events_filtered_total") == {("shop",): 2}
    assert found.of("shmtel_events_in_ring") == {("shop",): 3}
    assert found.of("shmtel_ledger_unaccounted_events") == {("shop",): 0}
    assert found.of("shmtel_workers") == {(namespace, "shop", "live"): 1}
    ((service, index, reason), *_) = found.of("shmtel_events_dropped_total")
    assert (service, reason) == ("shop", "ring_full")
    assert index == "0"
    ((key, used),) = found.of("shmtel_ring_used_bytes").items()
    assert key == ("shop", "0")
    assert 0 < used <= found.of("shmtel_ring_high_water_bytes")[key]


def test_what_the_collector_did_not_tell_is_counted(
    line: MemoryLine, namespace: str
) -> None:
    """Its own events that were too many, and workers that could not be measured."""
    found = _samples(line, namespace)
    assert found.of("shmtel_own_events_left_out_total") == {("policy",): 3}
    assert found.of("shmtel_resources_unavailable_total") == {("owner",): 2}


def test_no_counter_goes_back(
    line: MemoryLine, namespace: str, start_worker: StartWorker
) -> None:
    """Not when a ring goes, not when the collector is killed and started anew."""
    worker = start_worker(SHMTEL_SERVICE_NAME="shop", SHMTEL_RING_SIZE="64KiB")
    worker.emit(3_000)
    line.connect()
    seen = [_samples(line, namespace)]
    worker.kill()
    line.step(SECOND_NS)
    assert not line.fleet.rings
    seen.append(_samples(line, namespace))
    line.crash()
    seen.append(_samples(line, namespace))
    start_worker(SHMTEL_SERVICE_NAME="shop").emit(1)
    line.connect()
    seen.append(_samples(line, namespace))
    for name in COUNTERS:
        if name == "shmtel_hub_reconnects_total":  # since the start, as it says
            continue
        for key, value in seen[0].of(name).items():
            values = [found.of(name)[key] for found in seen]
            assert values == sorted(values), (name, key, value)
    assert seen[-1].of("shmtel_rings_reaped_total") == {("vanished",): 1}


def test_a_ring_that_stays_after_it_was_written_down_counts_once(
    line: MemoryLine,
    namespace: str,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A collector killed between writing and removing meets it again."""

    def fail(_name: str) -> None:
        raise SegmentError("it stays")

    worker = start_worker()
    worker.emit(5)
    line.connect()
    monkeypatch.setattr(line.fleet._discovery, "remove", fail)
    worker.kill()
    line.step(SECOND_NS)
    for _ in range(2):
        assert line.fleet.rings
        (account,) = _take(line, namespace).accounts().values()
        assert account.delivered == 5
        line.crash()
        line.step()


def test_the_stream_and_the_epoch(line: MemoryLine, namespace: str) -> None:
    """Whether there is a hub, how often there was one, and what is in force."""
    found = _samples(line, namespace)
    assert found.of("shmtel_hub_connected") == {(): 0}
    line.connect()
    line.cut()
    line.connect()
    found = _samples(line, namespace)
    assert found.of("shmtel_hub_connected") == {(): 1}
    assert found.of("shmtel_hub_reconnects_total") == {(): 1}
    assert found.of("shmtel_control_generation") == {(): 4}
    assert found.of("shmtel_oldest_unacked_seconds") == {(): 0}
    assert found.of("shmtel_collector_epoch_seconds") == {(): 17e-9}


def test_a_damaged_ring_cannot_claim_anything(
    line: MemoryLine,
    namespace: str,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its claims count as far as its bytes could hold that many events."""
    worker = start_worker(SHMTEL_SERVICE_NAME="shop")
    worker.emit(5)
    line.connect()
    (ring,) = line.fleet.rings.values()
    monkeypatch.setattr(ring.source, "claims", lambda: Claims(committed=1 << 60))
    ring.source.spoil("record")
    found = _samples(line, namespace)
    assert found.of("shmtel_workers") == {(namespace, "shop", "quarantined"): 1}
    assert found.of("shmtel_events_committed_total") == {("shop",): 5}


def test_many_rings_are_counted_in_time(
    line: MemoryLine, namespace: str, start_worker: StartWorker
) -> None:
    """The collector's loop is held up for milliseconds, whoever scrapes."""
    for _ in range(8):
        start_worker().emit(1)
    line.connect()
    started = time.perf_counter()
    for _ in range(32):  # as much work as 256 rings at once
        _take(line, namespace)
    assert time.perf_counter() - started < 5.0
