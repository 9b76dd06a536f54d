"""The last words of a worker: what the bytes of its ring still say.

Theory. What is released is not erased: records that were delivered long ago stay
until newer ones are written over them. But only the record before tells where one
begins. So the way is searched: from the oldest bytes on, a place that looks like
the head of a record, and from which each record leads to the next, seq by seq,
until the tail, or to the place where the collector stands. A way that ends
elsewhere was none, and nothing on it is looked at again. Payloads hold a few such
places; where there are thousands somebody has put them there, and it is given up.

A worker that was killed may have begun one record beyond its tail, over the oldest
bytes that were released: those are not believed.

Rules:
- foreign: whatever the bytes are, bounded time, no exception, and what is handed
  out is a private copy that whoever shows it judges once more;
- an open span is one whose start was found and whose end was not, so a span that
  began before the oldest record is not known.
"""

import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from shmtel import _ring

WINDOW_BYTES = 1 << 20  # of a ring, the newest; some 10 ms
EVENTS_MAX = 100
SPANS_MAX = 100
BYTES_MAX = 60 << 10  # of arrays and names

_DATA_OFFSET = struct.Struct("<I")
_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct(">2sHBQBQB")  # of the array, up to its threshold
_HEAD_BEGIN = b"\x98\xcd"
_HEAD_TYPES = (0xCF, 0xCF, 0xCE)
_HEAD_LOOK = re.compile(rb"\x98\xcd..\xcf.{8}\xcf.{8}\xce", re.DOTALL)
_WAYS_MAX = 1_000  # that are begun
_PLACES_MAX = 50_000  # that look like heads, also those on ways that were none
_ALIGN = 8
_HEADER_BYTES = 8  # of a record
_ARRAY_MIN = _ring.LAYOUT["RING_ARRAY_MIN"]
_RECORD_MAX = _ring.LAYOUT["RING_RECORD_MAX"]
_SPAN_AT = -18  # from the end of an array: bin8 of 16 bytes, the last field
_SPAN_BEGIN = b"\xc4\x10"
_SPAN_ID_BYTES = 8


class Record(NamedTuple):
    """One record of the history: where its array is, and what its head says."""

    begin: int
    end: int
    event_id: int
    seq: int


@dataclass(frozen=True, slots=True)
class LastWords:
    """What was found; arrays as the worker wrote them, the oldest first.

    Attributes:
        names: by event id, of the arrays that are here.
        events: the last ones.
        open_spans: the starts of spans that had not ended.
        open_count: how many there were; some may have found no room.
        first_seq: with `last_seq`, what was looked at; 0: nothing was found.
    """

    names: dict[int, str]
    events: tuple[bytes, ...] = ()
    open_spans: tuple[bytes, ...] = ()
    open_count: int = 0
    first_seq: int = 0
    last_seq: int = 0


def read_last_words(fd: int, window_bytes: int = WINDOW_BYTES) -> LastWords | None:
    """Read the last words from a ring that nobody writes any more; None: unreadable."""
    try:
        seen = _ring.observe(fd)
        begin, data = _copy(fd, seen, window_bytes)
    except (_ring.RingError, OSError):
        return None
    history = _search(data, seen["control"]["head"] - begin, seen)
    return _choose(data, history, [event["name"] for event in seen["events"]])


def _copy(fd: int, seen: "_ring.Observation", window_bytes: int) -> tuple[int, bytes]:
    """Copy the newest bytes; return where they begin, and them."""
    tail, capacity = seen["tail"], seen["identity"]["capacity"]
    begun = min(capacity // 4, _RECORD_MAX)  # perhaps, beyond the tail
    # What is not released nobody has written over.
    whole = min(tail + begun - capacity, seen["oldest"])
    begin = max(whole, tail - capacity, tail - window_bytes, 0)
    begin += -begin % _ALIGN
    field = os.pread(
        fd, _DATA_OFFSET.size, _ring.LAYOUT["ring_identity.data_offset"]
    ).ljust(_DATA_OFFSET.size, b"\0")
    offset, at = _DATA_OFFSET.unpack(field)[0], begin % capacity
    size = tail - begin
    data = os.pread(fd, min(size, capacity - at), offset + at)
    return begin, data + os.pread(fd, size - len(data), offset)


def _search(data: bytes, head: int, seen: "_ring.Observation") -> list[Record]:
    """Return the oldest way that leads to the end, or to where `head` is."""
    failed: set[int] = set()
    most = min(seen["identity"]["capacity"] // 4, _RECORD_MAX)
    ways = 0
    for at in islice(_places(data), _PLACES_MAX):
        start = at - _HEADER_BYTES
        if start < 0 or start % _ALIGN or start in failed:
            continue
        way = list(_way(data, start, most, failed))
        places = [record.begin - _HEADER_BYTES for record in way]
        if way and not {head, len(data)}.isdisjoint([*places, _next(way[-1])]):
            return way
        failed.update(places)
        ways += 1
        if ways == _WAYS_MAX:
            break
    return []


def _places(data: bytes) -> Iterator[int]:
    """Go through the places that look like heads; they may overlap."""
    found = _HEAD_LOOK.search(data)
    while found is not None:
        yield found.start()
        found = _HEAD_LOOK.search(data, found.start() + 1)


def _way(data: bytes, at: int, most: int, failed: set[int]) -> Iterator[Record]:
    """Go from record to record, as long as they follow one another."""
    seq = None
    while at not in failed:
        record = _record(data, at, most)
        if record is None or (seq is not None and record.seq != seq + 1):
            return
        yield record
        seq, at = record.seq, _next(record)


def _record(data: bytes, at: int, most: int) -> Record | None:
    """Read the head of a record, if there is one."""
    begin = at + _HEADER_BYTES
    if begin + _ARRAY_MIN > len(data):
        return None
    (length,) = _LENGTH.unpack_from(data, at)
    if not _ARRAY_MIN <= length <= min(most, len(data) - begin):
        return None
    first, event_id, seq_type, seq, time_type, _, threshold_type = _HEAD.unpack_from(
        data, begin
    )
    types = (seq_type, time_type, threshold_type)
    if first != _HEAD_BEGIN or types != _HEAD_TYPES:
        return None
    return Record(begin, begin + length, event_id, seq)


def _next(record: Record) -> int:
    return record.end + -record.end % _ALIGN


def _choose(data: bytes, history: list[Record], names: Sequence[str]) -> LastWords:
    """Keep the last events and the open spans, as far as there is room."""
    if not history:
        return LastWords({})
    spans = _open_spans(data, history, names)
    room = _Room(data, names, BYTES_MAX)
    # Spans first: an event that is too large must not cost what only they tell.
    starts = room.take(spans[-SPANS_MAX:], BYTES_MAX // 2)
    events = room.take(history[-EVENTS_MAX:], BYTES_MAX)
    return LastWords(
        names=room.names,
        events=events,
        open_spans=starts,
        open_count=len(spans),
        first_seq=history[0].seq,
        last_seq=history[-1].seq,
    )


def _open_spans(
    data: bytes, history: list[Record], names: Sequence[str]
) -> list[Record]:
    steps = [name.rpartition(".")[2] for name in names]
    spans: dict[bytes, Record] = {}
    for record in history:
        step = steps[record.event_id] if record.event_id < len(steps) else ""
        if step not in ("start", "stop", "exception"):
            continue
        span = data[record.end + _SPAN_AT : record.end]
        if not span.startswith(_SPAN_BEGIN):
            continue
        span_id = span[len(_SPAN_BEGIN) :][:_SPAN_ID_BYTES]
        if step == "start":
            spans[span_id] = record
        else:
            spans.pop(span_id, None)
    return list(spans.values())


class _Room:
    """Takes records as long as they and their names fit."""

    def __init__(self, data: bytes, names: Sequence[str], size_bytes: int) -> None:
        self.names: dict[int, str] = {}
        self._data = data
        self._all_names = names
        self._left = size_bytes

    def take(self, records: Sequence[Record], most_bytes: int) -> tuple[bytes, ...]:
        """Take the newest of some records; what is nobody's event is passed over."""
        least = max(self._left - most_bytes, 0)
        taken: list[bytes] = []
        for record in reversed(records):
            if record.event_id >= len(self._all_names):
                continue
            cost = record.end - record.begin + self._cost_of_name(record.event_id)
            if self._left - cost < least:
                break
            self._left -= cost
            self.names[record.event_id] = self._all_names[record.event_id]
            taken.append(self._data[record.begin : record.end])
        return tuple(reversed(taken))

    def _cost_of_name(self, event_id: int) -> int:
        if event_id in self.names:
            return 0
        return len(self._all_names[event_id].encode())
