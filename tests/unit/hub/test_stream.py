"""One stream at the hub, over plain iterators instead of a network."""

import logging
import queue
from collections.abc import Iterator

import pytest

from shmtel.hub.ledger import facts
from shmtel.hub.services import Services
from shmtel.hub.stream import Stream
from shmtel.wire.codec import decode_hub_frame, encode_collector_frame
from shmtel.wire.frames import (
    Ack,
    Batch,
    Bye,
    CollectorFrame,
    Counters,
    Error,
    ErrorCode,
    HostCounters,
    HubFrame,
    NamesAdded,
    ResumePoint,
    RingClosed,
    RingCounters,
    WorkerCounters,
)
from support.frames import HELLO, OPENED, TERMS
from support.hubs import WAIT_S, make_services
from support.uplink import make_segment


def serve(services: Services, *frames: CollectorFrame | Exception) -> list[HubFrame]:
    """Serve frames to the end; an exception is what breaks in the hub itself."""

    def requests() -> Iterator[bytes]:
        for frame in frames:
            if isinstance(frame, Exception):
                raise frame
            yield encode_collector_frame(frame)

    stream = Stream(services, TERMS)
    answers = [decode_hub_frame(data) for data in stream.serve(requests())]
    assert stream.stopped.wait(WAIT_S)
    assert services.fleet.live_count() == 0
    return [frame for frame in answers if frame is not None]


NAMES = NamesAdded(1, 0, ("a",))


def test_a_stream_from_hello_to_bye() -> None:
    """Each frame is answered in order, and the last ack leaves before the end."""
    services = make_services()
    batch = Batch(1, (make_segment(0, 2),))
    answers = serve(services, HELLO, OPENED, NAMES, batch, Bye("done"))
    assert answers == [
        TERMS,
        ResumePoint(1, 0),
        Ack(1, TERMS.ack_level, TERMS.credit_bytes),
    ]
    stats = services.counters.snapshot()
    assert (stats.batches, stats.segments, stats.delivered) == (1, 1, 2)


def test_requests_that_just_end() -> None:
    """A collector that closes its side without Bye gets its acks too."""
    answers = serve(make_services(), HELLO, OPENED, Batch(1, (make_segment(0, 1),)))
    assert isinstance(answers[-1], Ack)


def test_a_discarded_segment_is_counted() -> None:
    """What does not continue its ring is answered and counted."""
    services = make_services()
    answers = serve(services, HELLO, OPENED, Batch(1, (make_segment(5, 6),)))
    assert answers.count(ResumePoint(1, 0)) == 2
    assert services.counters.snapshot().discarded == 1
    assert services.counters.snapshot().delivered == 0


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([OPENED], ErrorCode.PROTOCOL_VIOLATION),
        ([HELLO, HELLO], ErrorCode.PROTOCOL_VIOLATION),
        ([HELLO, Batch(2)], ErrorCode.PROTOCOL_VIOLATION),
        (
            [type(HELLO)(7, 9, "n", "h", b"i" * 16, 1)],
            ErrorCode.PROTOCOL_VERSION,
        ),
    ],
)
def test_violations_end_the_stream(
    frames: list[CollectorFrame], code: ErrorCode, caplog: pytest.LogCaptureFixture
) -> None:
    """The collector is told, it is logged, and counted."""
    services = make_services()
    with caplog.at_level(logging.WARNING):
        answers = serve(services, *frames, Bye("never read"))
    assert isinstance(answers[-1], Error)
    assert answers[-1].code == code
    assert services.counters.snapshot().violations == 1
    assert len(caplog.records) == 1


def test_a_defect_of_the_hub_ends_one_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged and counted, and nothing waits for the stream."""
    services = make_services()
    with caplog.at_level(logging.ERROR):
        serve(services, HELLO, RuntimeError("defect"))
    assert services.counters.snapshot().internal_errors == 1
    assert "defect in the hub" in caplog.text


def test_a_transport_that_is_gone_ends_the_stream() -> None:
    """Whoever serves it is let go, also while nothing comes in."""
    services, waiting = make_services(), queue.SimpleQueue[bytes | None]()
    stream = Stream(services, TERMS)
    answers = stream.serve(iter(waiting.get, None))
    waiting.put(encode_collector_frame(HELLO))
    assert decode_hub_frame(next(answers)) == TERMS
    stream.disconnect()
    assert [decode_hub_frame(data) for data in answers] == []
    waiting.put(None)
    assert stream.stopped.wait(WAIT_S)


def test_counters_reach_the_ledger() -> None:
    """What a collector tells of a live ring and of itself is there to be asked."""
    services = make_services()
    told = Counters(
        (RingCounters(1, 2, 0, WorkerCounters(9)),), HostCounters(evicted_rings=3)
    )
    serve(services, HELLO, OPENED, told)
    known = facts(services.table, set())
    assert known.rings[0].counters == WorkerCounters(9)
    assert known.hosts[0].counters == HostCounters(evicted_rings=3)
    assert known.hosts[0].as_of_ns > 0


def test_counters_of_a_closed_ring_are_no_fault() -> None:
    """The collector may have told them before it read the answer to the end."""
    services = make_services()
    batch = Batch(1, (make_segment(0, 1),), (RingClosed(1, 1, "closed"),))
    late = Counters((RingCounters(1, 1, 0, WorkerCounters(1)),))
    answers = serve(services, HELLO, OPENED, NAMES, batch, late, Bye("done"))
    assert isinstance(answers[-1], Ack)
    assert services.counters.snapshot().violations == 0
