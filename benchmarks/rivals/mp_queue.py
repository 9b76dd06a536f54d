"""multiprocessing.Queue: pickled by a thread of the producer, read by a process.

Each producing process has a queue and a consumer of its own, which is the best
case: one queue for all would be a lock between them.
"""

import multiprocessing
import sys
import time
from functools import partial
from typing import Any

from measure import CORRELATION_ID, EVENT, MEASUREMENTS, METADATA

from rivals import Sender


def _consume(queue: Any, count: Any) -> None:
    while queue.get() is not None:
        count.value += 1


def open_queue(address: str) -> Sender:
    """Put tuples into a queue without bound, as by default."""
    context = multiprocessing.get_context("spawn")
    queue, count = context.Queue(), context.Value("q", 0, lock=False)
    consumer = context.Process(target=_consume, args=(queue, count), daemon=True)
    consumer.start()
    item = (EVENT, MEASUREMENTS, METADATA, CORRELATION_ID)

    def flush() -> None:
        while queue.qsize():
            time.sleep(0.005)

    def kept() -> int:
        before = -1
        while (now := count.value) != before:
            before = now
            time.sleep(0.05)
        return now

    def close() -> None:
        queue.put(None)
        consumer.join()
        sys.exit()  # the package's own hooks give back its semaphores

    return Sender(
        partial(queue.put, item),
        flush=flush,
        kept=kept,
        is_behind=lambda: queue.qsize() > 10_000,
        close=close,
    )
