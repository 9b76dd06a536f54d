"""Frames of both sides, one of each kind, for tests of the wire."""

from shmtel.policy.model import (
    Filter,
    Layer,
    Policy,
    PolicyStatus,
    Rejection,
    Rule,
    Sampling,
    Selector,
    Toggle,
    Traits,
    WorkerResult,
)
from shmtel.wire.frames import (
    Ack,
    Batch,
    Bye,
    CollectorFrame,
    Counters,
    Drain,
    Error,
    ErrorCode,
    Heartbeat,
    Hello,
    HostCounters,
    HubFrame,
    NamesAdded,
    Outcome,
    Rejected,
    ResumePoint,
    RingClosed,
    RingCounters,
    RingOpened,
    Segment,
    SegmentCount,
    Welcome,
    Worker,
    WorkerCounters,
)

HELLO = Hello(1, 1, "node", "host", b"i" * 16, 7, 3, "ns", "o", "o", 2, 4)
WORKER = Worker("w-1", "pool", "svc", 42, 5, "python", "3.11", 0)
OPENED = RingOpened(1, b"r" * 16, WORKER)
TERMS = Welcome(1, "hub", 1_000, 400, 1_000)
NO_COUNTS = (SegmentCount(4, Outcome.REJECTED_MALFORMED, 1),)

COLLECTOR_FRAMES: list[CollectorFrame] = [
    HELLO,
    OPENED,
    RingOpened(2, b"s" * 16, Worker("w-2"), 5, {Outcome.DELIVERED: 4, 17: 1}),
    NamesAdded(1, 3, ("a.b", "c")),
    Batch(1),
    Batch(
        2,
        (Segment(1, 4, 7, 2, b"\xdd\x00", NO_COUNTS, 6), Segment(2, 0, 0, 0, b"")),
        (RingClosed(1, 7, "vanished", WorkerCounters(7, 1, 2, 3, {"ring_full": 4})),),
    ),
    Heartbeat(0),
    Heartbeat(2**63, 12),
    PolicyStatus(),
    PolicyStatus(
        "o",
        4,
        Rejection(1, "why"),
        "o",
        3,
        (WorkerResult(b"r" * 16, Traits("w-1", "p", "s"), "damaged"),),
        1,
        9,
        (
            Layer("local", (Rule(Selector(), Toggle(True), 5),)),
            Layer("guard", (), True),
        ),
    ),
    Counters(),
    Counters(
        (RingCounters(1, 7, 5, WorkerCounters(9, 1, 2, 3, {"ring_full": 4})),),
        HostCounters(
            *({"no_magic": 1}, {"checksum": 2}, 3, {Outcome.LOST_EVICTED: 4}),
            *(5, 6, {"full": 7}, 8),
        ),
    ),
    Bye("done"),
]

HUB_FRAMES: list[HubFrame] = [
    TERMS,
    ResumePoint(1, 5, {Outcome.DELIVERED: 5}),
    Ack(9, 2, 0),
    Ack(10, 2, 7, (Rejected(9, 1, "no records"),)),
    Drain("stopping", 250, 2_000),
    Policy(0),
    Policy(
        4,
        (
            Rule(Selector("*"), Toggle(False)),
            Rule(Selector("w-?"), Sampling(0.0)),
            Rule(Selector("w-1"), Sampling(0.25, ("a.*", "b"))),
            Rule(Selector("w-2"), Filter()),
            Rule(Selector("w-3"), Filter(("a",), ("b", "c"))),
            Rule(Selector("w", "p", "s", "n"), Filter(), 2**62),
        ),
        "o",
        17,
    ),
    Heartbeat(1),
    Error(ErrorCode.STALE_EPOCH, "why"),
]


def plain_segment(before: int, last: int, ring: int = 1, size: int = 10) -> Segment:
    """Return a segment whose events are all delivered; the bytes mean nothing."""
    return Segment(ring, before, last, last - before, b"e" * size)
