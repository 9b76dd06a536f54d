"""A real Celery worker with our signals: what it knows arrives at a real hub."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.celery_worker import EXPIRES_S, TRACE, CeleryScene
from support.noted_line import NotedLine, noted_line
from support.processes import wait_until


@pytest.fixture
def line(tmp_path: Path) -> Iterator[NotedLine]:
    """Run hub and collector."""
    with noted_line(tmp_path) as line:
        yield line


def test_what_celery_knows_arrives(line: NotedLine, tmp_path: Path) -> None:
    """Readiness, tasks and their wait, saturation, expiry, and a killed process."""
    scene = CeleryScene(line, tmp_path / "celery")
    with scene.worker():
        (initialized,) = line.wait_for("pool.initialized")
        assert initialized.measurements["workers"] == 2
        assert initialized.metadata["subject_pool"] == "tasks"
        assert initialized.metadata["pool_name"] == "tasks.master"

        scene.send("tasks")
        check_task_of_a_trace(line)
        check_task_that_fails(line)
        scene.send("more than there are processes")
        wait_until(lambda: is_saturated(line), 20)
        time.sleep(EXPIRES_S)  # of the clock that Celery looks at
        scene.release()
        (expired,) = line.wait_for("pool.queue.timeout")
        assert expired.metadata["reason"] == "expired"
        line.wait_for("pool.queue.dequeued", 6)

        scene.send("one that dies")
        (lost,) = line.wait_for("python.call.exception", command="told.die")
        assert lost.metadata["error_type"] == "billiard.exceptions.WorkerLostError"
        assert lost.metadata["pool_name"] == "tasks.master"
        line.wait_for("pool.worker.booted", 3)
    line.wait_for("pool.worker.exited", 2, reason="exit", subject_pool="tasks")
    check_queue(line)
    line.check_ledger()


def is_saturated(line: NotedLine) -> bool:
    """Say whether a status has told of a full pool, and of one that waits.

    With a broker that is polled Celery reads no further than that.
    """
    return any(
        status.measurements["busy_workers"] == 2
        and status.measurements["available_workers"] == 0
        and status.measurements["queue_depth"] == 1
        for status in line.named("pool.status", subject_pool="tasks")
    )


def check_task_of_a_trace(line: NotedLine) -> None:
    """See that a task, and the one that it sends, are of their client's trace."""
    (sent,) = line.wait_for("sent.start")
    first, second = line.wait_for("python.call.stop", 2, command="told.work")
    assert first.metadata["parent_id"] == sent.metadata["span_id"]
    assert second.metadata["parent_id"] == first.metadata["span_id"]
    for event in ("pool.queue.enqueued", "pool.queue.dequeued", "worked"):
        assert len(line.wait_for(event, 2, correlation_id=TRACE)) == 2
    assert first.metadata.items() >= {
        *(("state", "SUCCESS"), ("correlation_id", TRACE), ("pool_name", "tasks")),
    }


def check_task_that_fails(line: NotedLine) -> None:
    """See that a failure is the call's, under the ID of the task itself."""
    (failed,) = line.wait_for("python.call.exception", command="told.fail")
    assert failed.metadata["error_message"] == "no such order"
    assert failed.metadata["correlation_id"] == failed.metadata["task_id"]


def check_queue(line: NotedLine) -> None:
    """See that whatever was enqueued was taken or not, and each had to wait."""
    dequeued = line.named("pool.queue.dequeued")
    timeouts = line.named("pool.queue.timeout")
    assert len(line.named("pool.queue.enqueued")) == len(dequeued) + len(timeouts)
    assert all(event.measurements["wait"] > 0 for event in dequeued)
    assert {event.metadata["queue"] for event in dequeued} == {"celery"}
