"""What a group of batches does to the series, before it is written.

A series of a worker that is gone goes, too: at once where it holds a last value,
after RETIRE_S where it counts, so that whoever looks now and then sees the end of it.
What it had counted is kept as `retired`.

Rules:
- nothing that is on record is changed here; what is made takes its place afterwards.
"""

from collections import Counter
from collections.abc import Callable

from shmtel.hub.measures.instrument import ENDED, Delta, Instrument, Labels
from shmtel.hub.measures.plan import is_of_workers
from shmtel.hub.measures.rows import SeriesRow, row_key, row_of
from shmtel.hub.measures.standing import Key, Series, Standing, other
from shmtel.hub.measures.tally import Number, Tally, bounded

RETIRE_S = 60  # longer than most wait between two looks
IDLE_S = 3_600  # of a worker's series of whose worker nobody tells
Rows = dict[str, SeriesRow | None]
IsGone = Callable[[str], bool]  # whether a ring, by its key, has ended


class Settlement:
    """The changes of one group, over what is on record."""

    def __init__(self, standing: Standing, now_s: int) -> None:
        self._standing, self._now_s = standing, now_s
        self.series: dict[Key, Series | None] = {}
        self.retired: dict[Instrument, Number] = {}
        self.skipped: Counter[tuple[str, str]] = Counter()
        self._new: Counter[Instrument] = Counter()

    # -- events ------------------------------------------------------------------

    def add(self, delta: Delta, is_gone: IsGone) -> None:
        """Add what events amount to."""
        self.skipped.update(delta.skipped)
        for instrument, tallies in delta.tallies.items():
            if instrument in self._standing.series:
                for labels, tally in tallies.items():
                    self._take(instrument, labels, tally, is_gone)

    def _take(
        self, instrument: Instrument, labels: Labels, added: Tally, is_gone: IsGone
    ) -> None:
        living = {ring for ring in added.rings if not is_gone(ring)}
        is_late = bool(added.rings) and not living
        if is_late and instrument.metric.kind == "last_value":
            self.skipped[instrument.metric.name, ENDED] += round(added.count)
            return
        key = self._place(instrument, labels)
        before = self._current(key)
        if before is not None and before.is_over(instrument.metric, self._now_s):
            self._end(key)
            before = None
        tally = Tally() if before is None else before.tally.copy()
        rings = tally.rings | living
        tally.add(added)
        tally.rings = rings if key[1] == labels else set()  # `(other)` is nobody's
        is_ending = is_late and not tally.rings and key[1] == labels
        ends_s = self._now_s + RETIRE_S if is_ending else None
        self.series[key] = Series(tally, self._now_s, ends_s)

    def _place(self, instrument: Instrument, labels: Labels) -> Key:
        """Return where events of these labels are counted."""
        key = (instrument, labels)
        if self._current(key) is not None:
            return key
        known = len(self._standing.series[instrument]) + self._new[instrument]
        if labels and known >= instrument.metric.series_max:
            return instrument, other(labels)
        self._new[instrument] += 1
        return key

    def _current(self, key: Key) -> Series | None:
        return self.series[key] if key in self.series else self._standing.get(key)

    # -- ends --------------------------------------------------------------------

    def leave(self, ring: str) -> None:
        """Note that a ring keeps no series alive any more."""
        for key in self._standing.by_ring.get(ring, ()):
            series = self._current(key)
            if series is None or ring not in series.tally.rings:
                continue
            tally = series.tally.copy()
            tally.rings.discard(ring)
            is_last = not tally.rings
            ends_s = self._now_s + RETIRE_S if is_last else None
            self.series[key] = Series(tally, series.updated_s, ends_s)
            if is_last and key[0].metric.kind == "last_value":
                self._end(key)

    def end_what_is_over(self) -> None:
        """Remove series whose time is over."""
        for key in self._standing.mortal:
            series = self._current(key)
            if series is not None and series.is_over(key[0].metric, self._now_s):
                self._end(key)

    def end_idle(self) -> None:
        """Remove series of workers of which nobody has told for long."""
        for key, series in self._standing.all():
            is_nobodys = is_of_workers(key[0].metric) and not series.tally.rings
            is_idle = self._now_s - series.updated_s >= IDLE_S
            if is_nobodys and is_idle and key not in self.series and not _is_other(key):
                self._end(key)

    def _end(self, key: Key) -> None:
        series, instrument = self._current(key), key[0]
        if series is None:
            return
        retired = self.retired.get(instrument, self._standing.retired[instrument])
        self.retired[instrument] = bounded(retired + series.tally.count)
        self.series[key] = None

    # -- rows --------------------------------------------------------------------

    def rows(self) -> Rows:
        """Return the rows to write; None: it goes away."""
        rows: Rows = {}
        for (instrument, labels), series in self.series.items():
            key = row_key(instrument.fingerprint, labels)
            rows[key] = (
                None
                if series is None
                else row_of(instrument, labels, series.tally, series.updated_s)
            )
        for instrument, count in self.retired.items():
            key = row_key(instrument.fingerprint, None)
            rows[key] = row_of(instrument, None, Tally(count), self._now_s)
        return rows


def _is_other(key: Key) -> bool:
    return key[1] == other(key[1])
