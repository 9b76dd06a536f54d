"""Defects of the kind that the oracle exists to find, put into a program on purpose.

Each breaks a rule that delivery rests on, in a few lines. A run with one of them
has to be reported, or the oracle proves nothing.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from support.chaos.patches import patch


def settle_early() -> None:
    """The collector releases what it has sent, before the hub acknowledges it."""

    def wrap(send: Callable[..., Any]) -> Callable[..., Any]:
        def patched(session: Any, batch: Any) -> None:
            send(session, batch)
            for segment in batch.segments:
                ring = session._numbers[segment.ring]
                source = ring.source
                totals = [source.cursor_seq, *[0] * (len(source.totals) - 1)]
                seq = source.cursor_seq
                source.settle(source.cursor, seq, seq, totals)

        return patched

    patch("shmtel_collector.session:Session.send", wrap)


def lie_in_a_segment() -> None:
    """The collector sends an empty segment and says that all of it was rejected."""

    def wrap(take: Callable[..., Any]) -> Callable[..., Any]:
        calls = 0

        def patched(ring: Any, budget: int) -> Any:
            nonlocal calls
            segment = take(ring, budget)
            calls += segment is not None
            if segment is None or calls % 2 or segment.counts:
                return segment
            from shmtel.wire.frames import Outcome, SegmentCount

            count = SegmentCount(0, Outcome.REJECTED_MALFORMED, segment.delivered)
            nothing = b"\xdd\0\0\0\0"
            return replace(segment, delivered=0, events=nothing, counts=(count,))

        return patched

    patch("shmtel_collector.ring:Ring.take", wrap)


def deliver_later() -> None:
    """The hub acknowledges before the handlers have run."""

    def wrap(deliver: Callable[..., Any]) -> Callable[..., Any]:
        waiting: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

        def work() -> None:
            while True:
                due, arguments = waiting.get()
                time.sleep(max(0.0, due - time.monotonic()))
                deliver(*arguments)

        threading.Thread(target=work, daemon=True).start()

        def patched(*arguments: Any) -> None:
            waiting.put((time.monotonic() + 2.0, arguments))

        return patched

    patch("shmtel.hub.dispatch:Dispatcher.deliver", wrap)


def deliver_twice() -> None:
    """The hub hands a segment to its handlers a second time."""

    def wrap(deliver: Callable[..., Any]) -> Callable[..., Any]:
        calls = 0

        def patched(*arguments: Any) -> None:
            nonlocal calls
            calls += 1
            deliver(*arguments)
            if calls % 10 == 0:
                deliver(*arguments)

        return patched

    patch("shmtel.hub.dispatch:Dispatcher.deliver", wrap)


def deliver_backwards() -> None:
    """The hub hands out the records of a segment in the wrong order."""

    def wrap(deliver: Callable[..., Any]) -> Callable[..., Any]:
        def patched(dispatcher: Any, source: Any, records: Any, *rest: Any) -> None:
            deliver(dispatcher, source, records[::-1], *rest)

        return patched

    patch("shmtel.hub.dispatch:Dispatcher.deliver", wrap)


def forget_a_ring() -> None:
    """The collector removes a finished ring without writing it down."""

    def wrap(finish: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *_arguments: None

    patch("shmtel_collector.state:State.finish", wrap)


SABOTAGES: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        settle_early,
        lie_in_a_segment,
        deliver_later,
        deliver_twice,
        deliver_backwards,
        forget_a_ring,
    )
}
BY_PROGRAM = {
    "collector": ("settle_early", "lie_in_a_segment", "forget_a_ring"),
    "hub": ("deliver_later", "deliver_twice", "deliver_backwards"),
}
