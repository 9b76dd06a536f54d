"""A worker of a chaos run: emits what payload.py says, and notes each call.

Run as a program with its task as JSON. It goes on until it is told to end
(SIGTERM) or its calls are done. Some workers fork a child now and then, which is
a worker of its own.
"""

import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

import shmtel
from support.chaos.calls import MAX_CALLS, CallWriter, Fate
from support.chaos.payload import call_of, opens_span, operation_of


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker has to do.

    Attributes:
        bursts: calls in a row, at most.
        pause_s: between bursts, at most.
        fork_share: of the bursts after which there is a child.
        leaves: how it ends when it is done: `exit`, or `_exit` without farewell.
    """

    worker: str
    seed: int
    directory: str
    calls: int = MAX_CALLS
    bursts: int = 100
    pause_s: float = 0.02
    largest_text: int = 200
    fork_share: float = 0.0
    leaves: str = "exit"

    def to_json(self) -> str:
        """Return it as the program's argument."""
        return json.dumps(asdict(self))


class Worker:
    """Does a task."""

    def __init__(self, task: Task) -> None:
        os.environ["SHMTEL_WORKER_ID"] = task.worker
        self._task = task
        self._draws = Random(f"{task.seed}/{task.worker}")
        directory = Path(task.directory)
        self._calls = CallWriter(directory, task.worker, task.largest_text)
        self._counts: tuple[str | None, int] = (None, 0)  # ring, and committed in it
        self._is_done = False
        self._children = 0

    def stop(self, *_signal: object) -> None:
        """Have it end after the burst."""
        self._is_done = True

    def run(self) -> None:
        """Emit until done."""
        index = 0
        while not self._is_done and index < self._task.calls:
            length = self._draws.randrange(1, self._task.bursts)
            index = self._burst(index, min(index + length, self._task.calls))
            if shmtel.stats()["ring_id"] is None:
                shmtel.enable()  # there may be room for a ring by now
            if self._draws.random() < self._task.fork_share:
                self._fork()
            time.sleep(self._draws.random() * self._task.pause_s)

    def _burst(self, index: int, end: int) -> int:
        """Make calls, and one more where a span is open; return the next index."""
        while index < end:
            if opens_span(index):
                self._span(index)
                index += 2
            else:
                self._emit(index)
                index += 1
        return index

    def _emit(self, index: int) -> None:
        call = call_of(self._task.worker, index, self._task.largest_text)
        self._calls.note(index, Fate.BEGUN)
        shmtel.emit(call.event, call.measurements, call.metadata, call.correlation_id)
        self._calls.note(index, self._fate())

    def _span(self, index: int) -> None:
        operation = operation_of(self._task.worker, index)
        span = shmtel.span(operation.name, operation.metadata, operation.correlation_id)
        with ExitStack() as stack:
            self._calls.note(index, Fate.BEGUN)
            stack.enter_context(span)
            self._calls.note(index, self._fate())
            self._calls.note(index + 1, Fate.BEGUN)
        self._calls.note(index + 1, self._fate())

    def _fate(self) -> Fate:
        """Look what the last call has moved."""
        stats = shmtel.stats()
        ring_id, committed = stats["ring_id"], stats["committed"]
        if ring_id is None:
            return Fate.NO_RING
        before = self._counts[1] if self._counts[0] == ring_id else 0
        self._counts = (ring_id, committed)
        return Fate.COMMITTED if committed > before else Fate.DROPPED

    def _fork(self) -> None:
        self._children += 1
        child = replace(
            self._task,
            worker=f"{self._task.worker}c{self._children}",
            calls=self._draws.randrange(1, 2_000),
            fork_share=0.0,
        )
        if os.fork() == 0:
            _work(child)


def _work(task: Task) -> None:
    worker = Worker(task)
    signal.signal(signal.SIGTERM, worker.stop)
    worker.run()
    if task.leaves == "_exit":
        os._exit(0)
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    _work(Task(**json.loads(sys.argv[1])))
