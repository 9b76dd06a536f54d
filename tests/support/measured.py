"""Metrics with events put straight into them, as a hub's streams would."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from shmtel.hub.measures.instrument import Delta, Labels
from shmtel.hub.measures.lives import Presence, key_of_ring
from shmtel.hub.measures.measures import Measures
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.plan import Plan
from shmtel.hub.measures.rows import SeriesRow
from shmtel.hub.measures.standing import Reading
from shmtel.hub.measures.tally import Tally
from shmtel.hub.records import decode_segment
from shmtel.hub.ring_entry import RingEntry
from shmtel.hub.routes import Source
from shmtel.hub.table import RingTable
from shmtel.wire.frames import RingClosed, RingOpened, Segment, Worker
from support.frames import HELLO
from support.uplink import make_event, pack


class Ring:
    """A ring whose events are measured."""

    def __init__(self, bench: "Bench", worker: Worker, names: Sequence[str]) -> None:
        self._bench = bench
        self.entry: RingEntry = bench.table.open(
            HELLO, RingOpened(1, secrets.token_bytes(16), worker), int(bench.now_s)
        )
        self.id = self.entry.ring_id.hex()
        self.source = Source(HELLO.node, worker, self.id, list(names))
        self._last_seq = 0

    @property
    def plan(self) -> Plan:
        """What is measured now."""
        ring_key = partial(key_of_ring, HELLO.host_id)
        return self._bench.measures.plan(self.source, ring_key)

    def segment(self, events: Iterable[Mapping[str, Any]]) -> Segment:
        """Return the next events; `name` is the name of an event, by default the
        first."""
        packed = []
        for at, event in enumerate(events, self._last_seq + 1):
            fields = {key: value for key, value in event.items() if key != "name"}
            name = event.get("name", self.source.names[0])
            packed.append(make_event(at, self.source.names.index(name), **fields))
        before, self._last_seq = self._last_seq, self._last_seq + len(packed)
        return Segment(1, before, self._last_seq, len(packed), pack(packed))

    def delta(self, *events: Mapping[str, Any], is_whole: bool = False) -> Delta:
        """Return what events add, read from whole records or from what is needed."""
        delta, segment, plan = Delta(), self.segment(events), self.plan
        if is_whole:
            records = decode_segment(segment, len(self.source.names))
            plan.measure(records, delta)
        else:
            plan.measure_segment(segment, delta)
        return delta

    def emit(self, *events: Mapping[str, Any]) -> None:
        """Put events on record."""
        self._bench.commit(self.delta(*events))

    def close(self, *events: Mapping[str, Any]) -> None:
        """Put the last events and the end of the ring on record."""
        delta = self.delta(*events)
        self._bench.table.close(self.entry, RingClosed(1, self._last_seq, "vanished"))
        self._bench.commit(delta, closed=[self.entry.key])


class Bench:
    """The metrics of a hub without the hub."""

    def __init__(self, *metrics: Metric, before: "Bench | None" = None) -> None:
        self.now_s = before.now_s if before else 1_000.0
        self.table = before.table if before else RingTable()
        self.kept: dict[str, SeriesRow] = before.kept if before else {}
        self.measures = Measures(Presence(self.table), self.kept, lambda: self.now_s)
        self.measures.attach(metrics)

    def ring(
        self, *names: str, worker_id: str = "w-1", pool_name: str = "pool"
    ) -> Ring:
        """Open a ring."""
        worker = Worker(worker_id, pool_name, "svc", 42)
        return Ring(self, worker, names or ("a.b",))

    def commit(self, *deltas: Delta, closed: Iterable[str] = ()) -> None:
        """Settle, write and publish a group."""
        self.write(self.measures.settle(deltas, closed))
        self.measures.publish()

    def sweep(self) -> None:
        """Do what is done each hour."""
        self.commit()
        self.write(self.measures.sweep())
        self.measures.publish()

    def write(self, rows: Mapping[str, SeriesRow | None]) -> None:
        """Keep rows, as the database does."""
        for key, row in rows.items():
            if row is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = row

    def reading(self, name: str = "m") -> Reading:
        """Return a metric."""
        return next(r for r in self.measures.read() if r.metric.name == name)

    def series(self, name: str = "m") -> Mapping[Labels, Tally]:
        """Return the series of a metric."""
        return self.reading(name).series

    def counts(self, name: str = "m") -> dict[Labels, float]:
        """Return the counts of a metric."""
        return {labels: tally.count for labels, tally in self.series(name).items()}
