"""Policies, overlays and deadlines: what is in force, kept and answered."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from shmtel import _ring
from shmtel.config import threshold_of
from shmtel.policy.model import (
    FLEET,
    GUARD,
    Action,
    Filter,
    Layer,
    Policy,
    PolicyStatus,
    Rejection,
    Rule,
    Sampling,
    Selector,
    Toggle,
)
from shmtel.policy.rules import PolicyError
from shmtel.wire.control import (
    ChangeRequest,
    RemoveRule,
    ReplaceRules,
    SetRule,
    SetRules,
)
from shmtel_collector.guard import Guard
from shmtel_collector.regime import REMOTE_CONTROL_OFF
from support.emitter import Emitter
from support.memory_line import SECOND_NS, MemoryLine

StartWorker = Callable[..., Emitter]
HOUR_NS = 3600 * SECOND_NS
HALF, TENTH = threshold_of(0.5), threshold_of(0.1)


def _rule(action: Action, expires_ns: int = 0, worker: str = "*") -> Rule:
    return Rule(Selector(worker), action, expires_ns)


def _push(line: MemoryLine, policy: Policy) -> PolicyStatus:
    line.hub.push(policy)
    line.exchange()
    line.exchange()
    return line.hub.statuses[-1]


class Seen:
    """A live worker, and what the zones of its ring say."""

    def __init__(self, line: MemoryLine, worker: Emitter) -> None:
        self.worker = worker
        self.ring_id = worker.ring_id()
        self._line = line

    def _observe(self) -> "_ring.Observation":
        return _ring.observe(self._line.fleet.rings[self.ring_id].source.fileno())

    def default(self) -> int:
        """Return the default word."""
        return self._observe()["control"]["default_word"]

    def enabled(self) -> int:
        """Return whether the ring is on."""
        return self._observe()["control"]["enabled"]

    def words(self) -> list[int]:
        """Return the words of its names, by event id."""
        return [event["word"] for event in self._observe()["events"]]


@pytest.fixture
def seen(line: MemoryLine, start_worker: StartWorker) -> Seen:
    """A worker that has emitted an event."""
    worker = start_worker(
        SHMTEL_WORKER_ID="w", SHMTEL_POOL_NAME="p", SHMTEL_SERVICE_NAME="s"
    )
    worker.emit(1, "a.b")
    return Seen(line, worker)


def test_policy_is_answered_per_worker(line: MemoryLine, seen: Seen) -> None:
    """The answer names the version, what is in force, and every worker."""
    line.connect()
    assert line.hub.statuses == [PolicyStatus(workers=line.hub.statuses[0].workers)]
    status = _push(line, Policy(3, (_rule(Sampling(0.5)),), "store"))
    assert status.key == ("store", 3)
    assert (status.in_force_origin, status.in_force_version) == ("store", 3)
    assert status.rejection is None
    ((ring_id, traits, failure),) = [
        (result.ring_id, result.traits, result.failure) for result in status.workers
    ]
    assert (ring_id, failure) == (seen.ring_id, "")
    assert (traits.worker, traits.pool, traits.service) == ("w", "p", "s")


def test_refused_policy_leaves_the_last_good_one(line: MemoryLine, seen: Seen) -> None:
    """The answer names rule and reason; a good one that follows is in force."""
    line.connect()
    _push(line, Policy(1, (_rule(Sampling(0.5)),), "store"))
    bad = Policy(2, (_rule(Sampling(0.1)), _rule(Sampling(7.0))), "store")
    status = _push(line, bad)
    assert status.key == ("store", 2)
    assert status.rejection == Rejection(
        2, "a sampling rate is between 0 and 1, not 7.0"
    )
    assert status.in_force_version == 1
    assert seen.default() == HALF
    assert _push(line, bad) == status  # answered again, not judged again
    assert line.journal.names() == ["policy.applied", "policy.rejected"]
    line.cut()
    line.connect()
    assert line.hub.hello is not None
    assert (line.hub.hello.rejected_origin, line.hub.hello.rejected_version) == (
        "store",
        2,
    )
    assert _push(line, Policy(3, (_rule(Sampling(0.1)),), "store")).rejection is None
    assert seen.default() == TENTH


def test_hub_without_a_policy_changes_nothing(line: MemoryLine, seen: Seen) -> None:
    """Version 0 says that there is nothing to say, not that all rules are gone."""
    line.connect()
    _push(line, Policy(4, (_rule(Sampling(0.5)),), "store"))
    assert _push(line, Policy(0)).key == ("store", 4)
    assert seen.default() == HALF


def test_restart_keeps_what_was_in_force(line: MemoryLine, seen: Seen) -> None:
    """Policy, overlay and refusal are there again, with no hub to ask."""
    line.connect()
    _push(line, Policy(1, (_rule(Sampling(0.5)),), "store"))
    _push(line, Policy(2, (_rule(Sampling(7.0)),), "store"))
    line.steering.change_overlay(
        ChangeRequest(SetRule(_rule(Filter((), ("x.*",)))), overlay="night")
    )
    before = line.steering.status()
    line.crash()
    seen.worker.emit(1, "x.y")
    line.step(SECOND_NS)
    assert seen.words() == [HALF, _ring.WORD_DENIED]
    assert line.steering.status() == before
    line.connect()
    hello = line.hub.hello
    assert hello is not None
    assert (hello.policy_origin, hello.policy_version) == ("store", 1)
    assert hello.rejected_version == 2


def test_deadline_is_by_the_clock_of_this_host(line: MemoryLine, seen: Seen) -> None:
    """A rule lives for as long as its hub meant, however wrong its clock is."""
    line.connect()
    sent_ns = 999 * HOUR_NS
    rules = (_rule(Sampling(0.5)), _rule(Sampling(0.1), sent_ns + HOUR_NS))
    _push(line, Policy(1, rules, "store", sent_ns))
    assert seen.default() == TENTH
    line.step(HOUR_NS - 1)
    assert seen.default() == TENTH
    line.step(1)
    assert seen.default() == HALF


@pytest.mark.parametrize("restarts", [False, True])
def test_deadline_passes_without_a_hub(
    line: MemoryLine, seen: Seen, restarts: bool
) -> None:
    """Rules of the fleet and of an overlay end by themselves, restart or not."""
    line.connect()
    deadline_ns = line.now_ns + HOUR_NS
    _push(line, Policy(1, (_rule(Sampling(0.1), deadline_ns),), "store"))
    line.steering.change_overlay(
        ChangeRequest(SetRule(_rule(Toggle(False))), lifetime_ms=7_200_000)
    )
    line.cut()
    assert seen.enabled() == _ring.RING_OFF
    if restarts:
        line.now_ns += HOUR_NS
        line.crash()
        line.step()
    else:
        line.step(HOUR_NS)
    assert seen.default() == _ring.WORD_UNSET
    assert seen.enabled() == _ring.RING_OFF
    line.step(HOUR_NS)
    assert seen.enabled() == _ring.RING_ON
    assert line.steering.status().local_layers == ()
    assert line.journal.names()[-2:] == ["policy.expired"] * 2
    assert line.steering.until_expiry_ns() is None


def test_deadline_that_passed_stays_passed(line: MemoryLine, seen: Seen) -> None:
    """A clock that is set back does not revive a rule."""
    line.connect()
    _push(line, Policy(1, (_rule(Sampling(0.1), line.now_ns + 5),), "store"))
    line.step(10)
    line.now_ns -= 9
    line.crash()
    line.step()
    assert seen.default() == _ring.WORD_UNSET


def test_hub_is_told_of_what_changed_here(line: MemoryLine, seen: Seen) -> None:
    """An overlay, and its end, each make a status with the local layers."""
    line.connect()
    request = ChangeRequest(SetRule(_rule(Toggle(False))), lifetime_ms=1_000)
    overlay, status = line.steering.change_overlay(request)
    line.exchange()
    (layer,) = line.hub.statuses[-1].local_layers
    assert layer == Layer("local", overlay.rules)
    assert [result.failure for result in status.workers] == [""]
    line.step(SECOND_NS)
    assert line.hub.statuses[-1].local_layers == ()


def test_change_reports_only_whom_it_selects(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """A rule for one worker is answered for that worker; going back for all."""
    for name in ("w-1", "w-2"):
        start_worker(SHMTEL_WORKER_ID=name).emit(1)
    line.connect()

    def reached(change: SetRule | SetRules | RemoveRule | ReplaceRules) -> list[str]:
        _, status = line.steering.change_overlay(ChangeRequest(change))
        return sorted(result.traits.worker for result in status.workers)

    rule = _rule(Toggle(False), worker="w-1")
    assert reached(SetRule(rule)) == ["w-1"]
    assert reached(RemoveRule(rule)) == ["w-1"]
    assert reached(SetRules((rule, _rule(Toggle(True), worker="none")))) == ["w-1"]
    assert reached(ReplaceRules()) == ["w-1", "w-2"]


def test_overlay_wins_over_the_fleet_and_the_guard_over_both(
    line: MemoryLine, seen: Seen
) -> None:
    """A guard rail is a limit whatever anybody sets."""
    limits = (_rule(Sampling(0.5)), _rule(Filter((), ("secret.*",))))
    line.guard = Guard(Layer(GUARD, limits, is_guard=True))
    line.crash()
    seen.worker.emit(1, "secret.key")
    line.connect()
    _push(line, Policy(1, (_rule(Sampling(0.1)), _rule(Filter(("*",)))), "store"))
    assert seen.words() == [TENTH, _ring.WORD_DENIED]
    line.steering.change_overlay(ChangeRequest(SetRule(_rule(Sampling(1.0)))))
    assert seen.words() == [HALF, _ring.WORD_DENIED]
    names = [layer.name for layer in line.steering.regime.layers()]
    assert names == [FLEET, "local", GUARD]
    assert line.journal.names()[0] == "guard.loaded"


def test_remote_control_can_be_off(line: MemoryLine, seen: Seen) -> None:
    """A hub's policy is refused with the reason; overlays still work."""
    line.guard = Guard(remote_control=False)
    line.crash()
    line.connect()
    status = _push(line, Policy(1, (_rule(Sampling(0.1)),), "store"))
    assert status.rejection == REMOTE_CONTROL_OFF
    assert status.in_force_version == 0
    assert seen.default() == _ring.WORD_UNSET
    line.steering.change_overlay(ChangeRequest(SetRule(_rule(Sampling(0.5)))))
    assert seen.default() == HALF
    line.guard = Guard()
    line.crash()
    line.connect()
    assert line.hub.hello is not None
    assert line.hub.hello.rejected_version == 0  # it may come again now
    assert _push(line, Policy(1, (_rule(Sampling(0.1)),), "store")).rejection is None


def test_remote_control_off_ends_what_the_hub_had_set(
    line: MemoryLine, seen: Seen
) -> None:
    """The fleet's policy of before is not in force while it is off, and not lost."""
    line.connect()
    _push(line, Policy(1, (_rule(Sampling(0.1)),), "store"))
    line.guard = Guard(remote_control=False)
    line.crash()
    line.step()
    assert seen.default() == _ring.WORD_UNSET
    line.guard = Guard()
    line.crash()
    line.step()
    assert seen.default() == TENTH


def test_quarantined_worker_is_named(
    line: MemoryLine, seen: Seen, start_worker: StartWorker
) -> None:
    """A damaged ring is in the answer with the reason; the others have it."""
    start_worker().emit(1)
    line.connect()
    line.fleet.rings[seen.ring_id].source.spoil("record")
    status = _push(line, Policy(1, (_rule(Sampling(0.5)),), "store"))
    failures = {result.ring_id: result.failure for result in status.workers}
    assert "quarantined" in failures.pop(seen.ring_id)
    assert list(failures.values()) == [""]


def test_dead_workers_are_not_asked(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """A ring that ends is no worker any more, though it may still be drained."""
    worker, other = start_worker(), start_worker(SHMTEL_WORKER_ID="alive")
    worker.emit(1)
    other.emit(1)
    line.connect()
    line.hub.is_holding = True
    worker.kill()
    line.step(SECOND_NS)
    assert len(line.fleet.rings) == 2
    status = _push(line, Policy(1, (_rule(Sampling(0.5)),), "store"))
    assert [result.traits.worker for result in status.workers] == ["alive"]


def test_refused_change_of_an_overlay_changes_nothing(line: MemoryLine) -> None:
    """The error says why."""
    request = ChangeRequest(SetRule(_rule(Sampling(2.0))))
    with pytest.raises(PolicyError, match="a sampling rate is between"):
        line.steering.change_overlay(request)
    assert line.steering.regime.local_layers() == ()
    assert line.journal.names() == []


def test_changes_are_put_on_record(line: MemoryLine, seen: Seen) -> None:
    """Each has its numbers, and its rule in words."""
    line.connect()
    _push(line, Policy(5, (_rule(Sampling(0.5)),), "store"))
    change = ChangeRequest(SetRule(_rule(Filter((), ("x",)))), overlay="night")
    line.steering.change_overlay(change)
    applied, overlay = line.journal.events
    assert applied[1] == {"version": 5, "workers": 1, "failed": 0, "duration": 0}
    assert applied[2] == {"origin": "store"}
    assert overlay[0] == "overlay.changed"
    assert overlay[1]["rules"] == 1
    assert overlay[2] == {"overlay": "night", "change": "set", "rule": "filter deny x"}


def test_policy_of_another_store_replaces_the_old_one(
    line: MemoryLine, seen: Seen
) -> None:
    """Versions are compared within their origin only."""
    line.connect()
    _push(line, Policy(9, (_rule(Sampling(0.5)),), "old"))
    _push(line, replace(Policy(1, (_rule(Sampling(0.1)),)), origin="new"))
    assert seen.default() == TENTH
