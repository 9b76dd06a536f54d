"""Rings over streams that come and go: every event once, in order, or counted."""

import weakref
from collections.abc import Callable
from dataclasses import replace

import pytest

from shmtel import _ring
from shmtel.policy.model import Policy, Rule, Sampling, Selector, Toggle
from shmtel.wire.errors import RemoteProtocolError, VersionMismatch
from shmtel.wire.frames import ErrorCode, Outcome
from shmtel_collector.batch import CEILING_BYTES
from shmtel_collector.settlement import to_list
from support.emitter import Emitter
from support.home import HOME
from support.memory_line import SECOND_NS, MemoryLine, seqs_up_to
from support.processes import wait_until
from support.ring_builder import RingBuilder

StartWorker = Callable[..., Emitter]


@pytest.fixture
def worker(start_worker: StartWorker) -> Emitter:
    """A worker that has emitted a hundred events."""
    worker = start_worker(SHMTEL_WORKER_ID="w1")
    worker.emit(100)
    return worker


def _only(line: MemoryLine) -> tuple[bytes, list[int]]:
    """The one ring that the hub knows, and the seqs it was given."""
    ((ring_id, ring),) = line.hub.rings.items()
    return ring_id, ring.seqs


def test_events_arrive_and_are_settled(line: MemoryLine, worker: Emitter) -> None:
    """What the hub has acknowledged leaves the ring, with its totals."""
    line.connect()
    ring_id, seqs = _only(line)
    assert seqs == seqs_up_to(100)
    assert line.hub.rings[ring_id].worker_id == "w1"
    source = line.fleet.rings[ring_id].source
    assert (source.settled_seq, source.totals) == (100, to_list({0: 100}))
    assert source.head == source.tail()


def test_nothing_settles_before_the_ack(line: MemoryLine, worker: Emitter) -> None:
    """What is sent stays in the ring until the hub has answered."""
    line.hub.is_holding = True
    line.connect()
    (ring,) = line.fleet.rings.values()
    observed = _ring.observe(ring.source.fileno())["control"]
    assert (observed["head"], observed["settled_seq"]) == (0, 0)
    assert observed["sent_seq"] == 100
    assert not line.session.is_settled()
    line.hub.release()
    line.exchange()
    assert line.session.is_settled()
    assert _ring.observe(ring.source.fileno())["control"]["settled_seq"] == 100


def test_lost_batch_is_drained_again(line: MemoryLine, worker: Emitter) -> None:
    """A stream that breaks with a batch under way loses nothing."""
    line.connect()
    worker.emit(50)
    line.session.drain()
    line.cut()
    line.connect()
    assert _only(line)[1] == seqs_up_to(150)


def test_lost_ack_delivers_nothing_twice(line: MemoryLine, worker: Emitter) -> None:
    """The hub's resume point says what it has; that is settled and not sent again."""
    line.connect()
    worker.emit(50)
    line.send_unanswered()
    line.connect()
    worker.emit(10)
    line.step()
    ring_id, seqs = _only(line)
    assert seqs == seqs_up_to(160)
    assert line.fleet.rings[ring_id].source.totals == to_list({0: 160})


def test_killed_collector_loses_nothing_and_repeats_nothing(
    line: MemoryLine, worker: Emitter
) -> None:
    """The next collector goes on where the hub stands, not where the ring does."""
    line.connect()
    worker.emit(50)
    line.send_unanswered()
    line.crash()
    worker.emit(10)
    line.connect()
    assert _only(line)[1] == seqs_up_to(160)


def test_new_hub_starts_at_the_settled_seq(line: MemoryLine, worker: Emitter) -> None:
    """A hub that does not know the ring takes over its totals."""
    line.connect()
    line.cut()
    line.hub.rings.clear()
    worker.emit(10)
    line.connect()
    ring_id, seqs = _only(line)
    assert seqs == list(range(101, 111))
    assert line.hub.rings[ring_id].position.totals == {0: 110}


def test_hub_that_lost_state_gets_the_gap_counted(
    line: MemoryLine, worker: Emitter
) -> None:
    """What the hub forgot and the ring has released is lost, and said so."""
    line.connect()
    line.cut()
    ring_id, _ = _only(line)
    line.hub.forget(ring_id, 30)
    worker.emit(10)
    line.connect()
    totals = {Outcome.DELIVERED: 40, Outcome.LOST_HUB_STATE_LOST: 70}
    assert line.hub.rings[ring_id].position.totals == totals
    assert line.fleet.rings[ring_id].source.totals == to_list(totals)


def test_impossible_resume_point_quarantines_only_its_ring(
    line: MemoryLine, worker: Emitter, start_worker: StartWorker
) -> None:
    """A hub that has more than the ring ever held stops that ring, no other."""
    line.connect()
    line.cut()
    ring_id, _ = _only(line)
    line.hub.forget(ring_id, 5000)
    start_worker().emit(7)
    line.connect()
    line.step(SECOND_NS)
    assert line.fleet.rings[ring_id].source.damage == "resume_point"
    assert line.fleet.quarantined == {"resume_point": 1}
    (other,) = set(line.hub.rings) - {ring_id}
    assert line.hub.rings[other].seqs == seqs_up_to(7)


def test_discarded_segment_is_sent_again_in_order(
    line: MemoryLine, worker: Emitter, start_worker: StartWorker
) -> None:
    """A hub that falls back in mid-stream gets the ring rebuilt, others go on."""
    other = start_worker()
    other.emit(10)
    line.connect()
    ring_id = worker.ring_id()
    worker.emit(20)
    other.emit(20)
    line.hub.forget(ring_id, 90)
    line.step()
    line.step()
    ring = line.hub.rings[ring_id]
    assert ring.seqs == [*seqs_up_to(100), *range(101, 121)]
    assert ring.position.totals == {0: 110, Outcome.LOST_HUB_STATE_LOST: 10}
    (others,) = set(line.hub.rings) - {ring_id}
    assert line.hub.rings[others].seqs == seqs_up_to(30)


def test_finished_ring_is_written_down_and_removed(
    line: MemoryLine, worker: Emitter, namespace: str
) -> None:
    """The ring of a dead worker is drained, closed, folded and unlinked."""
    line.connect()
    worker.emit(50)
    worker.kill()
    line.step(SECOND_NS)
    ring_id, seqs = _only(line)
    assert seqs == seqs_up_to(150)
    assert line.hub.rings[ring_id].closed == "vanished"
    assert HOME.scan(namespace) == []
    assert line.fleet.rings == {}
    assert line.fleet.finished == 1


def test_death_is_noticed_without_time_passing(
    line: MemoryLine, worker: Emitter, namespace: str
) -> None:
    """The kernel tells when a pinned worker exits; nobody waits for a round."""
    line.connect()
    assert line.step().events == 0
    worker.process.kill()
    wait_until(line.watcher.fire)
    line.step()
    assert HOME.scan(namespace) == []
    assert not line.watcher.fire()


def test_what_happens_to_one_ring_costs_the_others_nothing(
    line: MemoryLine, worker: Emitter, start_worker: StartWorker
) -> None:
    """A worker that comes and one that goes are seen to without a round of all."""
    line.connect()
    line.step()
    (ring,) = line.fleet.rings.values()
    beats = []
    ring.control.beat = lambda *beat: beats.append(beat)  # type: ignore[method-assign]
    other = start_worker()
    other.emit(1)
    line.step()
    assert len(line.fleet.rings) == 2
    other.process.kill()
    wait_until(line.watcher.fire)
    line.step()
    assert len(line.fleet.rings) == 1
    assert beats == []
    line.step(SECOND_NS)
    assert len(beats) == 1


@pytest.mark.parametrize("crashes", [False, True])
def test_end_of_a_ring_can_be_repeated(
    line: MemoryLine, worker: Emitter, namespace: str, crashes: bool
) -> None:
    """A kill between the hub's work and its answer closes the ring once more."""
    line.connect()
    worker.emit(50)
    worker.leave()
    line.fleet.tick(line.now_ns + SECOND_NS, 1)
    line.send_unanswered()
    assert len(HOME.scan(namespace)) == 1
    if crashes:
        line.crash()
    line.connect()
    line.step(SECOND_NS)
    ring_id, seqs = _only(line)
    assert seqs == seqs_up_to(150)
    assert line.hub.rings[ring_id].closed == "closed"
    assert HOME.scan(namespace) == []


def test_large_backlog_goes_in_batches_within_the_credit(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """Without answers no more is sent than the hub has granted."""
    worker = start_worker(SHMTEL_RING_SIZE="4MiB")
    worker.emit(30_000)
    line.hub.is_holding = True
    line.connect()
    sent = line.fleet.rings.copy().popitem()[1].sent_seq
    assert 0 < sent < 30_000
    assert not line.session.wants_pass
    line.hub.release()
    line.exchange()
    assert line.session.wants_pass  # the room is used at once, not at the next tick
    line.step()
    assert _only(line)[1] == seqs_up_to(30_000)
    assert line.hub.batches < 60


def test_busy_ring_does_not_starve_a_quiet_one(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """With credit for a few batches, every ring has had its turn."""
    busy = start_worker(SHMTEL_RING_SIZE="16MiB")
    busy.emit(60_000)
    quiet = start_worker()
    quiet.emit(5)
    line.hub.is_holding = True
    line.connect()
    for ring in line.fleet.rings.values():
        assert ring.sent_seq > 0


def test_every_ring_has_its_turn(
    line: MemoryLine, make_ring: Callable[..., RingBuilder]
) -> None:
    """Where the room ends before the rings do, the next pass goes on from there."""
    rings = [make_ring(capacity=256 << 10) for _ in range(12)]
    for ring in rings:
        ring.add_name("a.b")
        for _ in range(30):
            ring.append(0, None, {}, {"text": "x" * 8000})
    line.hub.is_holding = True
    line.connect()
    served = [ring.sent_seq > 0 for ring in line.fleet.rings.values()]
    assert 0 < sum(served) < 12
    line.hub.release()
    line.hub.is_holding = True
    line.exchange()
    line.session.drain()
    assert all(ring.sent_seq > 0 for ring in line.fleet.rings.values())


def test_policy_acts_at_once_and_on_new_names(
    line: MemoryLine, worker: Emitter
) -> None:
    """Words are in the ring when the policy is received, and for later names."""
    line.connect()
    (ring,) = line.fleet.rings.values()
    rules = (
        Rule(Selector("w*"), Sampling(0.0, ("noisy.*",))),
        Rule(Selector("*"), Toggle(True)),
    )
    line.hub.push(Policy(1, rules))
    line.exchange()
    worker.emit(5, "noisy.one")
    line.step()
    worker.emit(5, "noisy.one")
    events = _ring.observe(ring.source.fileno())["events"]
    assert events[1]["name"] == "noisy.one"
    assert (events[1]["committed"], events[1]["sampled_out"]) == (5, 5)
    line.hub.push(Policy(2, (Rule(Selector("*"), Toggle(False)),)))
    line.exchange()
    control = _ring.observe(ring.source.fileno())["control"]
    assert control["enabled"] == _ring.RING_OFF


def test_refused_policy_leaves_the_last_one_in_force(
    line: MemoryLine, worker: Emitter
) -> None:
    """A policy that cannot be obeyed changes nothing, and is logged."""
    line.connect()
    good = Policy(1, (Rule(Selector("*"), Sampling(0.5)),))
    line.hub.push(good)
    line.exchange()
    line.hub.push(Policy(2, (Rule(Selector("*"), Sampling(7.0)),)))
    line.exchange()
    assert line.steering.regime.fleet == good
    assert len(line.log.lines) == 1


def test_ring_that_appears_later_is_announced(
    line: MemoryLine, worker: Emitter, start_worker: StartWorker
) -> None:
    """A worker that comes while the stream is open is announced on it."""
    line.connect()
    late = start_worker()
    late.emit(3)
    line.step(SECOND_NS)
    assert sorted(len(ring.seqs) for ring in line.hub.rings.values()) == [3, 100]


def test_finished_rings_are_forgotten(line: MemoryLine, worker: Emitter) -> None:
    """A stream lives for weeks, and its workers come and go."""
    line.connect()
    ring = weakref.ref(next(iter(line.fleet.rings.values())))
    worker.kill()
    line.step(SECOND_NS)
    assert _only(line)[1] == seqs_up_to(100)
    assert line.fleet.finished == 1
    assert ring() is None


@pytest.mark.parametrize("code", [ErrorCode.SUPERSEDED, ErrorCode.STALE_EPOCH])
def test_fenced_collector_says_so(line: MemoryLine, code: ErrorCode) -> None:
    """A collector whose place was taken does not fight for it."""
    line.connect()
    line.hub.end(code, "another one is here")
    with pytest.raises(RemoteProtocolError, match="another one is here"):
        line.exchange()
    assert line.session.fenced == "another one is here"


def test_hub_that_shuts_down_is_tried_again(line: MemoryLine) -> None:
    """Other ends of a stream are no reason to give up."""
    line.connect()
    line.hub.end(ErrorCode.SHUTTING_DOWN, "bye")
    with pytest.raises(RemoteProtocolError, match="bye"):
        line.exchange()
    assert line.session.fenced is None


def test_hub_that_asks_to_be_drained_gets_nothing_new(
    line: MemoryLine, worker: Emitter
) -> None:
    """What it has is answered, Bye follows, and it is dialled when it says."""
    line.connect()
    worker.emit(10)
    line.hub.is_holding = True
    line.step()
    line.hub.drain("the hub is shutting down", 250, 1_500)
    worker.emit(10)
    line.step()
    assert (line.hub.has_bye, line.session.is_welcome()) == (False, False)
    line.hub.release()
    line.step()
    assert line.hub.has_bye
    assert line.session.end() == 0.25
    assert _only(line)[1] == seqs_up_to(110)
    line.connect()
    assert _only(line)[1] == seqs_up_to(120)
    assert line.session.end() is None


def test_hub_of_another_protocol_is_told_apart(line: MemoryLine) -> None:
    """The end of its stream says that dialling it again soon is of no use."""
    line.connect()
    line.hub.end(ErrorCode.PROTOCOL_VERSION, "upgrade the hub")
    with pytest.raises(VersionMismatch, match="upgrade the hub"):
        line.exchange()


def test_hub_with_tiny_batches_is_refused(line: MemoryLine) -> None:
    """A hub that could not take the largest record is not sent anything."""
    line.hub.terms = replace(line.hub.terms, max_batch_bytes=CEILING_BYTES - 1)
    with pytest.raises(RemoteProtocolError, match="batches"):
        line.connect()


def test_ring_is_not_announced_between_bye_and_end(
    line: MemoryLine, worker: Emitter
) -> None:
    """A worker that starts while the collector says goodbye waits for the next."""
    line.connect()
    line.session.bye("stopping")
    worker.emit(1)
    assert line.step(SECOND_NS).events == 0
    assert _only(line)[1] == seqs_up_to(100)
