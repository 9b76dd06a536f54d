"""The ledger of a fleet: a host, its hub and the tools say the same."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from shmtel_collector.journal import WORKER_ID
from support.fleet_scene import LAWS, WAIT_S, FleetScene, laws
from support.http import by_label, document, get, scrape, total
from support.processes import wait_until
from support.program import fresh_namespace, shmtel


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetScene]:
    """One line for all that is looked at here."""
    with ExitStack() as stack:
        namespace = stack.enter_context(fresh_namespace())
        yield FleetScene(stack, namespace, tmp_path_factory.mktemp("scene"))


def test_host_and_fleet_say_the_same(scene: FleetScene) -> None:
    """Of live rings too: whatever was dropped, left out, rejected or has died."""
    total = scene.wait_until_told()["total"]
    assert total["dropped"]["ring_full"] > 0
    assert 0 < total["sampled_out"] < 507
    assert total["filtered"] == 20
    assert total["filtered_by_collector"] > 0
    assert total["rejected"] == {"bad_threshold": 1}
    told, seqs = _delivered(scene), scene.noting.seqs
    assert told == {ring: len(seqs[ring]) for ring in told}
    (own,) = seqs.keys() - told.keys()
    assert len(seqs[own]) == 1  # the hub's own event, of the policy, is in no ring
    scene.denied.emit(5)
    assert scene.wait_until_told()["total"]["committed"] == total["committed"] + 5


def _delivered(scene: FleetScene) -> dict[str, int]:
    """How many events of each worker's ring the fleet's ledger has, if any."""
    rings = scene.fleet()["rings"]
    workers = [ring for ring in rings if ring["worker_id"] != WORKER_ID]
    return {ring["ring_id"]: n for ring in workers if (n := ring["delivered"])}


def test_rings_and_hosts_add_up(scene: FleetScene) -> None:
    """Each host is the sum of its rings, and each ring is found under its worker."""
    fleet = scene.wait_until_told()
    (host,) = fleet["hosts"]
    assert laws(host) == laws(fleet["total"])
    assert host["connected"]
    assert host["namespace"] == scene.namespace
    by_worker = {ring["worker_id"]: ring for ring in fleet["rings"]}
    assert by_worker["denied"]["state"] == "live"
    assert by_worker["killed"]["state"] == "vanished"
    assert by_worker["killed"]["delivered"] == 40
    part = scene.fleet("--worker", "killed")
    assert [ring["worker_id"] for ring in part["rings"]] == ["killed"]
    assert part["total"]["committed"] == 40
    assert scene.fleet("--node", "nowhere")["hosts"] == []


def test_metrics_say_what_the_ledgers_say(scene: FleetScene) -> None:
    """Of host and hub alike, word by word and reason by reason."""
    account = scene.wait_until_told()["total"]
    places = (
        ("shmtel", scrape(scene.collector_url())),
        ("shmtel_fleet", scrape(scene.hub_url)),
    )
    for prefix, values in places:
        for word in LAWS[:-1]:
            kind = "" if word in ("spooled", "in_flight", "in_ring") else "_total"
            name = f"{prefix}_events_{word}{kind}"
            expected = laws(account)[word]
            if isinstance(expected, dict):
                assert by_label(values, name, "reason") == expected, name
            else:
                assert total(values, name) == expected, name
        assert total(values, f"{prefix}_ledger_unaccounted_events") == 0


def test_the_api_says_what_the_ledger_says(scene: FleetScene) -> None:
    """In all, by worker and by event name, of what workers really emitted."""
    fleet = scene.wait_until_told()
    api = f"{scene.hub_url}/api/v1"
    told = document(f"{api}/ledger")
    assert {told.pop(key) for key in ("matched", "next")} == {len(fleet["rings"]), None}
    for ledger in (told, fleet):
        ledger["rings"].sort(key=lambda ring: ring["ring_id"])
        ledger["hosts"][0].pop("as_of_ns")  # it has been heard of meanwhile
    assert told == fleet
    workers = {row["worker_id"]: row for row in document(f"{api}/workers")["workers"]}
    assert workers["killed"]["state"] == "vanished"
    assert workers["sampled"]["sampled_out"] > 0
    assert (
        sum(row["delivered"] for row in workers.values()) == told["total"]["delivered"]
    )
    events = document(f"{api}/events")
    by_name = {row["event"]: row for row in events["events"]}
    delivered = sum(row["delivered"] for row in by_name.values())
    assert delivered + events["unread"] == told["total"]["delivered"]
    noise = by_name["noise.of.the.backlog"]
    assert noise["filtered_by_collector"] == told["total"]["filtered_by_collector"]
    assert sum(row["rejected"].get("bad_threshold", 0) for row in by_name.values()) == 1


def test_metrics_of_workers(scene: FleetScene) -> None:
    """Whose ring was full is told, and how many rings went, and why."""
    scene.wait_until_told()
    values = scrape(scene.collector_url())
    dropped = by_label(values, "shmtel_events_dropped_total", "worker")
    assert len(dropped) == 1
    assert total(values, "shmtel_workers", state="live") == 4
    assert total(values, "shmtel_rings_reaped_total", reason="vanished") == 1
    assert total(values, "shmtel_hub_connected") == 1


def test_the_line_is_ready(scene: FleetScene) -> None:
    """Both ends live, and are ready, and say of what."""
    for url, words in (
        (scene.collector_url(), ("pass", "state", "hub")),
        (scene.hub_url, ("sinks", "streams")),
    ):
        assert get(f"{url}/livez").status == 200
        answer = get(f"{url}/readyz?verbose")
        assert answer.status == 200, answer.text
        assert all(f"[+]{word} ok" in answer.text for word in words)


def test_the_table_of_a_fleet(scene: FleetScene) -> None:
    """A line per ring, host or reason, and both laws."""
    scene.wait_until_told()
    result = shmtel("ledger", "--hub", scene.address, "--assert")
    assert result.returncode == 0, result.stderr
    header, *rows = (line.split() for line in result.stdout.splitlines())
    assert header[:4] == ["NODE", "WORKER", "PID", "STATE"]
    assert {"full", "sampled", "denied", "killed"} <= {row[1] for row in rows if row}
    assert rows[-1] == ["unaccounted", "0"]
    by_node = shmtel("ledger", "--hub", scene.address, "--by", "node").stdout
    assert by_node.splitlines()[1].split()[1] == "yes"
    by_reason = shmtel("ledger", "--hub", scene.address, "--by", "reason").stdout
    facts = [line.split() for line in by_reason.splitlines()]
    assert ["rejected", "bad_threshold", "1"] in facts


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--hub", "localhost:1", "--event", "a"), "has no accounts by event"),
        (("--hub", "localhost:1", "--by", "event"), "has no accounts by event"),
        (("--hub", "localhost:1", "--namespace", "n"), "leave out --namespace"),
        (("--by", "node"), "need --hub"),
        (("--node", "n"), "need --hub"),
    ],
)
def test_what_a_hub_or_a_host_cannot_say(options: tuple[str, ...], text: str) -> None:
    """A question to the wrong side is a usage error that names the way out."""
    result = shmtel("ledger", *options)
    assert result.returncode == 2
    assert text in result.stderr


def test_a_host_that_is_gone_is_as_of_its_last_word(scene: FleetScene) -> None:
    """Its numbers stay and still balance, and people are told how old they are."""
    before = scene.wait_until_told()
    assert scene.collector.stop()[0] == 0

    def is_noticed() -> dict[str, Any] | None:
        fleet = scene.fleet()
        return None if fleet["hosts"][0]["connected"] else fleet

    fleet = wait_until(is_noticed, WAIT_S)
    assert laws(fleet["total"]) == laws(before["total"])
    assert fleet["hosts"][0]["as_of_ns"] >= before["hosts"][0]["as_of_ns"]
    result = shmtel("ledger", "--hub", scene.address, "--assert")
    assert result.returncode == 0
    assert "is not connected; its numbers are of 20" in result.stderr
