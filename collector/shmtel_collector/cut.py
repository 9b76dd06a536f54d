"""Cuts a spooled segment where the hub stands in the middle of it.

A collector that was killed before it could settle drains the same events again, and
may put them into the spool within other bounds. Then the hub's resume point can lie
inside a segment: what is behind it goes out, the rest is there already.

Which events are delivered is known one by one. Of the others only their number is
certain: the reasons of those behind the resume point are what the segment says in
all, less what the hub counts in front of it.

Rules: a pure function; the segment is sound, see spool_records.py.
"""

from collections.abc import Mapping
from dataclasses import replace

import msgpack

from shmtel.wire.frames import UNKNOWN_EVENT_ID, Outcome, Segment, SegmentCount

_SEQ = slice(5, 13)  # in an event's array, whose head has a fixed width


def cut(segment: Segment, seq: int, counted: Mapping[int, int]) -> Segment:
    """Return what of a segment lies behind a seq inside it.

    Args:
        counted: what became of its events up to `seq`, by outcome, as the hub says.

    Raises:
        ValueError: its events are not what a ring yields.
    """
    events = _events_behind(segment.events, seq)
    left_out = segment.seq_last - seq - len(events)
    if left_out < 0:
        raise ValueError("more events than seqs")
    return replace(
        segment,
        seq_before=seq,
        delivered=len(events),
        events=b"\xdd" + len(events).to_bytes(4, "big") + b"".join(events),
        counts=_shared(_without(segment.counts, counted), segment.counts, left_out),
    )


def _events_behind(events: bytes, seq: int) -> list[bytes]:
    """Return the arrays of the events that have a later seq."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(events))
    unpacker.feed(events)
    behind: list[bytes] = []
    try:
        for _ in range(unpacker.read_array_header()):
            start = unpacker.tell()
            unpacker.skip()
            event = events[start : unpacker.tell()]
            if int.from_bytes(event[_SEQ], "big") > seq:
                behind.append(event)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise ValueError(f"not an array of events: {error!r}") from error
    return behind


def _without(
    counts: tuple[SegmentCount, ...], counted: Mapping[int, int]
) -> list[SegmentCount]:
    """Take from counts what has been counted before."""
    owed = dict(counted)
    rest = []
    for count in counts:
        taken = min(count.events, max(owed.get(count.outcome, 0), 0))
        owed[count.outcome] = owed.get(count.outcome, 0) - taken
        rest.append(replace(count, events=count.events - taken))
    return rest


def _shared(
    first: list[SegmentCount], all_counts: tuple[SegmentCount, ...], events: int
) -> tuple[SegmentCount, ...]:
    """Make counts of so many events: of `first` as far as they go, then of all."""
    shared: dict[tuple[int, int], int] = {}
    spare = {(count.event_id, count.outcome): count.events for count in all_counts}
    for count in (*first, *all_counts):
        key = (count.event_id, count.outcome)
        taken = min(count.events, spare[key], events)
        spare[key] -= taken
        shared[key] = shared.get(key, 0) + taken
        events -= taken
    if events:  # it has fewer events than it speaks of
        key = (UNKNOWN_EVENT_ID, Outcome.LOST_SPOOL_DAMAGED)
        shared[key] = shared.get(key, 0) + events
    return tuple(SegmentCount(*key, n) for key, n in shared.items() if n)
