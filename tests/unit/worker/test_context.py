"""The caller's context in threads: wrap and ContextExecutor."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import shmtel
from support.own_ring import OwnRing
from support.processes import run_python
from support.program import fresh_namespace


def seen() -> tuple[str | None, str | None]:
    """Return correlation ID and span of this thread."""
    span = shmtel.current_span()
    return shmtel.get_correlation_id(), span.span_id if span else None


def test_pool_has_the_context_of_each_caller(ring: OwnRing) -> None:
    """Calls of one pool see the ID and the span of who submitted them."""
    with shmtel.ContextExecutor(1) as pool, ThreadPoolExecutor(1) as plain:
        with shmtel.correlation("one"), shmtel.span("a") as span:
            first = pool.submit(seen)
            assert plain.submit(seen).result() == (None, None)
        with shmtel.correlation("two"):
            second = pool.submit(seen)
        assert first.result() == ("one", span.span_id)
        assert second.result() == ("two", None)
        assert pool.submit(seen).result() == (None, None)


def test_map_has_it_too() -> None:
    """Every item runs in the context of the call of map."""
    with shmtel.ContextExecutor(4) as pool, shmtel.correlation("mapped"):
        found = list(pool.map(lambda _: shmtel.get_correlation_id(), range(20)))
    assert found == ["mapped"] * 20


def test_event_in_a_pool_has_its_parent(ring: OwnRing) -> None:
    """A span in a pool's thread is a child of the caller's."""
    with shmtel.ContextExecutor(2) as pool, shmtel.span("caller") as caller:
        pool.submit(shmtel.span("called")(seen)).result()
    starts = {event.name: event for event in ring.events()}
    assert starts["called.start"].parent_id == caller.span_id


def test_what_a_call_sets_stays_in_it() -> None:
    """Neither the caller nor the next call of the thread sees it."""
    with shmtel.ContextExecutor(1) as pool:
        pool.submit(shmtel.set_correlation_id, "leaked").result()
        assert pool.submit(seen).result() == (None, None)


def test_executor_passes_results_and_errors() -> None:
    """Arguments go in, results and exceptions come out."""

    def divide(a: int, *, by: int) -> float:
        return a / by

    with shmtel.ContextExecutor(1) as pool:
        assert pool.submit(divide, 6, by=3).result() == 2
        with pytest.raises(ZeroDivisionError):
            pool.submit(divide, 6, by=0).result()


def test_wrapped_function_runs_in_the_context_of_wrapping() -> None:
    """A thread that is started later has what was in force then."""
    found = []
    with shmtel.correlation("bound"):
        bound = shmtel.wrap(lambda: found.append(shmtel.get_correlation_id()))
    threads = [threading.Thread(target=bound) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["bound"] * 4
    assert shmtel.get_correlation_id() is None


def test_wrapped_calls_may_overlap_and_nest() -> None:
    """Each call has a copy: a context cannot be entered twice."""

    @shmtel.wrap
    def outer(depth: int) -> int:
        return outer(depth - 1) + 1 if depth else 0

    assert outer(5) == 5
    assert outer.__name__ == "outer"


def test_run_in_executor_with_a_wrapped_function() -> None:
    """The event loop's own pool works with it."""

    async def main() -> Any:
        with shmtel.correlation("loop"):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(None, shmtel.wrap(seen))

    assert asyncio.run(main()) == ("loop", None)


async def coroutine() -> None:
    """A coroutine function."""


def generator() -> Any:
    """A generator function."""
    yield


@pytest.mark.parametrize("function", [coroutine, generator])
def test_what_runs_later_cannot_be_wrapped(function: Callable[[], Any]) -> None:
    """A call would only make it, and the context would be gone when it runs."""
    with pytest.raises(TypeError, match="plain functions"):
        shmtel.wrap(function)


INTERRUPTED = {
    "set": """
        tokens = [(each, each.set([index])) for each in others]
        for each, token in tokens:
            each.reset(token)
""",
    "copy": "        contextvars.copy_context().run(int)",
    "correlation": """
        with shmtel.correlation("id", traceparent=HEADER), shmtel.span("work"):
            shmtel.reset_correlation_id(shmtel.set_correlation_id("inner"))
""",
}


@pytest.mark.parametrize("work", INTERRUPTED.values(), ids=INTERRUPTED)
def test_collections_that_change_the_context_harm_nobody(work: str) -> None:
    """A span in a finalizer or a callback of the collector may come at any moment."""
    code = f"""
import contextvars, gc, shmtel
HEADER = "00-{32 * "a"}-{16 * "b"}-01"
def callback(phase, info):
    with shmtel.span("outer"), shmtel.correlation("other"), shmtel.span("inner"):
        assert shmtel.get_correlation_id() == "other"
others = [contextvars.ContextVar(str(index)) for index in range(40)]
for each in others: each.set([])
def main():
    for index in range(200):
{work}
shmtel.enable()
gc.callbacks.append(callback)
gc.set_threshold(1)
main()
gc.callbacks.clear()
assert [each.get() for each in others] == [[]] * 40
assert shmtel.current_span() is None and shmtel.get_correlation_id() is None
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
