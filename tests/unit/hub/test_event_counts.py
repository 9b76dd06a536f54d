"""What a hub counts by event name."""

from collections.abc import Sequence

from shmtel.hub.event_counts import NO_NAME, OTHER, WINDOW_S, EventCounts
from shmtel.hub.handlers import EventBatch
from shmtel.hub.measures import counter
from shmtel.hub.records import Record, decode_segment
from shmtel.hub.services import Services
from shmtel.wire.frames import (
    UNKNOWN_EVENT_ID,
    Batch,
    Bye,
    NamesAdded,
    Outcome,
    Segment,
    SegmentCount,
)
from support.frames import HELLO, OPENED
from support.hubs import make_services
from support.uplink import make_event, make_segment, pack
from unit.hub.test_stream import serve


class _Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.5

    def __call__(self) -> float:
        return self.now_s


def _records(*event_ids: int) -> list[Record]:
    events = [make_event(i + 1, event_id) for i, event_id in enumerate(event_ids)]
    segment = Segment(1, 0, len(events), len(events), pack(events))
    return decode_segment(segment, max(event_ids) + 1)


def _delivered(counts: EventCounts) -> dict[str, int]:
    return {event.name: event.delivered for event in counts.read().events}


def test_events_are_counted_by_name() -> None:
    """Of rings with one name and with many, which number them as they like."""
    counts = EventCounts(now_ns=lambda: 7)
    counts.add(["a", "b"], _records(0, 1, 1))
    counts.add(["b"], _records(0))
    counts.add(["c", "c"], _records(0, 1))  # nobody keeps a worker from that
    counts.add(["a", *map(str, range(300)), "b"], _records(0, 301, 301))
    counts.add_unread(5)
    seen = counts.read()
    assert (seen.since_ns, seen.unread) == (7, 5)
    assert _delivered(counts) == {"a": 2, "b": 5, "c": 2}


def test_what_was_left_out_is_counted_by_reason() -> None:
    """And what nobody can tell the name of, under none."""
    counts = EventCounts()
    counts.add_left_out(
        ["a"],
        [
            SegmentCount(0, Outcome.SAMPLED_OUT_BY_COLLECTOR, 3),
            SegmentCount(0, Outcome.LOST_OVERWRITTEN, 2),
            SegmentCount(UNKNOWN_EVENT_ID, Outcome.REJECTED_MALFORMED, 1),
            SegmentCount(9, 99, 1),
        ],
    )
    by_name = {event.name: event.left_out for event in counts.read().events}
    assert by_name == {
        "a": {("sampled_out_by_collector", ""): 3, ("lost", "overwritten"): 2},
        NO_NAME: {("rejected", "malformed"): 1, ("lost", "unknown_outcome"): 1},
    }


def test_a_rate_is_of_the_last_whole_seconds() -> None:
    """The second that is not over does not count, and old ones are forgotten."""
    clock = _Clock()
    counts = EventCounts(monotonic_s=clock)
    counts.add(["a"], _records(*[0] * 20))
    assert _rates(counts) == {"a": 0}
    clock.now_s += 1
    counts.add(["a"], _records(*[0] * 40))
    assert _rates(counts) == {"a": 20 / WINDOW_S}
    clock.now_s += 1
    assert _rates(counts) == {"a": 60 / WINDOW_S}
    clock.now_s += WINDOW_S - 1
    assert _rates(counts) == {"a": 40 / WINDOW_S}
    clock.now_s += 1
    assert _rates(counts) == {"a": 0}
    for _ in range(3 * WINDOW_S):
        clock.now_s += 1
        counts.add(["a"], _records(0))
    assert _rates(counts) == {"a": 1}
    assert len(counts._seconds) == WINDOW_S + 1


def _rates(counts: EventCounts) -> dict[str, float]:
    return {event.name: event.per_second for event in counts.read().events}


def test_names_are_bounded() -> None:
    """Whoever makes up names is counted with all others that do."""
    counts = EventCounts(names_max=2)
    for name in ("a", "b", "c", "d", "a"):
        counts.add([name], _records(0))
    counts.add_left_out(["e"], [SegmentCount(0, Outcome.LOST_EVICTED, 1)])
    assert _delivered(counts) == {"a": 2, "b": 1, OTHER: 2}


def _serve(services: Services, names: Sequence[str], *segments: Segment) -> None:
    frames = [Batch(i + 1, (segment,)) for i, segment in enumerate(segments)]
    added = NamesAdded(1, 0, tuple(names))
    serve(services, HELLO, OPENED, added, *frames, Bye("done"))


def test_a_stream_counts_what_it_delivers() -> None:
    """By name if anybody wants the events, and else without; once in any case."""
    services = make_services()
    _serve(services, ["a"], make_segment(0, 3))
    services.dispatcher.attach("h", ["a"], lambda *_: None)
    one = {Outcome.FILTERED_BY_COLLECTOR: 1}
    broken = Segment(1, 6, 7, 1, b"\xdd\x00\x00\x00\x01\xc1")
    _serve(services, ["a"], make_segment(3, 6, counts=one), broken)
    seen = services.event_counts.read()
    assert seen.unread == 3
    assert _delivered(services.event_counts) == {"a": 2, NO_NAME: 0}
    left_out = {event.name: dict(event.left_out) for event in seen.events}
    assert left_out == {
        "a": {("filtered_by_collector", ""): 1},
        NO_NAME: {("rejected", "by_hub"): 1},
    }
    assert services.counters.snapshot().delivered == 3 + 2


def test_events_that_nobody_wants_are_not_read() -> None:
    """Also beside others of their ring; handlers that come and go change that."""
    services, seen = make_services(), list[int]()
    events = [make_event(seq, seq % 3) for seq in range(1, 10)]
    segment = Segment(1, 0, 9, 9, pack(events))
    names = ["rare", "frequent", "measured"]
    services.measures.attach([counter("m", "meas*")])

    def note(batch: EventBatch, _config: object) -> None:
        seen.extend(record.event_id for record in batch.records)

    services.dispatcher.attach("h", ["rare"], note, is_batch=True)
    _serve(services, names, segment)
    assert seen == [0, 0, 0]
    assert _delivered(services.event_counts) == {"rare": 3, "measured": 3}
    assert services.event_counts.read().unread == 3
    services.dispatcher.attach("all", ["*"], note, is_batch=True)
    more = [make_event(seq, 1) for seq in (10, 11)]
    _serve(services, names, Segment(1, 9, 11, 2, pack(more)))
    assert seen == [0, 0, 0, 1, 1]
    assert _delivered(services.event_counts) == {
        "rare": 3,
        "frequent": 2,
        "measured": 3,
    }
    assert services.counters.snapshot().delivered == 11
