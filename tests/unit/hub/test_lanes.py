"""Handlers with a thread of their own."""

import asyncio
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
    assert dispatcher.missed() == {("bad", "raised"): 2, ("bad", "detached"): 2}
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


@pytest.mark.parametrize("own_thread", [False, True])
def test_what_was_behind_an_event_that_raised(source: Source, own_thread: bool) -> None:
    """Was acknowledged and is handled by nobody: it is counted, with that event."""
    dispatcher, seen = Dispatcher(), list[float]()

    def third(_e: str, measurements: Mapping[str, float], *_: object) -> None:
        if measurements["value"] == 3:
            raise ValueError("no")
        seen.append(measurements["value"])

    dispatcher.attach("bad", ["a.*"], third, own_thread=own_thread)
    dispatcher.attach("good", ["*"], other := Seqs(), is_batch=True)
    deliver(dispatcher, source, 1, 10).wait()
    assert seen == [1, 2]
    assert other.seqs == list(range(1, 11))
    assert dispatcher.missed() == {("bad", "raised"): 8}


# -- coroutine functions -----------------------------------------------------------


@pytest.mark.parametrize("is_batch", [False, True])
def test_coroutine_functions_are_awaited(source: Source, is_batch: bool) -> None:
    """One call after the other, and a batch is done when all of them are."""
    dispatcher, seen = Dispatcher(), list[float]()

    async def event(_e: str, measurements: Mapping[str, float], *_: object) -> None:
        await asyncio.sleep(0.001)
        seen.append(measurements["value"])

    async def batch(batch: EventBatch, _config: object) -> None:
        await asyncio.sleep(0.001)
        seen.extend(record.seq for record in batch.records)

    function = batch if is_batch else event
    dispatcher.attach("awaited", ["*"], function, is_batch=is_batch)
    errands = [deliver(dispatcher, source, n, n + 2) for n in (1, 4, 7)]
    for errand in errands:
        errand.wait()
    assert seen == list(range(1, 10))
    dispatcher.close(WAIT_S)


def test_what_a_coroutine_function_has_started_goes_on(source: Source) -> None:
    """Also between two calls, in the same loop; and ends when it is detached."""
    dispatcher, ticks = Dispatcher(), threading.Semaphore(0)
    loops: set[asyncio.AbstractEventLoop] = set()
    tasks: list[asyncio.Task[None]] = []

    async def tick() -> None:
        while True:
            ticks.release()
            await asyncio.sleep(0.001)

    async def start(*_: object) -> None:
        loops.add(asyncio.get_running_loop())
        if not tasks:
            tasks.append(asyncio.create_task(tick()))

    dispatcher.attach("awaited", ["*"], start)
    deliver(dispatcher, source, 1, 1).wait()
    for _ in range(20):
        assert ticks.acquire(timeout=WAIT_S)
    deliver(dispatcher, source, 2, 2).wait()
    (loop,) = loops
    assert dispatcher.detach("awaited")
    wait_until(loop.is_closed, WAIT_S)
    assert tasks[0].cancelled()


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError])
def test_a_coroutine_function_that_raises(
    source: Source, error: type[BaseException]
) -> None:
    """It is detached as any other, whatever it raises, and holds nobody up."""
    dispatcher = Dispatcher()

    async def fail(*_: object) -> None:
        await asyncio.sleep(0)
        raise error

    dispatcher.attach("bad", ["*"], fail)
    deliver(dispatcher, source, 1, 5).wait()
    assert dispatcher.handlers() == []
    assert dispatcher.missed() == {("bad", "raised"): 5}


def test_an_object_that_is_awaited(source: Source) -> None:
    """What counts is its call; that it shall have no thread is refused."""
    dispatcher, seen = Dispatcher(), list[str]()

    class Handler:
        async def __call__(self, event: str, *_: object) -> None:
            seen.append(event)

    with pytest.raises(ValueError, match="thread of its own"):
        dispatcher.attach("awaited", ["*"], Handler(), own_thread=False)
    dispatcher.attach("awaited", ["*"], Handler())
    deliver(dispatcher, source, 1, 1).wait()
    assert seen == ["a.b"]
    dispatcher.close(WAIT_S)
