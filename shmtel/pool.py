"""What only an application knows of a pool: who waits in line for a worker.

    line = RequestQueue("render")

    with line.enqueued("predict"):
        worker = pool.acquire(timeout=5)

    ticket = line.enqueued("predict")
    ...
    ticket.dequeued()  # or ticket.timed_out()

A ticket stands for one request that waits. It ends once, whoever is first, and what
it emits at its end has the correlation ID that was in force at its beginning. One
that is forgotten without an end no longer counts to the depth, and emits nothing.

Rules:
- depth is that of this process: a queue between processes is counted by those who
  put and take, each for itself;
- a forked child starts with nobody in line, and the tickets that it has inherited
  are its parent's to end;
- no lock: a set's add and remove are one step each, so threads may share a queue;
- nothing raises for telemetry's sake.
"""

import os
import time
from types import TracebackType
from weakref import WeakSet

from shmtel._ring import emit, get_correlation_id

_Description = dict[str, str]


class RequestQueue:
    """A line in front of a pool's workers.

    Args:
        name: names the line, among those of the program.
        pool: the pool that serves it, if it is another than this process's.
    """

    def __init__(self, name: str, *, pool: str | None = None) -> None:
        self._about = {"queue": name, **({"subject_pool": pool} if pool else {})}
        self._pid = os.getpid()
        self._waiting: WeakSet[Ticket] = WeakSet()

    @property
    def depth(self) -> int:
        """How many requests wait now."""
        return len(self._line())

    def enqueued(self, command: str | None = None) -> "Ticket":
        """Say that a request has begun to wait; return what stands for it.

        Args:
            command: what is asked for, such as the name of a tool.
        """
        about = self._about if command is None else {**self._about, "command": command}
        ticket = Ticket(self, about)
        self._line().add(ticket)
        emit("pool.queue.enqueued", {"queue_depth": self.depth}, about)
        return ticket

    def _line(self) -> "WeakSet[Ticket]":
        if self._pid != os.getpid():  # those in line are the parent's
            self._waiting = WeakSet()
            self._pid = os.getpid()
        return self._waiting

    def _leave(self, ticket: "Ticket") -> bool:
        try:
            self._line().remove(ticket)
        except KeyError:
            return False
        return True


class Ticket:
    """A request that waits; as a context manager it waits inside of the block."""

    def __init__(self, queue: RequestQueue, about: _Description) -> None:
        self._queue = queue
        self._about = about
        self._correlation_id = get_correlation_id()
        self._since_ns = time.monotonic_ns()

    def dequeued(self) -> None:
        """Say that a worker has taken the request."""
        self._end("pool.queue.dequeued", self._about)

    def timed_out(self, reason: str = "timeout") -> None:
        """Say that nobody will take the request any more.

        Args:
            reason: why, if it is not that the time was over.
        """
        self._end("pool.queue.timeout", {**self._about, "reason": reason})

    def __enter__(self) -> "Ticket":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """A block that raises has got no worker; the exception is the reason."""
        if kind is None:
            self.dequeued()
        else:
            self.timed_out(
                "timeout" if issubclass(kind, TimeoutError) else kind.__name__
            )

    def _end(self, event: str, about: _Description) -> None:
        if self._queue._leave(self):
            wait_ns = time.monotonic_ns() - self._since_ns
            measurements = {"wait": wait_ns, "queue_depth": self._queue.depth}
            emit(event, measurements, about, self._correlation_id)
