"""Many threads that emit at once share one ring, and lose nothing in it."""

from collections import defaultdict

import pytest

from support.own_ring import Event
from support.processes import left_rings, run_python
from support.program import fresh_namespace

THREADS = 32
ROUNDS = 150

# Each thread: a known name, a name of its own, a name that others register at the
# same moment, arguments to be made plain, and a span; all with its number.
CODE = """
import sys, threading, shmtel
sys.setswitchinterval(1e-5)
start = threading.Barrier(THREADS)
def work(thread):
    start.wait()
    for index in range(ROUNDS):
        numbers = {"thread": thread, "n": index}
        shmtel.emit("common", numbers)
        shmtel.emit("own.%d" % thread, numbers)
        shmtel.emit("shared.%d" % index, numbers)
        shmtel.emit("odd", numbers, {"x": (1, {2}, object)}, "c-%d" % thread)
        with shmtel.span("work.%d" % (index % 10), numbers):
            shmtel.emit("inside", numbers)
PREPARE
threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
for thread in threads: thread.start()
for thread in threads: thread.join()
stats = shmtel.stats()
assert stats["committed"] == stats["emitted"] == 7 * THREADS * ROUNDS + FIRST, stats
"""


KINDS = (
    *("common", "own.{thread}", "shared.{index}", "odd"),
    *("work.{work}.start", "inside", "work.{work}.stop"),
)


def _thread_of(event: Event) -> int | float | None:
    """Return who emitted it: spans say so in their metadata."""
    of_span: int | None = (event.metadata or {}).get("thread")
    return event.measurements.get("thread") if of_span is None else of_span


@pytest.mark.parametrize("is_ring_there", [True, False])
def test_every_thread_s_events_are_there_in_order(is_ring_there: bool) -> None:
    """Exact counts for each thread and kind, in the order in which it emitted."""
    code = CODE.replace("PREPARE", "shmtel.emit('first', {})" if is_ring_there else "")
    code = code.replace("FIRST", str(int(is_ring_there)))
    code = code.replace("THREADS", str(THREADS)).replace("ROUNDS", str(ROUNDS))
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_RING_SIZE="16MiB")
        (ring,) = left_rings(namespace)
        seqs = [event.seq for event in ring.events]
        assert seqs == list(range(1, len(ring.events) + 1))
        assert ring.reader.totals[0] == sum(ring.reader.totals) == len(ring.events)
        by_thread: dict[object, list[Event]] = defaultdict(list)
        for event in ring.events[int(is_ring_there) :]:
            by_thread[_thread_of(event)].append(event)
        assert sorted(by_thread) == list(range(THREADS))
        for thread, events in by_thread.items():
            _check_thread(events, thread)


def _check_thread(events: list[Event], thread: object) -> None:
    assert [event.name for event in events] == [
        kind.format(thread=thread, index=index, work=index % 10)
        for index in range(ROUNDS)
        for kind in KINDS
    ]
    for start, inside, stop in zip(
        events[4::7], events[5::7], events[6::7], strict=True
    ):
        assert start.span == stop.span
        assert inside.parent_id == start.span_id
    assert {event.correlation_id for event in events[3::7]} == {f"c-{thread}"}
    assert [e.measurements["n"] for e in events[::7]] == list(range(ROUNDS))
