"""The metrics of a hub: what is attached, what counts, and what it stands at.

A batch's part is worked out by the stream's thread and waits with the batch. The
committer adds up a group of them, writes what changed in the transaction that moves
the rings' positions, and only then shows it. So a scrape tells of exactly the events
that the ledger calls delivered, and so does the next hub: what comes again was not in
the transaction, and was never shown.

Rules:
- one thread settles and publishes; the rest is anybody's.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from shmtel.hub.measures.instrument import Delta, Instrument
from shmtel.hub.measures.lives import Presence
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.names import refuse_clashes
from shmtel.hub.measures.plan import Plan, RingKey, Wanting, wanting_of
from shmtel.hub.measures.rows import SeriesRow, row_key, tally_of
from shmtel.hub.measures.settlement import RETIRE_S, Rows, Settlement
from shmtel.hub.measures.standing import Reading, Series, Standing, reading
from shmtel.hub.routes import Source

NAMES_MAX = 16_384  # of events, whose metrics are remembered


class Measures:
    """All metrics of a hub.

    Args:
        presence: tells whether the worker of a series is still there.
        kept: what the hub before this one has kept, by key.
    """

    def __init__(
        self,
        presence: Presence,
        kept: Mapping[str, SeriesRow] | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._presence = presence
        self._unclaimed = dict(kept or {})
        self._now_s = now_s
        self._lock = threading.Lock()
        self._version = 0
        self._instruments: dict[str, Instrument] = {}
        self._by_event: dict[str, Wanting] = {}
        self._standing = Standing()
        self._skipped: Counter[tuple[str, str]] = Counter()
        self._forgotten: Rows = {}
        self._settled: Settlement | None = None
        self._looked_s = 0

    # -- what there is -----------------------------------------------------------

    def attach(self, metrics: Iterable[Metric]) -> None:
        """Keep metrics from now on; what a hub before has kept of them goes on.

        Raises:
            ValueError: two would have the same name, or the name of one of the hub's
                own; none of them is attached then.
        """
        new = [Instrument(metric) for metric in metrics]
        with self._lock:
            attached = [i.metric for i in self._instruments.values()]
            refuse_clashes([*attached, *(i.metric for i in new)])
            self._change()
            for instrument in new:
                self._instruments[instrument.metric.name] = instrument
                self._claim(instrument)

    def detach(self, name: str) -> bool:
        """Forget a metric and all that it has counted; tell whether there was one."""
        with self._lock:
            instrument = self._instruments.pop(name, None)
            if instrument is None:
                return False
            self._change()
            for labels in (*self._standing.forget(instrument), None):
                self._forgotten[row_key(instrument.fingerprint, labels)] = None
            return True

    def _change(self) -> None:
        self._version += 1
        self._by_event.clear()

    def read(self) -> list[Reading]:
        """Return what all metrics stand at, in the order of their attachment."""
        with self._lock:
            held = [
                (i, dict(series), self._standing.retired[i])
                for i, series in self._standing.series.items()
            ]
        now_s = self._now_s()
        return [reading(i, series, retired, now_s) for i, series, retired in held]

    def skipped(self) -> Mapping[tuple[str, str], int]:
        """Return how many events are in no series, by metric and reason."""
        with self._lock:
            return dict(self._skipped)

    def _claim(self, instrument: Instrument) -> None:
        """Go on from what was kept under the same definition."""
        self._standing.series[instrument] = {}
        self._standing.retired[instrument] = 0
        mine = [
            key
            for key, row in self._unclaimed.items()
            if row.fingerprint == instrument.fingerprint
        ]
        for key in mine:
            row = self._unclaimed.pop(key)
            self._forgotten.pop(key, None)
            tally = tally_of(instrument, row)
            if tally is None:
                self._forgotten[key] = None
            elif row.labels is None:
                self._standing.retired[instrument] = tally.count
            else:
                tally.rings = {r for r in tally.rings if not self._presence.is_gone(r)}
                ends_s = None
                if row.rings and not tally.rings:
                    is_count = instrument.metric.kind != "last_value"
                    ends_s = self._now_s() + RETIRE_S * is_count
                series = Series(tally, row.updated_s, ends_s)
                self._standing.put((instrument, tuple(row.labels)), series)

    # -- from the streams ----------------------------------------------------------

    @property
    def version(self) -> int:
        """Grows when metrics come or go."""
        return self._version

    def plan(self, source: Source, ring_key: RingKey) -> Plan:
        """Return what is measured of a ring's events."""
        with self._lock:
            return Plan(self._version, self._wanting, source, ring_key)

    def _wanting(self, event: str) -> Wanting:
        wanting = self._by_event.get(event)
        if wanting is None:
            if len(self._by_event) >= NAMES_MAX:
                self._by_event.clear()
            wanting = wanting_of(event, self._instruments.values())
            self._by_event[event] = wanting
        return wanting

    # -- from the committer ----------------------------------------------------------

    def settle(self, deltas: Iterable[Delta], closed: Iterable[str]) -> Rows:
        """Return the rows that a group of batches changes; None: it goes away.

        Args:
            closed: keys of the rings that the group has closed.
        """
        whole = Delta()
        for delta in deltas:
            whole.add(delta)
        now_s = int(self._now_s())
        with self._lock:
            settlement = Settlement(self._standing, now_s)
            settlement.add(whole, self._presence.is_gone)
            for ring in closed:
                settlement.leave(ring)
            if now_s != self._looked_s:  # groups come by the hundred in a second
                self._looked_s = now_s
                settlement.end_what_is_over()
            return self._begin(settlement)

    def sweep(self) -> Rows:
        """Return the rows to change because time has passed.

        What was kept of metrics that nobody has attached meanwhile is given up.
        """
        now_s = self._now_s()
        with self._lock:
            self._forgotten |= dict.fromkeys(self._unclaimed)
            self._unclaimed.clear()
            settlement = self._settled or Settlement(self._standing, int(now_s))
            for ring in list(self._standing.by_ring):
                if self._presence.is_lost(ring, now_s):
                    settlement.leave(ring)
            settlement.end_idle()
            settlement.end_what_is_over()
            return self._begin(settlement)

    def _begin(self, settlement: Settlement) -> Rows:
        self._settled = settlement
        forgotten, self._forgotten = self._forgotten, {}
        return forgotten | settlement.rows()

    def publish(self) -> None:
        """Show what was settled last: it is on record."""
        with self._lock:
            settlement, self._settled = self._settled, None
            if settlement is None:
                return
            standing = self._standing
            for key, series in settlement.series.items():
                if key[0] in standing.series:
                    standing.put(key, series)
            for instrument, count in settlement.retired.items():
                if instrument in standing.series:
                    standing.retired[instrument] = count
            self._skipped.update(settlement.skipped)
