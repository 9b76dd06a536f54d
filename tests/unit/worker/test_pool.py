"""A line in front of a pool: who waits, for how long, and with whom."""

import gc
import os
import threading

import pytest

import shmtel
from shmtel.pool import RequestQueue
from shmtel.testing import capture


def test_wait_and_depth_are_measured() -> None:
    """Depth counts who waits: with the one that comes, without the one that goes."""
    line = RequestQueue("render", pool="web")
    with capture() as captured:
        first, second = line.enqueued("predict"), line.enqueued()
        second.dequeued()
        first.timed_out()
    events = [
        (event.name, event.measurements["queue_depth"]) for event in captured.events
    ]
    assert events == [
        ("pool.queue.enqueued", 1),
        ("pool.queue.enqueued", 2),
        ("pool.queue.dequeued", 1),
        ("pool.queue.timeout", 0),
    ]
    assert [event.metadata for event in captured.events] == [
        {"queue": "render", "subject_pool": "web", "command": "predict"},
        {"queue": "render", "subject_pool": "web"},
        {"queue": "render", "subject_pool": "web"},
        *(
            {"queue": "render", "subject_pool": "web", "command": "predict"} | more
            for more in ({"reason": "timeout"},)
        ),
    ]
    assert all(event.measurements["wait"] >= 0 for event in captured.events[2:])


def test_ticket_ends_once() -> None:
    """Whoever is first ends it; afterwards nothing is told."""
    line = RequestQueue("render")
    ticket = line.enqueued()
    with capture() as captured:
        for end in (ticket.dequeued, ticket.dequeued, ticket.timed_out):
            end()
    assert captured.names() == ["pool.queue.dequeued"]
    assert line.depth == 0


def test_both_ends_have_one_correlation_id() -> None:
    """The one in force when the request came, also where another one takes it."""
    line = RequestQueue("render")
    with capture() as captured:
        with shmtel.correlation("request-7"):
            ticket = line.enqueued()
        with shmtel.correlation("other"):
            ticket.dequeued()
    assert [event.correlation_id for event in captured.events] == ["request-7"] * 2


@pytest.mark.parametrize(
    ("error", "reason"), [(TimeoutError, "timeout"), (KeyError, "KeyError")]
)
def test_block_that_raises_got_no_worker(
    error: type[BaseException], reason: str
) -> None:
    """Its exception is the reason, and passes on."""
    line = RequestQueue("render")
    with capture() as captured, pytest.raises(error), line.enqueued():
        raise error
    (end,) = captured.matching("pool.queue.timeout")
    assert end.metadata["reason"] == reason


def test_block_that_ends_got_its_worker() -> None:
    """The end of the block is the end of the wait."""
    with capture() as captured, RequestQueue("render").enqueued():
        assert captured.names() == ["pool.queue.enqueued"]
    assert captured.names() == ["pool.queue.enqueued", "pool.queue.dequeued"]


def test_forgotten_ticket_does_not_count() -> None:
    """A depth does not grow for ever by requests that nobody ends."""
    line = RequestQueue("render")
    line.enqueued()
    gc.collect()
    assert line.depth == 0


def test_child_has_a_line_of_its_own() -> None:
    """Those in line at the fork are the parent's, who alone ends them."""
    line = RequestQueue("render")
    ticket = line.enqueued()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with capture() as captured:
                ticket.dequeued()
                own = line.enqueued()
                own.dequeued()
            ends = ["pool.queue.enqueued", "pool.queue.dequeued"]
            depths = [event.measurements["queue_depth"] for event in captured.events]
            status = 0 if (captured.names(), depths) == (ends, [1, 0]) else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    with capture() as captured:
        ticket.dequeued()
    assert captured.names() == ["pool.queue.dequeued"]


def test_threads_share_a_line() -> None:
    """However they interleave, each ticket ends once and nobody is left in line."""
    line = RequestQueue("render")
    tickets = [line.enqueued() for _ in range(500)]

    def end_all() -> None:
        for ticket in tickets:
            ticket.dequeued()

    with capture() as captured:
        threads = [threading.Thread(target=end_all) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(captured.events) == 500
    assert line.depth == 0
