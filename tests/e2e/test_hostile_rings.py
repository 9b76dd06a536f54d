"""Hostile and unlucky rings beside good workers, on a whole line of programs."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.hostile_rings import (
    EVENTS,
    QUARANTINED,
    REFUSED,
    REJECTED,
    RINGS,
    Forged,
    lay_no_rings,
    remove_no_rings,
)
from support.processes import wait_until
from support.program import fresh_namespace, shmtel

WAIT_S = 30.0


class Scene:
    """A collector, a hub, good workers, and what was put beside them."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self.namespace = stack.enter_context(fresh_namespace())
        self.hub = stack.enter_context(NotingHub())
        self.collector = stack.enter_context(
            CollectorProcess(self.namespace, self.hub.hub.address, directory)
        )
        self.good = [
            stack.enter_context(Emitter(self.namespace, SHMTEL_WORKER_ID=f"good-{n}"))
            for n in range(3)
        ]
        self.emit()
        self.forged: list[Forged] = []
        for kind in RINGS:
            forged = Forged(self.namespace, kind)
            stack.callback(forged.ring.close)
            self.forged.append(forged)
            self.emit()
        self.no_rings = lay_no_rings(self.namespace, self.good[0].ring_name())
        stack.callback(remove_no_rings, self.no_rings)
        for forged in self.forged:
            forged.spoil()
            self.emit()

    def emit(self) -> None:
        """Have each good worker emit some more."""
        for worker in self.good:
            worker.emit(40)

    def ledger(self) -> dict[str, Any]:
        """What a user is told by `shmtel ledger --json`."""
        result = self.shmtel("ledger", "--state-dir", str(self.collector.state_dir))
        return json.loads(result)  # type: ignore[no-any-return]

    def stat(self) -> dict[str, Any]:
        """What a user is told by `shmtel stat --json`."""
        return json.loads(self.shmtel("stat"))  # type: ignore[no-any-return]

    def shmtel(self, verb: str, *options: str) -> str:
        """Run a verb and return its data."""
        result = shmtel(verb, "--namespace", self.namespace, "--json", *options)
        assert result.returncode == 0, result.stderr
        return result.stdout


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One line for all that is looked at here."""
    with ExitStack() as stack:
        yield Scene(stack, tmp_path_factory.mktemp("line"))


def _expected(scene: Scene, word: str, seen: dict[str, int]) -> Counter[str]:
    """Count the reasons of a word; where two are right, the one that is seen."""
    reasons: Counter[str] = Counter()
    for kind in RINGS:
        if kind.word == word:
            reasons[next((r for r in kind.reasons if r in seen), kind.reasons[0])] += 1
    if word == REFUSED:
        reasons.update(scene.no_rings.values())
    return reasons


@pytest.mark.parametrize("word", [REFUSED, QUARANTINED])
def test_each_kind_is_counted_under_its_own_reason(scene: Scene, word: str) -> None:
    """The ledger holds every refused and quarantined ring, by reason, and no other."""

    def is_complete() -> bool:
        seen = scene.ledger()["refusals"][word]
        return sum(seen.values()) >= sum(_expected(scene, word, seen).values())

    wait_until(is_complete, WAIT_S)
    seen = scene.ledger()["refusals"][word]
    assert seen == dict(_expected(scene, word, seen))


def test_what_cannot_be_read_is_named(scene: Scene) -> None:
    """Ledger and stat name each segment that is no ring, with the reason."""
    refused = scene.ledger()["refused"]
    shown = {entry["segment"]: entry["reason"] for entry in scene.stat()["refused"]}
    for name, reason in scene.no_rings.items():
        assert refused[name] == reason
        assert shown[name]
    for forged in scene.forged:
        if forged.kind.word == REFUSED:
            assert refused[forged.ring.name] in forged.kind.reasons
            assert forged.ring.name in shown


def test_log_says_it_once_for_each(scene: Scene) -> None:
    """Each hostile ring has one line in the collector's log."""
    lines = scene.collector.log().splitlines()
    for forged in scene.forged:
        if forged.kind.word != REJECTED:
            assert len([line for line in lines if forged.ring.name in line]) == 1


def test_forged_threshold_is_rejected_by_reason(scene: Scene) -> None:
    """An event of a weight that was never in force is counted, not delivered."""

    def account() -> dict[str, Any] | None:
        for ring in scene.ledger()["rings"]:
            if ring["worker_id"] == "forged threshold" and ring["rejected"]:
                return ring  # type: ignore[no-any-return]
        return None

    ring = wait_until(account, WAIT_S)
    assert ring["rejected"] == {"bad_threshold": 1}
    assert ring["delivered"] == EVENTS


def test_good_events_before_the_damage_were_delivered(scene: Scene) -> None:
    """What a ring held in good order before it was spoilt has arrived, once."""
    for forged in scene.forged:
        is_spoilt_later = forged.kind.word != REFUSED and forged.kind.name != "no UTF-8"
        seqs = scene.hub.seqs.get(forged.ring.ring_id.hex(), [])
        assert seqs == (list(range(1, EVENTS + 1)) if is_spoilt_later else [])


def test_the_others_are_undisturbed(scene: Scene) -> None:
    """Good workers, and one that comes later: all delivered, once, in order."""
    with Emitter(scene.namespace, SHMTEL_WORKER_ID="good-late") as late:
        late.emit(100)
        scene.emit()
        workers = [*scene.good, late]
        rings = {w.ring_id().hex(): int(w.command("emitted")) for w in workers}

        def has_arrived() -> bool:
            return all(len(scene.hub.seqs[ring]) >= n for ring, n in rings.items())

        wait_until(has_arrived, WAIT_S)

        def balanced() -> list[dict[str, Any]] | None:
            accounts = [r for r in scene.ledger()["rings"] if r["ring_id"] in rings]
            is_settled = all(r["in_flight"] == r["in_ring"] == 0 for r in accounts)
            return accounts if is_settled else None

        accounts = wait_until(balanced, WAIT_S)
    assert {r["ring_id"]: r["delivered"] for r in accounts} == rings
    assert [r["unaccounted"] for r in accounts] == [0] * len(rings)
    for ring, emitted in rings.items():
        assert scene.hub.seqs[ring] == list(range(1, emitted + 1))


def test_the_collector_is_alive_and_ends_in_order(scene: Scene) -> None:
    """Nothing of it has ended the collector, which stops when it is told to."""
    code, _ = scene.collector.stop()
    assert code == 0
