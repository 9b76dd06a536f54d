"""Sinks that store each event once, over the death of the hub too.

A hub that is killed between a handler and its own transaction is sent the batch
again. A sink that stores `ring_id` and `seq` with each event can tell what it has
already, from what stands at its own end. How far back that end reaches is the
question: the hub keeps a mark for it, in the transaction that keeps the
positions. Everything that was stored before the mark belongs to batches that were
committed, or is told by the mark itself: what an earlier hub had in work may come
again long after this one has begun to commit.

Now and then the marks are noted, and each batch holds the last note from before
any handler saw it. The oldest note that a batch in work holds is safe to keep, or
with nothing in work the last.

Rules:
- an older mark is always as good: then more is read at the next start;
- a batch that never ends holds the mark back for good.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, runtime_checkable

_log = logging.getLogger(__name__)

IsCommitted = Callable[[str, int], bool]


@runtime_checkable
class ExactlyOnceSink(Protocol):
    """What a batch handler offers that can tell what it has stored.

    The hub asks for a mark from any thread, also while the sink is busy in another:
    `mark` takes no lock that a call holds.
    """

    repeated: int  # events that came again, and were not stored again

    def mark(self) -> str:
        """Return where the sink ends, and what `recover` found that has not come again.

        All that a finished call has stored is before it, nothing of a later one is.
        """

    def recover(self, mark: str | None, is_committed: IsCommitted) -> None:
        """Find out what was stored and may come again, to leave it out then.

        Args:
            mark: an earlier one of this sink, or of one that was replaced by it;
                None: none was kept, so that all that is there has to be looked at.
            is_committed: whether the hub has an event on record, by ring id and
                seq; such a one does not come again.
        """


MARK_S = 1.0
_NONE: Mapping[str, str] = {}


class Marks:
    """The marks of all sinks.

    Args:
        kept: what the hub before this one has kept, by handler.
        last_seqs: of the rings that it has kept, by ring id.
        interval_s: how often the marks are noted.
    """

    def __init__(
        self,
        kept: Mapping[str, str] | None = None,
        last_seqs: Mapping[str, int] | None = None,
        interval_s: float = MARK_S,
    ) -> None:
        self._kept = dict(kept or {})
        self._last_seqs = last_seqs or {}
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._sinks: dict[str, ExactlyOnceSink] = {}
        self._in_work: dict[int, Mapping[str, str]] = {}  # oldest first
        self._note: Mapping[str, str] = _NONE
        self._noted_s = -math.inf
        self._last_token = 0
        self._repeated = 0  # by sinks that are gone
        self._broken: set[str] = set()  # said of them already

    def recover(self, handler_id: str, sink: ExactlyOnceSink) -> None:
        """Let a sink find out what it has."""
        sink.recover(self._kept.get(handler_id), self._is_committed)

    def add(self, handler_id: str, sink: ExactlyOnceSink) -> None:
        """Keep the marks of a sink from now on."""
        with self._lock:
            self._sinks[handler_id] = sink
            self._noted_s = -math.inf

    def remove(self, handler_id: str) -> None:
        """Keep the mark where it is."""
        with self._lock:
            sink = self._sinks.pop(handler_id, None)
            self._repeated += 0 if sink is None else sink.repeated

    def begin(self) -> int:
        """Hold the marks before a batch is handed out; give them back by `finish`."""
        with self._lock:
            self._last_token += 1
            self._in_work[self._last_token] = self._current()
            return self._last_token

    def finish(self, tokens: Iterable[int]) -> dict[str, str]:
        """Return the marks to keep with the transaction of these batches."""
        with self._lock:
            for token in tokens:
                del self._in_work[token]
            held = next(iter(self._in_work.values()), None)
            safe = self._current() if held is None else held
            moved = {k: m for k, m in safe.items() if self._kept.get(k) != m}
            self._kept.update(moved)
            return moved

    def repeated(self) -> int:
        """Return how many events sinks were handed again and did not store again."""
        with self._lock:
            now = sum(sink.repeated for sink in self._sinks.values())
            return self._repeated + now

    def _current(self) -> Mapping[str, str]:
        now_s = time.monotonic()
        if now_s - self._noted_s >= self._interval_s:
            self._noted_s = now_s
            marks = ((key, self._mark(key)) for key in self._sinks)
            self._note = {key: mark for key, mark in marks if mark is not None}
        return self._note

    def _mark(self, handler_id: str) -> str | None:
        """Return where a sink ends; one that cannot tell stays at its last mark."""
        try:
            return self._sinks[handler_id].mark()
        except Exception:
            if handler_id not in self._broken:  # one line says enough
                self._broken.add(handler_id)
                _log.exception("sink %r cannot tell where it ends", handler_id)
            return self._note.get(handler_id)

    def _is_committed(self, ring_id: str, seq: int) -> bool:
        return seq <= self._last_seqs.get(ring_id, 0)
