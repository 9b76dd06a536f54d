"""A Celery application whose prefork pool makes a new worker for each task.

Run as a program it is its client: it sends tasks and waits until all are done.
"""

import gc
import os
import sys

from celery import Celery, group
from celery.signals import worker_before_create_process

import shmtel

RESULTS_S = 240

app = Celery(
    "recycled",
    broker=os.environ["RECYCLED_REDIS"],
    backend=os.environ["RECYCLED_REDIS"],
)
app.conf.update(
    worker_max_tasks_per_child=1,
    worker_prefetch_multiplier=32,
    broker_connection_retry_on_startup=True,
    result_expires=600,
)


@worker_before_create_process.connect  # type: ignore[untyped-decorator]
def freeze(**_: object) -> None:
    """Spare the full collection that Celery makes before each fork: 50 ms of CPU."""
    gc.freeze()


@app.task(name="recycled.work")  # type: ignore[untyped-decorator]
def work(number: int) -> int:
    """Do a task: one span, the only one of its process."""
    with shmtel.span("recycled.task", {"number": number}):
        return number


def main(count: int) -> None:
    """Send the tasks, and wait for them."""
    sent = group(work.s(number) for number in range(count)).apply_async()
    assert sorted(sent.get(timeout=RESULTS_S)) == list(range(count))


if __name__ == "__main__":
    main(int(sys.argv[1]))
