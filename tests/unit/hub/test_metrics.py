"""The metrics of a hub, and what it says of itself when asked."""

import asyncio
import threading
from dataclasses import fields, replace
from pathlib import Path

import pytest

from shmtel.accounting.fleet import fleet_ledger
from shmtel.endpoints.readiness import Readiness
from shmtel.hub import watched
from shmtel.hub.counters import HubStats
from shmtel.hub.files.rotation import Rotation
from shmtel.hub.hub import Hub
from shmtel.hub.jsonlines import JsonLines
from shmtel.hub.ledger import Summary
from shmtel.hub.metrics import FAMILIES, samples_of
from shmtel.hub.readiness import LIMIT_S
from shmtel.hub.readiness import Readiness as HubReadiness
from shmtel.hub.watched import WatchedHub
from shmtel.wire.control import HostLedger, RingLedger
from shmtel.wire.frames import HostCounters, Worker, WorkerCounters
from support.event_files import batch
from support.http import samples, total

HOST = HostLedger(
    *("h", "node", "ns", True, 3_000_000_000),
    HostCounters({"link": 1}, {"names": 2}, 3, {19: 4}, 5, 6, {"full": 7}),
)
AWAY = HostLedger("i", "node", "ns", as_of_ns=1)  # of the same name
CLAIMS = WorkerCounters(9, dropped={"ring_full": 2})
RINGS = [
    RingLedger("h", Worker("w"), b"r" * 16, 4, {0: 4}, 6, 0, CLAIMS),
    RingLedger("i", Worker("w"), b"s" * 16, 1, {0: 1}, closed_reason="closed"),
]


def test_every_counter_of_the_hub_is_exposed() -> None:
    """A counter that is added to the hub is not forgotten here."""
    stats = HubStats(*range(1, len(fields(HubStats)) + 1))
    found = samples_of(stats, Summary((), fleet_ledger([], []), {}), {})
    of_hub = (f for f in FAMILIES if f.name.startswith("shmtel_hub_"))
    own = [family.name for family in of_hub if not family.labels]
    values = sorted(found.of(name)[()] for name in own)
    assert values == sorted(getattr(stats, field.name) for field in fields(stats))


def test_what_happened_to_files_is_exposed(tmp_path: Path) -> None:
    """By the sink that they belong to."""
    hub = Hub("127.0.0.1:0")
    path = tmp_path / "events.jsonl"
    with JsonLines(path, Rotation(max_bytes=1)) as sink:
        hub.attach_batch("lines", "*", sink)
        hub.attach("others", "*", print)
        sink(batch(1, 1))
        sink(batch(2, 2))
        text, _ = asyncio.run(WatchedHub(hub).metrics(""))
    name = 'shmtel_hub_file_changes_total{change="rotated",handler="lines"}'
    assert f"{name} 1.0" in text.decode()
    hub.stop()


def test_hosts_of_one_name_add_up() -> None:
    """Nodes and namespaces are labels, and no two hosts have to differ in them."""
    summary = Summary([HOST, AWAY], fleet_ledger([HOST, AWAY], RINGS), {})
    found = samples_of(HubStats(), summary, {"h": 10**9, "i": 10**8})
    place = ("node", "ns")
    assert found.of("shmtel_fleet_events_delivered_total") == {place: 5}
    assert found.of("shmtel_fleet_events_in_flight") == {place: 2}
    assert found.of("shmtel_fleet_events_dropped_total") == {(*place, "ring_full"): 2}
    assert found.of("shmtel_fleet_events_lost_total") == {(*place, "evicted"): 4}
    assert found.of("shmtel_fleet_ledger_unaccounted_events") == {place: 0}
    assert found.of("shmtel_fleet_host_connected") == {place: 1}
    assert found.of("shmtel_fleet_host_heard_timestamp_seconds") == {place: 3}
    assert found.of("shmtel_fleet_oldest_unanswered_seconds") == {place: 1}
    assert found.of("shmtel_fleet_rings") == {
        (*place, "live"): 1,
        (*place, "closed"): 1,
    }
    assert found.of("shmtel_fleet_rings_refused_total") == {(*place, "link"): 1}
    assert found.of("shmtel_fleet_rings_evicted_total") == {place: 3}
    assert found.of("shmtel_fleet_spool_bytes") == {place: 5}


def test_namespaces_of_one_machine_are_told_apart() -> None:
    """Each has a collector, and they come and go one by one."""
    other = replace(AWAY, namespace="other")
    summary = Summary(
        [HOST, other], fleet_ledger([HOST], RINGS[:1]), {("h", "closed"): 7}
    )
    found = samples_of(HubStats(), summary, {})
    assert found.of("shmtel_fleet_events_delivered_total") == {("node", "ns"): 4}
    assert found.of("shmtel_fleet_host_connected") == {
        ("node", "ns"): 1,
        ("node", "other"): 0,
    }
    assert found.of("shmtel_fleet_rings") == {
        ("node", "ns", "live"): 1,
        ("node", "ns", "closed"): 7,
    }


def test_a_hub_that_nobody_has_dialled() -> None:
    """It is ready, and its metrics are there, for whoever comes first."""
    with Hub("127.0.0.1:0") as hub:
        daemon = WatchedHub(hub)
        readiness = asyncio.run(daemon.readiness())
        assert readiness.is_ready
        assert "[ ]streams not required: 0" in readiness.text(is_verbose=True)
        body, _ = asyncio.run(daemon.metrics(""))
        found = samples(body.decode())
        assert total(found, "shmtel_hub_streams") == 0
        assert total(found, "shmtel_ready") == 1
        assert daemon.liveness().is_ready
    stopped, _ = asyncio.run(daemon.metrics(""))
    assert total(samples(stopped.decode()), "shmtel_ready") == 0


def test_probes_are_answered_during_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take seconds, and a probe that got no answer would end the hub."""
    hub = Hub("127.0.0.1:0")
    is_reading, may_go_on = threading.Event(), threading.Event()

    def read() -> list[object]:
        is_reading.set()
        assert may_go_on.wait(10.0)
        return []

    monkeypatch.setattr(hub.measures, "read", read)
    daemon = WatchedHub(hub)

    async def probe() -> None:
        scrape = asyncio.create_task(daemon.metrics(""))
        assert await asyncio.to_thread(is_reading.wait, 10.0)
        assert daemon.liveness().is_ready
        assert "serving" in (await daemon.readiness()).text(is_verbose=True)
        assert not scrape.done()
        may_go_on.set()
        body, _ = await scrape
        assert total(samples(body.decode()), "shmtel_hub_streams") == 0

    asyncio.run(probe())


@pytest.mark.parametrize(
    "now",
    [
        HubReadiness(True),
        HubReadiness(False),
        HubReadiness(True, failure="disk full"),
        HubReadiness(True, commit_failure="disk full"),
        HubReadiness(True, handler_id="slow", handler_s=6.0),
        HubReadiness(True, handler_id="quick", handler_s=0.1),
        HubReadiness(True, unanswered_node="node", unanswered_s=6.0),
    ],
)
def test_readiness_is_the_hubs_own(now: HubReadiness) -> None:
    """The endpoint says what `Hub.readiness()` says, and names what fails."""
    readiness = Readiness(watched._checks(now, 1))
    assert readiness.is_ready == now.is_ready
    for detail in (now.failure, now.commit_failure):
        assert (detail or "") in readiness.text()
    if now.handler_s > LIMIT_S:
        assert "'slow' at work for 6.0 s" in readiness.text()
