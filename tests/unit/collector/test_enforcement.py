"""The policy of the moment on what is drained, and what a worker may claim."""

from collections.abc import Callable

import pytest

from shmtel import _ring
from shmtel.config import threshold_of
from shmtel.policy.model import (
    GUARD,
    Action,
    Filter,
    Layer,
    Policy,
    Rule,
    Sampling,
    Selector,
    Toggle,
)
from shmtel.wire.frames import Outcome
from shmtel_collector import enforcement
from shmtel_collector.guard import Guard
from support.emitter import Emitter
from support.memory_line import SECOND_NS, MemoryLine
from support.ring_builder import RingBuilder
from support.ring_layout import ControlZone, NamesZone

MakeRing = Callable[..., RingBuilder]
HALF = threshold_of(0.5)
TENTH = threshold_of(0.1)


def _push(line: MemoryLine, version: int, *actions: Action) -> None:
    rules = tuple(Rule(Selector(), action) for action in actions)
    line.hub.push(Policy(version, rules, "store"))
    line.exchange()


def _totals(line: MemoryLine, ring: RingBuilder) -> dict[int, int]:
    return dict(line.hub.rings[ring.ring_id].position.totals)


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        (Toggle(False), Outcome.DISABLED_BY_COLLECTOR),
        (Sampling(0.0), Outcome.SAMPLED_OUT_BY_COLLECTOR),
        (Filter((), ("a.*",)), Outcome.FILTERED_BY_COLLECTOR),
        (Filter(("b.*",)), Outcome.FILTERED_BY_COLLECTOR),
    ],
)
def test_backlog_does_not_slip_past_a_policy(
    line: MemoryLine, make_ring: MakeRing, action: Action, outcome: Outcome
) -> None:
    """What waits in a ring is judged by the policy of the moment, and counted."""
    ring = make_ring()
    ring.add_name("a.one")
    line.connect()
    for _ in range(10):
        ring.append(0)
    _push(line, 1, action)
    line.step()
    assert _totals(line, ring) == {outcome: 10}


def test_late_worker_is_judged_from_its_first_event(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """A ring that is attached later gets the words before anything is drained."""
    line.connect()
    _push(line, 1, Filter((), ("secret.*",)), Sampling(0.5))
    ring = make_ring()
    ring.add_name("secret.key")
    ring.add_name("a.b")
    for draw in (0, 0xFFFF_0000):
        ring.append(0, draw=draw)
        ring.append(1, draw=draw)
    line.step(SECOND_NS)
    assert _totals(line, ring) == {
        Outcome.DELIVERED: 1,
        Outcome.SAMPLED_OUT_BY_COLLECTOR: 1,
        Outcome.FILTERED_BY_COLLECTOR: 2,
    }
    zone = ring.peek(ControlZone)
    assert list(zone.word)[:3] == [_ring.WORD_DENIED, HALF, _ring.WORD_UNSET]
    assert zone.default_word == HALF


def test_new_name_is_judged_before_its_first_event(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """A name that appears between two passes is read, judged, then drained."""
    ring = make_ring()
    ring.add_name("a.b")
    line.connect()
    _push(line, 1, Filter((), ("secret.*",)))
    ring.append(0)
    secret = ring.add_name("secret.key")
    ring.append(secret)
    other = ring.add_name("c.d")
    ring.append(other)
    line.step()
    assert _totals(line, ring) == {
        Outcome.DELIVERED: 2,
        Outcome.FILTERED_BY_COLLECTOR: 1,
    }
    assert list(ring.peek(ControlZone).word)[secret] == _ring.WORD_DENIED


def test_end_of_a_span_follows_a_start_that_was_left_out(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """A start sampled out while draining takes its end along, also much later."""
    ring = make_ring()
    start, stop = ring.add_name("job.start"), ring.add_name("job.stop")
    line.connect()
    left_out, kept = b"l" * 8 + bytes(8), b"k" * 8 + bytes(8)
    ring.append(start, None, {}, None, left_out, draw=0)
    ring.append(start, None, {}, None, kept, draw=0xFFFF_0000)
    _push(line, 1, Sampling(0.5))
    line.step()
    _push(line, 2, Sampling(1.0))
    ring.append(stop, None, {}, None, left_out, draw=0)
    ring.append(stop, None, {}, None, kept, draw=0xFFFF_0000)
    line.step()
    assert _totals(line, ring) == {
        Outcome.DELIVERED: 2,
        Outcome.SAMPLED_OUT_BY_COLLECTOR: 2,
    }


def test_forged_threshold_is_rejected(line: MemoryLine, make_ring: MakeRing) -> None:
    """A threshold that was never in force for this worker does not count."""
    ring, other = make_ring(resource={"worker_id": "w"}), make_ring()
    for built in (ring, other):
        built.add_name("a.b")
    line.connect()
    line.hub.push(Policy(1, (Rule(Selector("w"), Sampling(0.5)),), "store"))
    line.exchange()
    for built in (ring, other):
        built.append(0, threshold=HALF, draw=0xFFFF_0000)
        built.append(0, threshold=TENTH, draw=0xFFFF_0000)
    line.step()
    assert _totals(line, ring) == {
        Outcome.DELIVERED: 1,
        Outcome.REJECTED_BAD_THRESHOLD: 1,
    }
    assert _totals(line, other) == {Outcome.REJECTED_BAD_THRESHOLD: 2}


def test_limit_does_not_loosen_what_a_worker_has_set_itself(
    line: MemoryLine, start_worker: Callable[..., Emitter]
) -> None:
    """A worker that samples harder than a guard rail goes on as it is."""
    limit = Rule(Selector(), Sampling(0.5))
    line.guard = Guard(Layer(GUARD, (limit,), is_guard=True))
    line.crash()
    settings: list[tuple[dict[str, str], int]] = [
        ({"SHMTEL_SAMPLING_RATE": "0.1"}, TENTH),
        ({"SHMTEL_SAMPLING_RATE": "0.9"}, HALF),
        ({"SHMTEL_SAMPLING_RATE": "0"}, _ring.WORD_KEEP_NONE),
        ({"SHMTEL_DENY": "emitter.*"}, _ring.WORD_DENIED),
        ({}, HALF),
    ]
    workers = [start_worker(**variables) for variables, _ in settings]
    for worker in workers:
        worker.emit(1)
    line.connect()
    words = []
    for worker in workers:
        fd = line.fleet.rings[worker.ring_id()].source.fileno()
        words.append(_ring.observe(fd)["events"][0]["word"])
    assert words == [word for _, word in settings]


def test_new_name_that_a_worker_denies_is_not_brought_back(
    line: MemoryLine, start_worker: Callable[..., Emitter]
) -> None:
    """A limit says nothing of names that nobody knows; later ones meet it."""
    limit = Rule(Selector(), Sampling(0.0, ("noisy.*",)))
    line.guard = Guard(Layer(GUARD, (limit, Rule(Selector(), Sampling(0.9))), True))
    line.crash()
    worker = start_worker(SHMTEL_DENY="secret.*")
    worker.emit(1, "a.b")
    line.connect()
    worker.emit(5, "secret.one")
    worker.emit(5, "noisy.one")
    line.step(SECOND_NS)
    totals = line.hub.rings[worker.ring_id()].position.totals
    assert sum(totals.values()) <= 6  # nothing of secret.one was committed
    assert totals[Outcome.SAMPLED_OUT_BY_COLLECTOR] >= 5


def test_thresholds_are_known_after_a_restart(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """What was in force once may be claimed, whatever is in force now."""
    ring = make_ring()
    ring.add_name("a.b")
    line.connect()
    for version, rate in enumerate((0.5, 0.1, 1.0), 1):
        _push(line, version, Sampling(rate))
    line.crash()
    line.connect()
    for threshold in (HALF, TENTH, threshold_of(0.2)):
        ring.append(0, threshold=threshold, draw=0xFFFF_0000)
    line.step()
    assert _totals(line, ring) == {
        Outcome.DELIVERED: 2,
        Outcome.REJECTED_BAD_THRESHOLD: 1,
    }


def test_damaged_ring_is_judged_the_same_when_drained_again(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """A consumer that is made anew knows the words and the thresholds."""
    ring = make_ring()
    ring.add_name("a.b")
    line.connect()
    _push(line, 1, Sampling(0.5))
    ring.append(0, threshold=HALF, draw=0xFFFF_0000)
    ring.append(0, draw=0)
    ring.append_array(b"\xff" * 40, length=1 << 20)
    line.hub.is_holding = True
    line.step()
    line.cut()
    line.hub.is_holding = False
    line.connect()
    totals = _totals(line, ring)
    assert totals.pop(Outcome.LOST_QUARANTINED) >= 1
    assert totals == {Outcome.DELIVERED: 1, Outcome.SAMPLED_OUT_BY_COLLECTOR: 1}


def test_failing_disk_does_not_keep_a_policy_from_acting(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """It is warned of once per condition; later the disk gets what it is owed."""
    ring = make_ring()
    ring.add_name("a.b")
    line.connect()
    line.let_disk_fail(True)
    _push(line, 1, Sampling(0.5))
    _push(line, 2, Sampling(0.1))
    assert len(line.log.lines) == 2  # of the policy, and of the thresholds
    assert ring.peek(ControlZone).word[0] == TENTH
    ring.append(0, threshold=HALF, draw=0xFFFF_0000)
    line.step()
    assert _totals(line, ring) == {Outcome.DELIVERED: 1}
    line.let_disk_fail(False)
    _push(line, 3, Sampling(0.2))
    assert set(line.state.policies.thresholds(ring.ring_id)) == {
        HALF,
        TENTH,
        threshold_of(0.2),
    }


def test_what_a_failing_disk_is_owed_is_bounded(
    line: MemoryLine, make_ring: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stays full under a flood of rates is not owed all of them."""
    monkeypatch.setattr(enforcement, "THRESHOLDS_MAX", 8)
    ring = make_ring()
    ring.add_name("a.b")
    line.connect()
    line.let_disk_fail(True)
    for version in range(1, 40):
        _push(line, version, Sampling(version / 100))
    line.let_disk_fail(False)
    _push(line, 40, Sampling(0.4))
    noted = line.state.policies.thresholds(ring.ring_id)
    assert len(noted) <= 8
    assert {threshold_of(0.39), threshold_of(0.4)} <= set(noted)


def test_thresholds_go_with_their_ring(
    line: MemoryLine, start_worker: Callable[..., Emitter]
) -> None:
    """A ring that is finished leaves no thresholds behind."""
    worker = start_worker()
    worker.emit(1)
    line.connect()
    _push(line, 1, Sampling(0.5))
    ring_id = worker.ring_id()
    assert line.state.policies.thresholds(ring_id) == [HALF]
    worker.kill()
    line.step(SECOND_NS)
    assert line.state.policies.thresholds(ring_id) == []


def test_name_that_is_taken_back_does_not_hold_up_the_pass(
    line: MemoryLine, make_ring: MakeRing
) -> None:
    """A ring whose table of names shrinks under the consumer is quarantined."""
    ring, good = make_ring(), make_ring()
    for built in (ring, good):
        built.add_name("a.b")
    line.connect()
    ring.add_name("c.d")
    ring.append(1)
    good.append(0)

    def shrink(*_: object) -> list[str]:
        ring.poke(NamesZone, name_count=1)
        return []

    source = line.fleet.rings[ring.ring_id].source
    source.names = shrink  # type: ignore[method-assign]
    line.step()
    assert source.damage == "names"
    assert _totals(line, good) == {Outcome.DELIVERED: 1}
