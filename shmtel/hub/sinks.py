"""Sinks that store each event once, over the death of the hub too.

A hub that is killed between a handler and its own transaction is sent the batch
again. A sink that stores `ring_id` and `seq` with each event can tell what it has
already, from what stands at its own end. How far back that end reaches is the
question: the hub keeps a mark for it, in the transaction that keeps the
positions. Everything before the mark belongs to batches that were committed, and
none of them comes again.

Of the batches in work each has noted the sinks' marks before any handler saw it.
The oldest of these notes is what is safe, or with nothing in work the mark of now.

Rules:
- a batch that never ends holds the mark back for good: then more is read at the
  next start, and nothing is stored twice.
"""

import threading
from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class ExactlyOnceSink(Protocol):
    """What a batch handler offers that can tell what it has stored.

    The hub asks for a mark before each batch, from any thread, also while the sink
    is busy in another: `mark` takes no lock that a call holds.
    """

    repeated: int  # events that came again, and were not stored again

    def mark(self) -> str:
        """Return where the sink ends; what a finished call has stored is before."""

    def recover(self, mark: str | None) -> None:
        """Find out what is stored behind a mark, to refuse it when it comes again.

        Args:
            mark: an earlier one of this sink, or of one that was replaced by it;
                None: none was kept, so that all that is there has to be looked at.
        """


_NONE: Mapping[str, str] = {}


class Marks:
    """The marks of all sinks.

    Args:
        kept: what the hub before this one has kept, by handler.
    """

    def __init__(self, kept: Mapping[str, str] | None = None) -> None:
        self._kept = dict(kept or {})
        self._lock = threading.Lock()
        self._sinks: dict[str, ExactlyOnceSink] = {}
        self._in_work: dict[int, Mapping[str, str]] = {}  # oldest first
        self._last_token = 0
        self._repeated = 0  # by sinks that are gone

    def recover(self, handler_id: str, sink: ExactlyOnceSink) -> None:
        """Let a sink find out what it has."""
        sink.recover(self._kept.get(handler_id))

    def add(self, handler_id: str, sink: ExactlyOnceSink) -> None:
        """Keep the marks of a sink from now on."""
        with self._lock:
            self._sinks[handler_id] = sink

    def remove(self, handler_id: str) -> None:
        """Keep the mark where it is."""
        with self._lock:
            sink = self._sinks.pop(handler_id, None)
            self._repeated += 0 if sink is None else sink.repeated

    def begin(self) -> int:
        """Note the marks before a batch is handed out; give them back by `finish`."""
        with self._lock:
            self._last_token += 1
            self._in_work[self._last_token] = self._now()
            return self._last_token

    def finish(self, tokens: Iterable[int]) -> dict[str, str]:
        """Return the marks to keep with the transaction of these batches."""
        with self._lock:
            for token in tokens:
                del self._in_work[token]
            safe = next(iter(self._in_work.values()), None)
            if safe is None:
                safe = self._now()
            moved = {k: m for k, m in safe.items() if self._kept.get(k) != m}
            self._kept.update(moved)
            return moved

    def repeated(self) -> int:
        """Return how many events sinks were handed again and did not store again."""
        with self._lock:
            now = sum(sink.repeated for sink in self._sinks.values())
            return self._repeated + now

    def _now(self) -> Mapping[str, str]:
        if not self._sinks:
            return _NONE
        return {handler_id: sink.mark() for handler_id, sink in self._sinks.items()}
