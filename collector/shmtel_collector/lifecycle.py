"""The ends of workers as events of the collector; their beginnings: lives.py.

When a ring leaves, its worker's end is written down with its final counters and,
unless the worker left in good order, with its last words. When the ring is gone,
the end becomes an event.

To read a ring's last words takes the loop some milliseconds, so when workers die
in masses only the newest bytes are looked at.

Rules: of rings that a collector wrote nothing is told; nothing here raises.
"""

import time
from collections.abc import Callable, Container

from shmtel_collector.allowance import Allowance
from shmtel_collector.end_store import DUE, PENDING, TOLD, EndStore, EndStoreError
from shmtel_collector.finished import FinishedRing
from shmtel_collector.journal import Journal, Metadata
from shmtel_collector.last_words import WINDOW_BYTES, LastWords, read_last_words
from shmtel_collector.lifeline import CLOSED, Lifeline
from shmtel_collector.logs import ConditionLog
from shmtel_collector.ring import Ring
from shmtel_collector.subjects import subject_of
from shmtel_collector.worker_end import WorkerEnd, counts_of

EVENT = "pool.worker.terminated"
GLANCE_BYTES = 16 << 10  # some hundred events
_CONDITION = "ends"
_BURST, _PER_SECOND = 16, 4  # of last words read in full: at most 6 % of the loop


class Lifecycle:
    """Remembers how workers ended, and tells it."""

    def __init__(
        self,
        store: EndStore,
        journal: Journal,
        log: ConditionLog,
        *,
        is_told: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; unless `is_told` ends are kept, and do not become events."""
        self._store = store
        self._journal = journal
        self._log = log
        self._is_told = is_told
        self._thorough = Allowance(_BURST, _PER_SECOND, clock)
        self._may_be_due = True  # an earlier collector may have left some

    def note(
        self,
        ring: Ring,
        account: FinishedRing,
        lifeline: Lifeline | None,
        *,
        is_final: bool = True,
    ) -> None:
        """Write down the end of a ring's worker, before the ring goes.

        Where its counters are not final, `settle` brings them later.
        """
        if ring.is_own:
            return
        words = self._read(ring, account.reason)
        is_kept = account.reason != CLOSED or bool(words and words.open_count)
        end = WorkerEnd(
            ring_id=ring.ring_id,
            worker=ring.worker,
            reason=account.reason,
            ended_ns=lifeline.ended_ns if lifeline else account.closed_ns,
            lifetime_ns=lifeline.lifetime_ns() if lifeline else None,
            counts=counts_of(account),
            words=words if is_kept else None,
        )
        state = self._final_state() if is_final else PENDING
        try:
            self._store.note(end, state, is_kept=is_kept)
            self._may_be_due = True
        except EndStoreError as error:
            self._log.warning(_CONDITION, "%s", error)

    def settle(self, account: FinishedRing) -> None:
        """Bring the final counters of a worker whose ring went before."""
        try:
            counts = counts_of(account)
            self._store.settle(account.ring_id, counts, self._final_state())
            self._may_be_due = True
        except EndStoreError as error:
            self._log.warning(_CONDITION, "%s", error)

    def tell(self, present: Container[bytes]) -> None:
        """Tell the ends of those whose rings are gone."""
        if not self._may_be_due or not self._journal.is_open:
            return
        try:
            if self._store.has_due():
                self._journal.prepare()  # between the mark and the event is no time
            due = self._store.take_due(present)
        except EndStoreError as error:
            self._log.warning(_CONDITION, "%s", error)
            return
        self._may_be_due = False
        for end in due:
            self._journal.record(EVENT, _measurements(end), _metadata(end))

    def _final_state(self) -> int:
        return DUE if self._is_told else TOLD

    def _read(self, ring: Ring, reason: str) -> LastWords | None:
        is_thorough = reason != CLOSED and self._thorough.take()
        window = WINDOW_BYTES if is_thorough else GLANCE_BYTES
        return read_last_words(ring.source.fileno(), window)


def _measurements(end: WorkerEnd) -> dict[str, int]:
    totals = {word: n for word, n in end.counts.items() if "." not in word}
    lifetime = {} if end.lifetime_ns is None else {"lifetime": end.lifetime_ns}
    return totals | lifetime


def _metadata(end: WorkerEnd) -> Metadata:
    return subject_of(end.worker, end.ring_id) | {"reason": end.reason}
