"""Writes down where the rings stand, and says so: one transaction for many acks.

Streams hand over the batches that are done and read on. One thread takes all that
waits, writes it as one transaction, and lets the streams acknowledge. So what a
collector was told is on the record, and what a batch costs falls as more of them
come. The first batch after a rest is written at once. Then groups are LAZY_S apart,
or EAGER_S when so much waits that streams would run out of credit: at 120 MB/s
the least of one lasts 4 ms, and it grows to what the groups need.

Where nothing can be written, nothing is acknowledged. The group is tried again,
and later ones wait behind it; that they are few is what the credit of the streams
sees to. The hub is not ready meanwhile, and says so once.

Rules:
- one group at a time, in the order in which the batches were handed over;
- no lock is held while it writes or while streams are told.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from shmtel.hub.counters import Counters
from shmtel.hub.measures.measures import Measures
from shmtel.hub.positions import PositionError, Positions, Row, mark_row
from shmtel.hub.progress import Work
from shmtel.hub.sinks import Marks
from shmtel.hub.table import RingTable
from shmtel.wire.credit import GROUP_NS

_log = logging.getLogger(__name__)

EAGER_S, LAZY_S = GROUP_NS / 1e9, 0.02
EAGER_BYTES = 128 << 10  # a quarter of the least credit of a stream
SWEEP_S = 3_600.0
_RETRY_MIN_S, _RETRY_MAX_S = 0.05, 2.0


class Committer:
    """Commits the batches of all streams."""

    def __init__(
        self,
        table: RingTable,
        positions: Positions,
        marks: Marks,
        measures: Measures,
        counters: Counters,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._positions = positions
        self._marks = marks
        self._measures = measures
        self._counters = counters
        self._now_s = now_s
        self._changed = threading.Condition()
        self._waiting: list[Work] = []
        self._waiting_bytes = 0
        self._is_noted = False  # the table has something that no batch brings
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self.failure: str | None = None  # why nothing is written now

    def submit(self, done: Sequence[Work]) -> None:
        """Take batches that are done. Never waits."""
        with self._changed:
            if self._is_closing:
                return  # too late: they stay unacknowledged, and come again
            was_waiting, was_eager = bool(self._waiting), self._is_eager()
            self._waiting += done
            self._waiting_bytes += sum(work.payload_bytes for work in done)
            self._start()
            if not was_waiting or self._is_eager() != was_eager:
                self._changed.notify_all()

    def note(self) -> None:
        """Write what was told to the table, soon. Never waits."""
        with self._changed:
            if not self._is_closing:
                self._is_noted = True
                self._start()
                self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="shmtel-committer", daemon=True
            )
            self._thread.start()

    def close(self, seconds: float) -> None:
        """Commit what waits, if it takes no longer than that, and take no more."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        try:
            self._commit_groups()
        except Exception as error:
            self._counters.add(internal_errors=1)
            self.failure = f"a defect in the hub: {error!r}"
            _log.exception("nothing is acknowledged any more: a defect in the hub")

    def _commit_groups(self) -> None:
        sweep_due = time.monotonic() + SWEEP_S
        while (group := self._take(sweep_due)) is not None:
            started = time.monotonic()
            rows = self._rows(group)
            if started >= sweep_due:
                rows |= self._table.sweep(int(self._now_s()))
                rows |= self._measures.sweep()
                sweep_due = started + SWEEP_S
            if not self._write(rows):
                return
            self._table.publish(rows)
            self._measures.publish()
            for work in _last_of_each_stream(group):
                work.committed()
            self._rest(started, is_lazy=bool(group))

    def _take(self, due: float) -> list[Work] | None:
        """Wait for batches, or a note, or until a time; None: it is the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._waiting or self._is_noted or self._is_closing,
                max(0.0, due - time.monotonic()),
            )
            group, self._waiting = self._waiting, []
            is_noted, self._is_noted = self._is_noted, False
            self._waiting_bytes = 0
            is_over = self._is_closing and not group and not is_noted
            return None if is_over else group

    def _rows(self, group: list[Work]) -> dict[str, Row | None]:
        changes = [change for work in group for change in work.changes]
        rows = self._table.settle(changes, int(self._now_s()))
        for handler_id, mark in self._marks.finish(w.token for w in group).items():
            rows |= mark_row(handler_id, mark)
        deltas = (work.delta for work in group if work.delta is not None)
        closed = (c.entry.key for c in changes if c.closed is not None)
        rows |= self._measures.settle(deltas, closed)
        return rows

    def _write(self, rows: dict[str, Row | None]) -> bool:
        """Write until it is written; tell whether it is."""
        retry_s = _RETRY_MIN_S
        while rows:
            try:
                self._positions.write(rows)
                break
            except PositionError as error:
                self._fail(error)
            if not self._pause(retry_s):
                return False
            retry_s = min(2 * retry_s, _RETRY_MAX_S)
        if self.failure is not None:
            self.failure = None
            _log.warning("the hub writes again, and acknowledges")
        self._counters.add(commits=1)
        return True

    def _fail(self, error: PositionError) -> None:
        self._counters.add(commit_failures=1)
        if self.failure != str(error):
            self.failure = str(error)
            _log.error("nothing is acknowledged until it can be written: %s", error)

    def _is_eager(self) -> bool:
        return self._waiting_bytes >= EAGER_BYTES

    def _rest(self, started: float, *, is_lazy: bool) -> None:
        """Let some batches gather, or many; no batch waits for long behind a note."""
        elapsed = time.monotonic() - started
        if self._pause(EAGER_S - elapsed) and is_lazy:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._is_eager() or self._is_closing,
                    max(0.0, LAZY_S - max(EAGER_S, elapsed)),
                )

    def _pause(self, seconds: float) -> bool:
        """Let time pass; tell whether the hub goes on."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing, max(0.0, seconds))
            return not self._is_closing


def _last_of_each_stream(group: list[Work]) -> list[Work]:
    return list({id(work.stream): work for work in group}.values())
