"""Which metrics the events of one ring go into, and how they are read.

Made once per ring, and again when metrics come or go or the ring gets names. What a
group of events means for each metric is remembered by what the group shares.

Rules:
- names and values come from workers: labels are cut and made printable, and what is
  remembered is bounded;
- a function of a definition that raises costs its event, and is counted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from shmtel.hub.measures.instrument import FILTERED, Delta, Instrument, Labels
from shmtel.hub.measures.metric import EVENT, Metric
from shmtel.hub.measures.projection import (
    Projection,
    Reader,
    WholeReader,
    projection_of,
)
from shmtel.hub.records import Record, decode_segment
from shmtel.hub.routes import Source
from shmtel.hub.stamp import stamped
from shmtel.safe_text import label
from shmtel.stamped import STAMPED, own
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import Segment

REMEMBERED_MAX = 1_024  # groups of one ring
# A series with such a tag is of one worker, or of the one that a place has now.
OF_EMITTER = frozenset(("worker_id", "pid", "ring_id", "worker_index"))
OF_SUBJECT = frozenset(("subject", "subject_pid", "subject_ring", "subject_index"))
_SUBJECT_RING = "subject_ring"

RingKey = Callable[[str], str | None]  # of a ring of the same host, by its id in hex


@dataclass(frozen=True, slots=True)
class Wanting:
    """What is measured of events of one name."""

    by_keys: tuple[Instrument, ...]
    by_functions: tuple[Instrument, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """What a group of events means for a metric."""

    instrument: Instrument
    labels: Labels
    ring: str | None
    is_left_out: bool = False


class Plan:
    """The metrics of one ring's events.

    Args:
        wanting: returns what is measured of events of a name.
        ring_key: makes the key of the ring that an event is about.
    """

    def __init__(
        self,
        version: int,
        wanting: Callable[[str], Wanting],
        source: Source,
        ring_key: RingKey,
    ) -> None:
        self._source, self._ring_key = source, ring_key
        self.version, self.name_count = version, len(source.names)
        by_event = [wanting(name) for name in source.names]
        self._by_keys = [one.by_keys for one in by_event]
        self._by_functions = [one.by_functions for one in by_event]
        self._has_functions = any(self._by_functions)
        self.is_wanted = self._has_functions or any(self._by_keys)
        self.wanted = frozenset(  # ids of events that any metric is about
            i for i, one in enumerate(by_event) if one.by_keys or one.by_functions
        )
        used = dict.fromkeys(i for one in self._by_keys for i in one)
        metrics = [instrument.metric for instrument in used]
        metadata_keys = frozenset(key for m in metrics for key in _metadata_keys(m))
        self._whole = WholeReader(metadata_keys)
        self._projection: Projection | None = None
        if not self._has_functions:
            measured = frozenset(m.measurement for m in metrics if m.measurement)
            self._projection = projection_of(measured, metadata_keys)
        self._uses: dict[tuple[Reader, int, Any], tuple[Use, ...]] = {}

    def measure_segment(self, segment: Segment, delta: Delta) -> Sequence[Record]:
        """Decode of a segment's events what is measured, and measure it.

        Returns:
            The events; perhaps without what nobody measures of them.

        Raises:
            RemoteProtocolError: they are not what the segment says.
        """
        if self._projection is not None:
            try:
                decoder = self._projection.decoder
                records = decode_segment(segment, self.name_count, decoder)
            except RemoteProtocolError:
                pass  # a tag may be a list; if it is anything worse, that shows now
            else:
                self._measure(self._projection, records, delta)
                return records
        records = decode_segment(segment, self.name_count)
        self.measure(records, delta)
        return records

    def measure(self, records: Sequence[Record], delta: Delta) -> None:
        """Measure events of the ring: add to what their batch adds."""
        self._measure(self._whole, records, delta)

    def _measure(self, reader: Reader, records: Sequence[Record], delta: Delta) -> None:
        part = Delta()  # seqs of other rings say nothing here
        for (event_id, _threshold, shared), mine in reader.groups(records).items():
            for use in self._uses_of(reader, event_id, shared):
                _take(use, reader, mine, part)
        if self._has_functions:
            for record in records:
                for instrument in self._by_functions[record.event_id]:
                    self._call(instrument, record, part)
        delta.add(part)

    # -- read from keys ------------------------------------------------------

    def _uses_of(self, reader: Reader, event_id: int, shared: Any) -> tuple[Use, ...]:
        key = (reader, event_id, shared)
        uses = self._uses.get(key)
        if uses is None:
            if len(self._uses) >= REMEMBERED_MAX:
                self._uses.clear()
            metadata = reader.metadata(shared)
            uses = self._uses[key] = tuple(
                self._use(instrument, event_id, metadata)
                for instrument in self._by_keys[event_id]
            )
        return uses

    def _use(
        self, instrument: Instrument, event_id: int, metadata: Mapping[str, Any]
    ) -> Use:
        view = {**self._source.stamp, **own(metadata)}
        _name(view, self._source.names[event_id])
        tags = instrument.metric.tags.values()
        return Use(
            *(instrument, tuple(label_of(view.get(key)) for key in tags)),
            ring=self._life(instrument.metric, metadata),
            is_left_out=instrument.left_out(view),
        )

    def _life(self, metric: Metric, metadata: Mapping[str, Any]) -> str | None:
        keys = set(metric.tags.values())
        if keys & OF_EMITTER:
            return self._ring_key(self._source.ring_id)
        subject = metadata.get(_SUBJECT_RING) if keys & OF_SUBJECT else None
        return self._ring_key(subject) if isinstance(subject, str) else None

    # -- read by functions ---------------------------------------------------

    def _call(self, instrument: Instrument, record: Record, delta: Delta) -> None:
        metadata = stamped(record, self._source.stamp)
        _name(metadata, self._source.names[record.event_id])
        try:
            if instrument.left_out(metadata):
                delta.skipped[instrument.metric.name, FILTERED] += 1
                return
            labels = _called_labels(instrument.metric, metadata)
            values = _called_values(instrument.metric, record, metadata)
            ring = self._life(instrument.metric, metadata)
            instrument.take(delta, labels, [record], values, ring)
        except BaseException as error:  # a sys.exit() is not of this thread
            instrument.note_raised(delta, error)


def wanting_of(event: str, instruments: Iterable[Instrument]) -> Wanting:
    """Return what is measured of events of a name."""
    wanting = [i for i in instruments if i.metric.wants(event)]
    return Wanting(
        tuple(i for i in wanting if not i.metric.has_functions),
        tuple(i for i in wanting if i.metric.has_functions),
    )


def is_of_workers(metric: Metric) -> bool:
    """Tell whether each series of a metric is of one worker."""
    return not (OF_EMITTER | OF_SUBJECT).isdisjoint(metric.tags.values())


def label_of(value: object) -> str:
    """Return a value as a label; empty: there is none."""
    if value is None or isinstance(value, list | dict | bytes):
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return label(text)


def _take(use: Use, reader: Reader, records: Sequence[Record], delta: Delta) -> None:
    instrument, metric = use.instrument, use.instrument.metric
    if use.is_left_out:
        delta.skipped[metric.name, FILTERED] += len(records)
        return
    key = metric.measurement
    # Which value is the last depends on where it stands, so each is a group.
    groups = [[r] for r in records] if metric.kind == "last_value" else [records]
    for group in groups:
        values = reader.values(group, key) if isinstance(key, str) else None
        instrument.take(delta, use.labels, group, values, use.ring)


def _metadata_keys(metric: Metric) -> set[str]:
    """Return what is to be read of the metadata that a worker has written."""
    keys = set(metric.tags.values())
    if OF_SUBJECT & keys:
        keys.add(_SUBJECT_RING)
    for conditions in (metric.keep, metric.drop):
        if isinstance(conditions, Mapping):
            keys |= conditions.keys()
    stamps = STAMPED | {EVENT}
    sent = {f"user.{key}": key for key in stamps}
    return {sent.get(key, key) for key in keys if key not in stamps}


def _called_labels(metric: Metric, metadata: Mapping[str, Any]) -> Labels:
    if metric.tag_values is None:
        return tuple(label_of(metadata.get(key)) for key in metric.tags.values())
    values = metric.tag_values(metadata)
    return tuple(label_of(values.get(name)) for name in metric.tags)


def _called_values(
    metric: Metric, record: Record, metadata: Mapping[str, Any]
) -> list[int | float] | None:
    key = metric.measurement
    if key is None:
        return None
    value = (
        key(record.measurements, metadata)
        if callable(key)
        else record.measurements.get(key)
    )
    return [] if value is None else [_number(value)]


def _number(value: object) -> int | float:
    """Return a number of whatever kind as one that can be kept."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"a measurement is a number, not {value!r}")


def _name(view: dict[str, Any], event: str) -> None:
    """Add the event's name; a worker's own key of that name goes aside."""
    if EVENT in view:
        view[f"user.{EVENT}"] = view[EVENT]
    view[EVENT] = event
