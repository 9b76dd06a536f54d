"""Handlers with a thread of their own."""

import logging
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from shmtel.hub.dispatch import Dispatcher
from shmtel.hub.handlers import EventBatch, RequiredHandlerError
from shmtel.hub.progress import Errand
from shmtel.hub.records import Record, decode_segment
from shmtel.hub.routes import Source
from shmtel.wire.frames import Segment
from support.frames import WORKER
from support.hubs import WAIT_S, Seqs
from support.processes import wait_until
from support.uplink import make_event, pack


def records(first: int, last: int) -> list[Record]:
    """Return the events first to last of a ring."""
    events = [make_event(seq) for seq in range(first, last + 1)]
    count = len(events)
    return decode_segment(Segment(1, first - 1, last, count, pack(events)), 1)


def deliver(dispatcher: Dispatcher, source: Source, first: int, last: int) -> Errand:
    """Deliver events; return what is done when all handlers have finished."""
    errand = Errand()
    dispatcher.deliver(source, records(first, last), deed=errand)
    return errand


def is_done(errand: Errand) -> bool:
    """Tell whether only we hold it."""
    return errand._holders == 1


@pytest.fixture
def source() -> Source:
    """Return a ring."""
    return Source("node", WORKER, "ab" * 16, ["a.b"])


def test_one_that_blocks_holds_no_other(source: Source) -> None:
    """The others get what comes; the batches are not done before it has them."""
    dispatcher, slow, quick = Dispatcher(), Seqs(), Seqs()
    dispatcher.attach("slow", ["*"], slow, is_batch=True, own_thread=True)
    dispatcher.attach("quick", ["*"], quick, is_batch=True)
    slow.hold()
    errands = [deliver(dispatcher, source, seq, seq) for seq in (1, 2, 3)]
    assert quick.seqs == [1, 2, 3]
    assert slow.entered.wait(WAIT_S)
    assert not any(map(is_done, errands))
    slow.may_go_on.set()
    for errand in errands:
        errand.wait()
    assert slow.seqs == [1, 2, 3]


def test_per_event_in_a_thread_of_its_own(source: Source) -> None:
    """It gets what any handler of events gets, in order, by one thread."""
    seen: list[tuple[str, int, str]] = []

    def note(
        event: str, _measures: Mapping[str, float], data: Mapping[str, Any], _c: object
    ) -> None:
        seen.append((event, data["seq"], threading.current_thread().name))

    dispatcher = Dispatcher()
    dispatcher.attach("note", ["a.*"], note, own_thread=True)
    assert dispatcher.routes(source).is_wanted
    deliver(dispatcher, source, 1, 2).wait()
    assert seen == [("a.b", 1, "shmtel-note"), ("a.b", 2, "shmtel-note")]


def test_one_that_only_queues_misses_what_finds_no_room(source: Source) -> None:
    """The batch is done when it is queued; what is missed is counted by reason."""
    dispatcher, slow = Dispatcher(), Seqs()
    dispatcher.attach(
        *("slow", ["*"], slow),
        is_batch=True,
        own_thread=True,
        ack="queued",
        queue_batches=2,
    )
    slow.hold()
    assert is_done(deliver(dispatcher, source, 1, 1))
    assert slow.entered.wait(WAIT_S)
    for first, last in ((2, 2), (3, 3), (4, 6), (7, 7)):
        assert is_done(deliver(dispatcher, source, first, last))
    assert dispatcher.missed() == {("slow", "queue_full"): 4}
    slow.may_go_on.set()
    wait_until(lambda: slow.seqs == [1, 2, 3], WAIT_S)


def test_one_that_raises_is_detached(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    """What waited for it is done without it, and counted as missed."""
    dispatcher, may_raise = Dispatcher(), threading.Event()

    def fail(_batch: EventBatch, _config: object) -> None:
        assert may_raise.wait(WAIT_S)
        raise ValueError("no")

    dispatcher.attach("bad", ["*"], fail, is_batch=True, own_thread=True)
    errands = [deliver(dispatcher, source, seq, seq + 1) for seq in (1, 3)]
    with caplog.at_level(logging.ERROR):
        may_raise.set()
        for errand in errands:
            errand.wait()
    assert dispatcher.handlers() == []
    assert dispatcher.handler_failures == 1
    assert dispatcher.missed() == {("bad", "detached"): 2}
    assert "'bad' raised" in caplog.text


def test_a_required_one_that_raises_is_not_called_again(source: Source) -> None:
    """What follows stays undone: it must not be stored without what was before."""
    failures: list[RequiredHandlerError] = []
    dispatcher, may_raise = Dispatcher(on_failure=failures.append), threading.Event()
    calls: list[int] = []

    def fail(batch: EventBatch, _config: object) -> None:
        calls.append(batch.records[0].seq)
        assert may_raise.wait(WAIT_S)
        raise OSError("disk full")

    dispatcher.attach(
        *("sink", ["*"], fail), is_batch=True, is_required=True, own_thread=True
    )
    errands = [deliver(dispatcher, source, seq, seq) for seq in (1, 2)]
    may_raise.set()
    wait_until(lambda: failures, WAIT_S)
    with pytest.raises(RequiredHandlerError, match="'sink': disk full"):
        deliver(dispatcher, source, 3, 3)
    dispatcher.close(WAIT_S)
    assert calls == [1]
    assert not any(map(is_done, errands))
    assert dispatcher.missed() == {}


def test_a_detached_one_finishes_what_it_has(source: Source) -> None:
    """What was handed to it before is its own; then its thread ends."""
    dispatcher, seen = Dispatcher(), Seqs()
    dispatcher.attach("seen", ["*"], seen, is_batch=True, own_thread=True)
    seen.hold()
    errands = [deliver(dispatcher, source, seq, seq) for seq in (1, 2)]
    (handler,) = dispatcher.handlers()
    assert dispatcher.detach("seen")
    deliver(dispatcher, source, 3, 3).wait()
    seen.may_go_on.set()
    for errand in errands:
        errand.wait()
    assert seen.seqs == [1, 2]
    assert handler.lane is not None
    assert handler.lane.put(object()) == "detached"


def test_the_end_does_not_wait_for_ever(source: Source) -> None:
    """One that hangs is left alone after a time, and gets no more when it goes on."""
    dispatcher, seen = Dispatcher(), Seqs()
    dispatcher.attach("seen", ["*"], seen, is_batch=True, own_thread=True)
    seen.hold()
    errands = [deliver(dispatcher, source, seq, seq) for seq in (1, 2)]
    assert seen.entered.wait(WAIT_S)
    dispatcher.close(0.01)
    assert not any(map(is_done, errands))
    seen.may_go_on.set()
    errands[0].wait()
    dispatcher.close(WAIT_S)
    assert not is_done(errands[1])
    assert seen.seqs == [1]
    assert dispatcher.missed() == {}


def test_what_comes_after_the_end_is_not_done(source: Source) -> None:
    """Nobody has handled it: it must not be acknowledged, and the next hub gets it."""
    dispatcher, seen = Dispatcher(), Seqs()
    dispatcher.attach("seen", ["*"], seen, is_batch=True, own_thread=True)
    deliver(dispatcher, source, 1, 1).wait()
    dispatcher.close(WAIT_S)
    assert not is_done(deliver(dispatcher, source, 2, 2))
    assert seen.seqs == [1]
    assert dispatcher.missed() == {}


def test_a_queue_without_a_thread_is_refused() -> None:
    """It would never be worked off."""
    with pytest.raises(ValueError, match="own_thread=True"):
        Dispatcher().attach("h", ["*"], print, ack="queued")


def test_who_is_at_work_can_be_seen(source: Source) -> None:
    """Of all that are at work the one that has been longest, inline or not."""
    dispatcher, slow, inline = Dispatcher(), Seqs(), Seqs()
    dispatcher.attach("slow", ["*"], slow, is_batch=True, own_thread=True)
    dispatcher.attach("each", ["*"], lambda *_: inline.entered.set())
    assert dispatcher.watch.longest() is None
    slow.hold()
    errand = deliver(dispatcher, source, 1, 1)
    assert slow.entered.wait(WAIT_S)
    activity = dispatcher.watch.longest()
    assert activity is not None
    assert activity.handler_id == "slow"
    slow.may_go_on.set()
    errand.wait()
    wait_until(lambda: dispatcher.watch.longest() is None, WAIT_S)
