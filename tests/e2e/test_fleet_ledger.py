"""The ledger of a fleet: a host, its hub and the tools say the same."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.hostile_rings import RINGS, Forged
from support.processes import wait_until
from support.program import fresh_namespace, shmtel

WAIT_S = 30.0
FORGED = next(kind for kind in RINGS if kind.name == "forged threshold")
LAWS = (
    *("emitted", "committed", "dropped", "sampled_out", "filtered", "disabled"),
    *("delivered", "rejected", "sampled_out_by_collector", "filtered_by_collector"),
    *("disabled_by_collector", "lost", "spooled", "in_flight", "in_ring"),
    "unaccounted",
)


class Scene:
    """Workers of every fate, a collector, and its hub."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self.namespace = stack.enter_context(fresh_namespace())
        self._stack = stack
        self.noting = stack.enter_context(NotingHub())
        self.address = self.noting.hub.address
        self.noting.hub.update_filter("*", deny=["noise.*"])
        self.full = self._worker("full", SHMTEL_RING_SIZE="64KiB")
        self.full.emit(2_000)
        self.full.emit(10, "noise.of.the.backlog")
        self.sampled = self._worker("sampled", SHMTEL_SAMPLING_RATE="0.5")
        self.sampled.emit(500)
        self.sampled.emit(7, "noise.of.the.backlog")
        self.denied = self._worker("denied", SHMTEL_DENY="secret.*")
        self.denied.emit(20, "secret.word")
        self.denied.emit(30)
        self.killed = self._worker("killed")
        self.killed.emit(40)
        self.killed.kill()
        self.forged = Forged(self.namespace, FORGED)
        stack.callback(self.forged.ring.close)
        self.collector = stack.enter_context(
            CollectorProcess(self.namespace, self.address, directory)
        )
        self.forged.spoil()

    def _worker(self, worker_id: str, **variables: str) -> Emitter:
        worker = Emitter(self.namespace, SHMTEL_WORKER_ID=worker_id, **variables)
        return self._stack.enter_context(worker)

    def host(self) -> dict[str, Any]:
        """What the host's own ledger says."""
        place = ("--namespace", self.namespace, "--state-dir")
        return self._json(*place, str(self.collector.state_dir))

    def fleet(self, *options: str) -> dict[str, Any]:
        """What the hub's ledger says."""
        return self._json("--hub", self.address, *options)

    def _json(self, *options: str) -> dict[str, Any]:
        result = shmtel("ledger", "--json", *options)
        assert result.returncode == 0, result.stderr
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    def wait_until_told(self) -> dict[str, Any]:
        """Wait until nothing is under way and the hub has heard the last word."""

        def is_told() -> dict[str, Any] | None:
            fleet, host = self.fleet(), self.host()
            assert fleet["total"]["unaccounted"] == host["total"]["unaccounted"] == 0
            under_way = [host["total"][word] for word in ("in_ring", "in_flight")]
            is_equal = laws(fleet["total"]) == laws(host["total"])
            return fleet if is_equal and not any(under_way) else None

        try:
            told: dict[str, Any] = wait_until(is_told, WAIT_S)
        except TimeoutError as error:
            fleet, host = (laws(of()["total"]) for of in (self.fleet, self.host))
            raise TimeoutError(f"{fleet} differs from {host}") from error
        return told


def laws(account: dict[str, Any]) -> dict[str, Any]:
    """Return the words of both laws, without reasons that never happened."""
    return {
        word: {k: n for k, n in account[word].items() if n}
        if isinstance(account[word], dict)
        else account[word]
        for word in LAWS
    }


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One line for all that is looked at here."""
    with ExitStack() as stack:
        yield Scene(stack, tmp_path_factory.mktemp("scene"))


def test_host_and_fleet_say_the_same(scene: Scene) -> None:
    """Of live rings too: whatever was dropped, left out, rejected or has died."""
    total = scene.wait_until_told()["total"]
    assert total["dropped"]["ring_full"] > 0
    assert 0 < total["sampled_out"] < 507
    assert total["filtered"] == 20
    assert total["filtered_by_collector"] > 0
    assert total["rejected"] == {"bad_threshold": 1}
    assert total["delivered"] == scene.noting.count() - _of_the_hub(scene)
    scene.denied.emit(5)
    assert scene.wait_until_told()["total"]["committed"] == total["committed"] + 5


def _of_the_hub(scene: Scene) -> int:
    """Events that the hub emits itself are in no ring."""
    rings = {ring["ring_id"] for ring in scene.fleet()["rings"]}
    return sum(len(s) for ring, s in scene.noting.seqs.items() if ring not in rings)


def test_rings_and_hosts_add_up(scene: Scene) -> None:
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


def test_the_table_of_a_fleet(scene: Scene) -> None:
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
        (("--hub", "localhost:1", "--event", "a"), "counts nothing by event"),
        (("--hub", "localhost:1", "--by", "event"), "counts nothing by event"),
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


def test_a_host_that_is_gone_is_as_of_its_last_word(scene: Scene) -> None:
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
