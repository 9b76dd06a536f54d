"""A Celery worker over Redis: tasks that wait in it, expire, overrun, are killed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.celery_worker import EXPIRES_S, CeleryScene
from support.noted_line import NotedLine, noted_line
from support.processes import wait_until
from support.redis_server import redis_server

pytestmark = pytest.mark.system


@pytest.fixture
def line(tmp_path: Path) -> Iterator[NotedLine]:
    """Run hub and collector."""
    with noted_line(tmp_path) as line:
        yield line


@pytest.fixture
def scene(line: NotedLine, tmp_path: Path) -> Iterator[CeleryScene]:
    """Run a broker."""
    with redis_server(tmp_path) as url:
        yield CeleryScene(line, tmp_path / "celery", url)


def test_tasks_that_wait_in_a_worker(line: NotedLine, scene: CeleryScene) -> None:
    """Those that it has fetched are its queue; one expires there, and is timed."""
    with scene.worker():
        line.wait_for("pool.initialized")
        scene.send("more than there are processes")
        wait_until(lambda: is_saturated(line), 20)
        time.sleep(EXPIRES_S)  # of the clock that Celery looks at
        scene.release()
        (expired,) = line.wait_for("pool.queue.timeout")
        assert expired.metadata["reason"] == "expired"
        assert expired.measurements["wait"] > EXPIRES_S * 1e9 / 2
        (waited,) = line.wait_for("pool.queue.dequeued", command="told.work")
        assert waited.measurements["wait"] > EXPIRES_S * 1e9 / 2
    check_balance(line)
    line.check_ledger()


def is_saturated(line: NotedLine) -> bool:
    """Say whether a status has told of a full pool, and of two that wait."""
    return any(
        status.measurements["busy_workers"] == 2
        and status.measurements["available_workers"] == 0
        and status.measurements["queue_depth"] == 2
        for status in line.named("pool.status", subject_pool="tasks")
    )


def test_tasks_that_go_with_their_process(line: NotedLine, scene: CeleryScene) -> None:
    """Each call has an end, told by the parent, since the process can not."""
    with scene.worker():
        line.wait_for("pool.initialized")
        scene.send("one that overruns")
        (overrun,) = line.wait_for("python.call.exception", command="told.overrun")
        assert overrun.metadata["error_type"] == "billiard.exceptions.TimeLimitExceeded"
        assert overrun.measurements["duration"] > 0.4e9
        scene.send("one that is terminated")
        (terminated,) = line.wait_for("python.call.exception", command="told.hold")
        assert terminated.metadata["outcome"] == "cancelled"
        assert terminated.metadata["task_id"] == "to-terminate"
        line.wait_for("pool.worker.booted", 4)
    starts = line.named("python.call.start")
    ends = line.named("python.call.stop") + line.named("python.call.exception")
    assert len(starts) == len(ends) == 2
    assert line.named("pool.queue.timeout") == []
    check_balance(line)
    line.check_ledger()


def test_processes_that_are_recycled(line: NotedLine, scene: CeleryScene) -> None:
    """With `max_tasks_per_child=1` each task has a worker, which ends in order."""
    with scene.worker("--max-tasks-per-child", "1"):
        line.wait_for("pool.initialized")
        scene.send("tasks")
        recycled = line.wait_for("pool.worker.exited", 3, reason="recycled")
        line.wait_for("pool.worker.booted", 5)
    assert len({event.metadata["worker_id"] for event in recycled}) == 3
    spawned = line.named("pool.worker.spawn_started")
    assert len(spawned) == len(line.named("pool.worker.booted"))
    assert len(line.named("pool.worker.spawn_started", reason="start")) == 2
    line.check_ledger()


def check_balance(line: NotedLine) -> None:
    """See that whatever was enqueued was taken or not."""
    ends = line.named("pool.queue.dequeued") + line.named("pool.queue.timeout")
    assert len(line.named("pool.queue.enqueued")) == len(ends)
