"""Spans: their events, their ids, and what they do to the context."""

import asyncio
import concurrent.futures
import gc
import time
import weakref
from typing import Any

import pytest

import shmtel
from shmtel import _ring
from support.exceptions import error_type
from support.own_ring import OwnRing

ROOT = "0" * 16


def test_span_emits_start_and_stop(ring: OwnRing) -> None:
    """A span that ends well is a start and a stop of one id, with a duration."""
    with shmtel.span("job", {"kind": "test"}):
        time.sleep(0.002)
    start, stop = ring.events()
    assert (start.name, stop.name) == ("job.start", "job.stop")
    assert start.measurements == {"system_time": start.timestamp_ns}
    assert 2_000_000 <= stop.measurements["duration"] < 2_000_000_000
    assert start.metadata == stop.metadata == {"kind": "test"}
    assert start.span_id == stop.span_id != ROOT
    assert start.parent_id == stop.parent_id == ROOT


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError, "error"),
        (TimeoutError, "error"),
        (asyncio.CancelledError, "cancelled"),
        (concurrent.futures.CancelledError, "cancelled"),
        (GeneratorExit, "cancelled"),
        (KeyboardInterrupt, "exit"),
        (SystemExit, "exit"),
    ],
)
def test_span_emits_exception(
    ring: OwnRing, error: type[BaseException], outcome: str
) -> None:
    """A span that ends badly says how, for every kind of exception, and lets it go."""
    with pytest.raises(error), shmtel.span("job", {"kind": "test"}):
        raise error("why")
    start, end = ring.events()
    assert (start.name, end.name) == ("job.start", "job.exception")
    assert end.metadata == {
        "kind": "test",
        "outcome": outcome,
        "error_type": error_type(error),
        "error_message": "why",
    }
    assert end.measurements.keys() == {"duration"}


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [
        ([asyncio.CancelledError(), GeneratorExit()], "cancelled"),
        ([asyncio.CancelledError(), KeyboardInterrupt()], "exit"),
        ([KeyboardInterrupt(), ExceptionGroup("", [ValueError()])], "error"),
        ([BaseExceptionGroup("", [asyncio.CancelledError()])], "cancelled"),
    ],
    ids=range(4),
)
def test_group_ends_as_the_worst_of_its_exceptions(
    ring: OwnRing, errors: list[BaseException], outcome: str
) -> None:
    """A nursery whose tasks were all cancelled has not failed."""
    with pytest.raises(BaseExceptionGroup), shmtel.span("job"):
        raise BaseExceptionGroup("group", errors)
    metadata = ring.events()[1].metadata
    assert metadata is not None
    assert metadata["outcome"] == outcome


def test_group_of_groups_without_end(ring: OwnRing) -> None:
    """However deep they are, and however often they share what is in them."""
    group: BaseExceptionGroup[Any] = BaseExceptionGroup("", [asyncio.CancelledError()])
    for _ in range(2_000):
        group = BaseExceptionGroup("", [group, group])
    with pytest.raises(BaseExceptionGroup), shmtel.span("job"):
        raise group
    metadata = ring.events()[1].metadata
    assert metadata is not None
    assert metadata["outcome"] == "cancelled"


def test_exception_whose_class_has_no_name_is_described(ring: OwnRing) -> None:
    """What its metaclass makes of the name hides nothing else."""

    class Meta(type):
        __name__ = __module__ = property(lambda cls: 1 / 0)

    error = Meta("Long" * 1_000, (Exception,), {"__module__": "shop"})
    with pytest.raises(Exception, match="why"), shmtel.span("job"):
        raise error("why")
    assert ring.events()[1].metadata == {
        "outcome": "error",
        "error_type": f"shop.{'Long' * 64}"[:256],
        "error_message": "why",
    }


def test_exception_that_hides_its_class_is_described(ring: OwnRing) -> None:
    """Its type says what it is, whatever it answers itself."""

    class Masked(Exception):
        @property
        def __class__(self) -> Any:
            raise RuntimeError

    span = shmtel.span("job", {"k": 1})
    span.__enter__()
    span.__exit__(Masked, Masked("why"), None)
    assert ring.events()[1].metadata == {
        "k": 1,
        "outcome": "error",
        "error_type": error_type(Masked),
        "error_message": "why",
    }


def test_unprintable_exception_is_described(ring: OwnRing) -> None:
    """An exception whose text raises leaves its type."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    with pytest.raises(Mute), shmtel.span("job"):
        raise Mute
    assert ring.events()[1].metadata == {
        "outcome": "error",
        "error_type": error_type(Mute),
        "error_message": "",
    }


def test_long_error_message_is_cut(ring: OwnRing) -> None:
    """The text of an exception is bounded."""
    with pytest.raises(ValueError, match="x"), shmtel.span("job"):
        raise ValueError("x" * 5000)
    metadata = ring.events()[1].metadata
    assert metadata is not None
    assert len(metadata["error_message"]) == 1024


def test_nested_spans_and_events_name_their_parent(ring: OwnRing) -> None:
    """Inner spans and plain events carry the id of the span around them."""
    with shmtel.span("outer") as outer:
        shmtel.emit("plain", {})
        with shmtel.span("inner") as inner:
            shmtel.emit("deep", {})
    shmtel.emit("outside", {})
    events = {event.name: event for event in ring.events()}
    assert events["plain"].span_id == ROOT
    assert events["plain"].parent_id == outer.span_id
    assert events["inner.start"].parent_id == outer.span_id
    assert events["inner.stop"].span_id == inner.span_id
    assert events["deep"].parent_id == inner.span_id
    assert events["outside"].span is None
    assert inner.parent_id == outer.span_id


def test_span_without_correlation_follows_its_root(ring: OwnRing) -> None:
    """At any rate, an inner span is kept exactly where its root is."""
    for name in ("root", "leaf"):
        with shmtel.span(name):
            pass
    ring.events()
    ring.consumer.set_default_word(1 << 31)
    for _ in range(200):
        with shmtel.span("root"), shmtel.span("leaf"):
            pass
    names = [event.name for event in ring.events()]
    whole = ["root.start", "leaf.start", "leaf.stop", "root.stop"]
    assert names == whole * (len(names) // 4)
    assert 50 < len(names) // 4 < 150


def test_end_follows_the_decision_of_the_start(ring: OwnRing) -> None:
    """A rate that changes inside a span does not separate its end from its start."""
    with shmtel.span("steady"):
        pass
    ring.events()
    with shmtel.span("steady"):
        ring.consumer.set_default_word(_ring.WORD_KEEP_NONE)
    assert [event.name for event in ring.events()] == ["steady.start", "steady.stop"]
    with shmtel.span("steady"):
        ring.consumer.set_default_word(_ring.WORD_UNSET)
    assert ring.events() == []


def test_filter_acts_on_the_end_by_itself(ring: OwnRing) -> None:
    """A denied end is filtered though its start was kept."""
    with shmtel.span("cut"):
        pass
    ring.events()
    ring.consumer.set_word(ring.consumer.names(0).index("cut.stop"), _ring.WORD_DENIED)
    with shmtel.span("cut"):
        pass
    assert [event.name for event in ring.events()] == ["cut.start"]


def test_span_entered_while_off_stays_silent(ring: OwnRing) -> None:
    """No span has an end without a start."""
    disabled = shmtel.stats()["disabled"]
    shmtel.disable()
    with shmtel.span("half"):
        shmtel.enable()
    assert ring.events() == []
    assert shmtel.stats()["disabled"] == disabled + 2


def test_explicit_correlation_holds_inside(ring: OwnRing) -> None:
    """What is emitted inside a span with a correlation ID shares it."""
    with shmtel.span("job", None, "request-1"):
        assert shmtel.get_correlation_id() == "request-1"
        shmtel.emit("plain", {})
        with shmtel.span("inner"):
            shmtel.emit("deep", {})
            token = shmtel.set_correlation_id("request-2")
            shmtel.emit("other", {})
            shmtel.reset_correlation_id(token)
            shmtel.emit("explicit", {}, None, "request-3")
    shmtel.emit("outside", {})
    assert shmtel.get_correlation_id() is None
    ids = {event.name: event.correlation_id for event in ring.events()}
    assert ids == {
        "job.start": "request-1",
        "plain": "request-1",
        "inner.start": "request-1",
        "deep": "request-1",
        "other": "request-2",
        "explicit": "request-3",
        "inner.stop": "request-1",
        "job.stop": "request-1",
        "outside": None,
    }


def test_context_correlation_is_taken(ring: OwnRing) -> None:
    """Without an explicit ID, emit and span take that of the context."""
    token = shmtel.set_correlation_id("from-context")
    try:
        shmtel.emit("plain", {})
        with shmtel.span("job"):
            pass
    finally:
        shmtel.reset_correlation_id(token)
    assert {event.correlation_id for event in ring.events()} == {"from-context"}


def test_decorated_function_is_a_span_per_call(ring: OwnRing) -> None:
    """The decorator keeps the function and times each call."""

    @shmtel.span("work", {"kind": "sync"})
    def work(value: int) -> int:
        """Double."""
        return 2 * value

    assert [work(2), work(3)] == [4, 6]
    assert (work.__name__, work.__doc__) == ("work", "Double.")
    events = ring.events()
    assert [event.name for event in events] == ["work.start", "work.stop"] * 2
    assert events[0].span_id != events[2].span_id


def test_decorated_coroutine_is_a_span_of_its_run(ring: OwnRing) -> None:
    """An async function is timed while it runs, also beside others."""

    @shmtel.span("work")
    async def work(delay: float) -> None:
        await asyncio.sleep(delay)
        shmtel.emit("inside", {"delay": delay})

    async def both() -> None:
        await asyncio.gather(work(0.02), work(0.001))

    asyncio.run(both())
    events = ring.events()
    starts = [event.span_id for event in events if event.name == "work.start"]
    inside = {event.measurements["delay"]: event.parent_id for event in events
              if event.name == "inside"}  # fmt: skip
    assert inside == {0.02: starts[0], 0.001: starts[1]}
    assert [event.name for event in events].count("work.stop") == 2


def test_cancelled_coroutine_ends_its_span(ring: OwnRing) -> None:
    """Cancellation is an end of a span, not its absence."""

    async def main() -> None:
        @shmtel.span("work")
        async def work() -> None:
            await asyncio.sleep(60)

        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    end = ring.events()[-1]
    assert end.name == "work.exception"
    assert end.metadata is not None
    assert end.metadata["error_type"] == "asyncio.exceptions.CancelledError"


def test_generator_closed_elsewhere_leaves_the_context_alone(ring: OwnRing) -> None:
    """A span that ends in another context does not change that context."""

    def steps() -> Any:
        with shmtel.span("steps"):
            yield

    generator = steps()
    asyncio.run(_advance(generator))
    with shmtel.span("current") as current:
        generator.close()
        shmtel.emit("after", {})
    events = {event.name: event for event in ring.events()}
    assert events["after"].parent_id == current.span_id
    assert "steps.exception" in events


async def _advance(generator: Any) -> None:
    next(generator)


@pytest.mark.parametrize("arguments", [(), (None,), (5,), ("a", "b", "c", "d")])
def test_span_of_nothing_is_counted_not_raised(ring: OwnRing, arguments: Any) -> None:
    """A malformed span runs its block, and start and end are counted."""
    before = shmtel.stats()["dropped"]["invalid"]
    with shmtel.span(*arguments):
        pass
    assert shmtel.stats()["dropped"]["invalid"] == before + 2
    assert ring.events() == []


def test_exit_without_enter_is_counted(ring: OwnRing) -> None:
    """Misuse of the protocol is counted too."""
    before = shmtel.stats()["dropped"]["invalid"]
    shmtel.span("never").__exit__(None, None, None)
    span = shmtel.span("twice")
    with span, span:
        pass
    assert shmtel.stats()["dropped"]["invalid"] == before + 3
    assert [event.name for event in ring.events()] == ["twice.start", "twice.stop"]


def test_span_takes_part_in_garbage_collection() -> None:
    """A cycle through a span's metadata is collected."""

    class Anchor:
        pass

    anchor = Anchor()
    metadata: dict[str, object] = {"anchor": anchor}
    metadata["span"] = shmtel.span("cycle", metadata)
    reference = weakref.ref(anchor)
    del anchor, metadata
    gc.collect()
    assert reference() is None
