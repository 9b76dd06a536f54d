"""Spans of tasks: parents, cancellation, TaskGroup and timeouts."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest

import shmtel
from support.own_ring import Event, OwnRing


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function in a loop of its own."""
    asyncio.run(main())


def ends(events: list[Event]) -> dict[str, tuple[str, str | None]]:
    """Return how each operation ended: name of the last segment, and outcome."""
    found = {}
    for event in events:
        operation, _, moment = event.name.rpartition(".")
        if moment != "start":
            outcome = event.metadata["outcome"] if event.metadata else None
            found[operation] = (moment, outcome)
    return found


def parents(events: list[Event]) -> dict[str, str | None]:
    """Return the operation that each operation's spans have as parent."""
    starts = [event for event in events if event.name.endswith(".start")]
    operations = {e.span_id: e.name.removesuffix(".start") for e in starts}
    return {e.name.removesuffix(".start"): operations.get(e.parent_id) for e in starts}


async def work(operation: str, seconds: float = 60.0) -> None:
    """Wait inside a span that is inside a span."""
    with shmtel.span(operation), shmtel.span(f"{operation}.inner"):
        await asyncio.sleep(seconds)


def test_timeout_cancels_the_spans_inside(ring: OwnRing) -> None:
    """Inside the timeout spans are cancelled; around it TimeoutError is an error."""

    async def main() -> None:
        with pytest.raises(TimeoutError), shmtel.span("around"):
            async with asyncio.timeout(0.001):
                await work("slow")

    run(main)
    events = ring.events()
    assert ends(events) == {
        "slow.inner": ("exception", "cancelled"),
        "slow": ("exception", "cancelled"),
        "around": ("exception", "error"),
    }
    assert parents(events) == {"around": None, "slow": "around", "slow.inner": "slow"}


def test_timeout_that_does_not_expire_leaves_no_mark(ring: OwnRing) -> None:
    """What is done in time ends well."""

    async def main() -> None:
        async with asyncio.timeout(60):
            await work("quick", 0)

    run(main)
    assert ends(ring.events()) == {
        "quick.inner": ("stop", None),
        "quick": ("stop", None),
    }


def test_wait_for_cancels_the_task_s_spans(ring: OwnRing) -> None:
    """A task that wait_for gives up ends its spans before that returns."""

    async def main() -> None:
        with shmtel.span("around"), pytest.raises(TimeoutError):
            await asyncio.wait_for(work("slow"), 0.001)

    run(main)
    events = ring.events()
    assert ends(events)["slow"] == ("exception", "cancelled")
    assert ends(events)["around"] == ("stop", None)
    assert parents(events)["slow"] == "around"


def test_task_group_cancels_the_siblings_of_a_failure(ring: OwnRing) -> None:
    """One task fails, the others are cancelled, and the group is an error."""

    async def fail() -> None:
        with shmtel.span("failing"):
            await asyncio.sleep(0.001)
            raise ValueError("no")

    async def main() -> None:
        with shmtel.span("group"):
            async with asyncio.TaskGroup() as group:
                group.create_task(work("left"))
                group.create_task(work("right"))
                group.create_task(fail())

    with pytest.raises(ExceptionGroup):
        run(main)
    events = ring.events()
    assert ends(events) == {
        "left": ("exception", "cancelled"),
        "left.inner": ("exception", "cancelled"),
        "right": ("exception", "cancelled"),
        "right.inner": ("exception", "cancelled"),
        "failing": ("exception", "error"),
        "group": ("exception", "error"),
    }
    assert parents(events) == {
        "group": None,
        "left": "group",
        "left.inner": "left",
        "right": "group",
        "right.inner": "right",
        "failing": "group",
    }
    end = next(event for event in events if event.name == "group.exception")
    assert end.metadata is not None
    assert end.metadata["error_type"] == "ExceptionGroup"


def test_tasks_of_a_group_are_children_of_its_span(ring: OwnRing) -> None:
    """Tasks that take turns keep their own spans, whatever runs in between."""

    async def main() -> None:
        with shmtel.span("group"):
            async with asyncio.TaskGroup() as group:
                for index in range(5):
                    group.create_task(work(f"task.{index}", 0.001 * (5 - index)))

    run(main)
    events = ring.events()
    found = parents(events)
    for index in range(5):
        assert found[f"task.{index}"] == "group"
        assert found[f"task.{index}.inner"] == f"task.{index}"
    assert {moment for moment, _ in ends(events).values()} == {"stop"}


def test_cancellation_that_is_caught_does_not_end_the_outer_span(
    ring: OwnRing,
) -> None:
    """A span whose code handles the cancellation itself ends well."""

    async def main() -> None:
        async def handling() -> None:
            with shmtel.span("outer"):
                try:
                    await work("slow")
                except asyncio.CancelledError:
                    shmtel.emit("handled", {})

        task = asyncio.create_task(handling())
        await asyncio.sleep(0)
        task.cancel()
        await task

    run(main)
    events = ring.events()
    assert ends(events)["slow"] == ("exception", "cancelled")
    assert ends(events)["outer"] == ("stop", None)
    (handled,) = (event for event in events if event.name == "handled")
    starts = {e.name: e.span_id for e in events if e.name.endswith(".start")}
    assert handled.parent_id == starts["outer.start"]


def test_thread_of_to_thread_is_inside_the_span(ring: OwnRing) -> None:
    """asyncio.to_thread carries the context, and with it the parent."""

    def blocking() -> None:
        with shmtel.span("thread"):
            pass

    async def main() -> None:
        with shmtel.span("around"):
            await asyncio.to_thread(blocking)

    run(main)
    assert parents(ring.events())["thread"] == "around"


@pytest.mark.parametrize("count", [1, 20])
def test_loop_closes_what_was_left_of_asynchronous_generators(
    ring: OwnRing, count: int
) -> None:
    """At its end each is closed once, and its span cancelled; the loop complains not.

    Which of several a loop closes first is chance.
    """

    @shmtel.span("left")
    async def left() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            shmtel.emit("closed", {})

    complaints: list[dict[str, Any]] = []
    kept = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        for _ in range(count):
            kept.append(left())
            await anext(kept[-1])

    run(main)
    assert complaints == []
    names = [event.name for event in ring.events()]
    assert names.count("closed") == names.count("left.exception") == count
