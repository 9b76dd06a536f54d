"""What a hub tells as JSON, of a host that really is connected."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shmtel.endpoints.application import ANSWERS_MAX
from shmtel.endpoints.server import HttpServer
from shmtel.hub.insight import Insight, KnownRing
from shmtel.hub.watched import WatchedHub
from shmtel.wire.frames import Outcome, RingClosed, Worker, WorkerCounters
from support.http import ask, document, get, problem
from support.hubs import running_hub
from support.uplink import connected, make_segment

NASTY = "w\x1b[2J\n"
ACCOUNT = {
    *("emitted", "committed", "dropped", "sampled_out", "filtered", "disabled"),
    *("delivered", "rejected", "sampled_out_by_collector", "filtered_by_collector"),
    *("disabled_by_collector", "lost", "spooled", "in_flight", "in_ring"),
    "unaccounted",
}


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    """Serve a hub with two live workers, one of them with a hostile name, and a dead.

    The first has had two rings.
    """
    with running_hub() as hub:
        hub.attach("h", "a.b", lambda *_: None)
        endpoints = HttpServer(WatchedHub(hub), "127.0.0.1", 0)
        url = f"{endpoints.open()}/api/v1"
        hub.toggle("batch-*", False)
        with connected(hub.address) as collector:
            worker = Worker("w-1", "web", "shop", 42, python="3.11", worker_index=0)
            first = collector.open(b"1" * 16, worker=worker)
            again = collector.open(b"2" * 16, worker=worker)
            other = collector.open(b"3" * 16, worker=Worker(NASTY, "batch", pid=43))
            dead = collector.open(b"4" * 16, names=["x"], worker=Worker("w-4", pid=44))
            lost = {Outcome.LOST_OVERWRITTEN: 2}
            number = collector.send(
                make_segment(0, 3, first, counts=lost),
                make_segment(0, 4, again),
                make_segment(0, 1, other),
                make_segment(0, 2, dead),
                closed=[
                    RingClosed(first, 3, "closed", WorkerCounters(3)),
                    RingClosed(dead, 2, "vanished", WorkerCounters(2, 1)),
                ],
            )
            collector.wait_acked(number)
            yield url
        endpoints.close()


def test_the_index_names_every_resource(api: str) -> None:
    """And each of them answers."""
    paths = [resource["path"] for resource in document(api)["resources"]]
    names = [path.removeprefix("/api/v1/") for path in paths]
    assert names == ["workers", "rings", "events", "ledger", "policy"]
    assert all(document(f"{api}/{name}")["schema"] for name in names)


def test_workers(api: str) -> None:
    """A process is a row, whatever rings it has had, in a state that is its newest."""
    found = document(f"{api}/workers")
    assert (found["matched"], found["next"]) == (3, None)
    rows = {row["worker_id"]: row for row in found["workers"]}
    assert rows.keys() == {"w-1", NASTY, "w-4"}
    first = rows["w-1"]
    assert (first["state"], first["rings"], first["connected"]) == ("live", 2, True)
    assert (first["node"], first["service"], first["pid"]) == (
        *("node-of-host-1", "shop", 42),
    )
    assert (first["python"], first["worker_index"]) == ("3.11", 0)
    assert first["committed"] == 7
    assert first["delivered"] == 5
    assert first["lost"] == {"overwritten": 2}
    assert first["last_seen_ns"] > 0
    assert rows["w-4"]["state"] == "vanished"
    assert rows["w-4"]["sampled_out"] == 1
    assert all(
        row.keys() >= ACCOUNT and not row["unaccounted"] for row in rows.values()
    )


def test_workers_that_match(api: str) -> None:
    """Globs go over what a row says; a page holds as many as asked for."""

    def ids(query: str) -> list[str]:
        rows = document(f"{api}/workers?{query}")["workers"]
        return [row["worker_id"] for row in rows]

    assert ids("worker=w-*") == ["w-1", "w-4"]
    assert ids("pool=web&service=shop&node=node*&state=live") == ["w-1"]
    assert ids("node=elsewhere") == []
    assert problem(f"{api}/workers?event=a")["status"] == 400


def test_rings_page_by_page(api: str) -> None:
    """Each once; and a page says how many there are in all."""
    rows: list[dict[str, Any]] = []
    query = ""
    for _ in range(4):
        found = document(f"{api}/rings?limit=1{query}")
        assert found["matched"] == 4
        rows += found["rings"]
        query = f"&after={found['next']}"
    assert found["next"] is None
    assert {row["ring_id"][:2] for row in rows} == {"31", "32", "33", "34"}
    by_id = {row["ring_id"][:2]: row for row in rows}
    assert by_id["31"]["state"] == "closed"
    assert by_id["32"] | {"last_seq": 4, "delivered": 4, "state": "live"} == by_id["32"]


def test_events(api: str) -> None:
    """By name what somebody wants; what nobody wants is counted all the same."""
    found = document(f"{api}/events")
    rows = {row["event"]: row for row in found["events"]}
    assert found["unread"] == 2
    assert found["since_ns"] > 0
    assert rows["a.b"]["delivered"] == 1 + 4 + 1
    assert rows["a.b"]["lost"] == {"overwritten": 2}
    assert document(f"{api}/events?event=x*")["events"] == []
    assert rows["a.b"]["per_second"] <= 6 / found["window_s"]


def test_the_ledger(api: str) -> None:
    """The whole of it beside a page of its rings; a filter sums up what it shows."""
    found = document(f"{api}/ledger?limit=1")
    assert found["schema"] == "shmtel/ledger/v1"
    assert found["matched"] == 4
    assert len(found["rings"]) == 1
    assert found["total"]["committed"] == 10
    assert found["total"]["unaccounted"] == 0
    assert found["hosts"][0]["node"] == "node-of-host-1"
    part = document(f"{api}/ledger?worker=w-4")
    assert part["total"]["committed"] == 2
    assert document(f"{api}/ledger?node=elsewhere")["hosts"] == []


def test_the_policy(api: str) -> None:
    """The rules, and a report for each host that is connected."""
    found = document(f"{api}/policy")
    assert found["schema"] == "shmtel/ctl/policy/v1"
    assert found["version"] == 1
    assert found["layers"][0]["rules"][0]["worker"] == "batch-*"
    assert [host["node"] for host in found["hosts"]] == ["node-of-host-1"]
    assert document(f"{api}/policy?node=elsewhere")["hosts"] == []


RINGS = 500
WAIT_S = 20.0


class Gate:
    """Holds whoever has read the rings, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held = threading.Semaphore(0)
        self.is_open = threading.Event()
        read = Insight.rings

        def rings(insight: Insight) -> list[KnownRing]:
            found = read(insight)
            self.held.release()
            assert self.is_open.wait(WAIT_S / 4), "it was not opened"
            return found

        monkeypatch.setattr(Insight, "rings", rings)


def test_many_rings_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes and scrapes are answered meanwhile, and one question too many at once."""
    with running_hub() as hub, ThreadPoolExecutor(ANSWERS_MAX) as askers:
        endpoints = HttpServer(WatchedHub(hub), "127.0.0.1", 0)
        url = endpoints.open()
        rings = f"{url}/api/v1/rings?limit={RINGS}"
        with connected(hub.address) as collector:
            for number in range(RINGS):
                collector.announce(number.to_bytes(16, "big"))
            collector.wait_for(lambda: len(collector.events) > RINGS)
            gate = Gate(monkeypatch)
            answers = [askers.submit(document, rings) for _ in range(ANSWERS_MAX)]
            for _ in answers:
                assert gate.held.acquire(timeout=WAIT_S)
            assert get(f"{url}/livez").status == 200
            assert get(f"{url}/readyz").status == 200
            assert get(f"{url}/metrics").status == 200
            assert not any(answer.done() for answer in answers)
            for path in ("rings", "workers", "policy"):
                assert problem(f"{url}/api/v1/{path}")["status"] == 503
            assert ask(rings)[1]["retry-after"] == "1"
            gate.is_open.set()
            for answer in answers:
                ids = [ring["ring_id"] for ring in answer.result(WAIT_S)["rings"]]
                assert ids == [f"{number:032x}" for number in range(RINGS)]
            assert document(rings)["matched"] == RINGS
        endpoints.close()
