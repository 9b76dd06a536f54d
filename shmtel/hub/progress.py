"""The batches of one stream, from their handlers to their acks.

Handlers with a thread of their own finish a batch when they do, in any order.
An ack covers all batches before it, and the position of a ring all its earlier
segments: so a batch goes on to the committer when it and all before it are done.

Rules:
- the lock here is held while the committer's is taken, never the other way round.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from shmtel.hub.measures.instrument import Delta
from shmtel.hub.sinks import Marks
from shmtel.hub.table import Change


class Deed(Protocol):
    """Something that is done when everybody who works on it has let go."""

    def hold(self) -> None:
        """Wait for one more."""

    def release(self) -> None:
        """Wait for one less."""


class Errand:
    """A deed that can be waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 1
        self._done = threading.Event()

    def hold(self) -> None:
        """Wait for one more."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """Wait for one less."""
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._done.set()

    def wait(self) -> None:
        """Let go, and wait for the others."""
        self.release()
        self._done.wait()


class Work:
    """A batch in work. Whoever began it holds it first."""

    __slots__ = (
        *("_holders", "_progress"),
        *("batch_seq", "changes", "delta", "payload_bytes", "token"),
    )

    def __init__(
        self, progress: "Progress", batch_seq: int, payload_bytes: int, token: int
    ) -> None:
        self._progress = progress
        self._holders = 1
        self.batch_seq = batch_seq
        self.payload_bytes = payload_bytes
        self.token = token  # of the sinks' marks
        self.changes: Sequence[Change] = ()
        self.delta: Delta | None = None  # what its events add to metrics

    def hold(self) -> None:
        """Wait for one more handler."""
        self._progress.hold(self)

    def release(self) -> None:
        """Wait for one handler less."""
        self._progress.release(self)

    def committed(self) -> None:
        """Note that it is safe, and with it all before it on its stream."""
        self._progress.committed(self.batch_seq)

    @property
    def stream(self) -> object:
        """What tells the batches of one stream from others'."""
        return self._progress


class Progress:
    """How far the batches of a stream have come."""

    def __init__(
        self,
        marks: Marks,
        submit: Callable[[Sequence[Work]], None],
        on_committed: Callable[[int], None],
    ) -> None:
        self._marks = marks
        self._submit = submit
        self._on_committed = on_committed
        self._lock = threading.Lock()
        self._unfinished: deque[Work] = deque()
        self._last_begun = self._last_settled = 0

    def begin(self, batch_seq: int, payload_bytes: int = 0) -> Work:
        """Begin with a batch, before any handler sees it."""
        work = Work(self, batch_seq, payload_bytes, self._marks.begin())
        with self._lock:
            self._unfinished.append(work)
            self._last_begun = batch_seq
        return work

    def drop(self, work: Work) -> None:
        """Forget the last batch, which broke; it has had no effect on its rings."""
        with self._lock:
            assert self._unfinished[-1] is work
            self._unfinished.pop()
            self._last_begun = work.batch_seq - 1

    def hold(self, work: Work) -> None:
        """Wait for one more handler of a batch."""
        with self._lock:
            work._holders += 1

    def release(self, work: Work) -> None:
        """Wait for one handler less; hand on what is done, in order."""
        with self._lock:
            work._holders -= 1
            done: list[Work] = []
            while self._unfinished and not self._unfinished[0]._holders:
                done.append(self._unfinished.popleft())
            if done:
                self._submit(done)

    def committed(self, batch_seq: int) -> None:
        """Tell the stream that all batches up to one are safe; it settles them."""
        self._on_committed(batch_seq)

    def settle(self, batch_seq: int) -> None:
        """Note that all batches up to one are acknowledged."""
        self._last_settled = batch_seq

    @property
    def is_idle(self) -> bool:
        """Whether everything that was begun is acknowledged."""
        return self._last_settled == self._last_begun
