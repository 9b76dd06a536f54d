"""Early counters: what a collector may say ahead of its events."""

from dataclasses import replace

import pytest

from shmtel.wire.codec import encode_collector_frame
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.errors import LocalProtocolError, RemoteProtocolError
from shmtel.wire.frames import (
    Ack,
    Batch,
    Counters,
    HostCounters,
    ResumePoint,
    RingClosed,
    RingCounters,
    WorkerCounters,
)
from shmtel.wire.hub_role import HubProtocol
from shmtel.wire.limits import (
    COUNTED_MAX,
    COUNTED_NAME_MAX,
    COUNTED_RINGS_MAX,
    counters_flaw,
    fitted_counters,
)
from support.frames import HELLO, OPENED, TERMS, WORKER, plain_segment

MESSAGE_BYTES_MAX = 4 << 20  # what grpc takes unless told otherwise
LARGEST = (1 << 64) - 1
FULL = WorkerCounters(*[LARGEST] * 4, {f"reason_{n:030}": LARGEST for n in range(8)})
MANY = {str(number): 1 for number in range(COUNTED_MAX + 1)}
LONG = {"x" * (COUNTED_NAME_MAX + 1): 1}
ABOUT = Counters((RingCounters(1, 7, 5, WorkerCounters(9)),), HostCounters({"a": 1}))


def make_collector() -> CollectorProtocol:
    """Return a collector with one ring that is ready."""
    protocol = CollectorProtocol(HELLO, 0)
    protocol.receive(TERMS, 0)
    protocol.open_ring(b"r" * 16, WORKER, 0, {})
    protocol.receive(ResumePoint(1, 0), 0)
    protocol.outgoing()
    return protocol


def make_hub() -> HubProtocol:
    """Return a hub that was told of one ring."""
    protocol = HubProtocol(TERMS, 0)
    protocol.receive(HELLO, 0)
    protocol.accept(0)
    protocol.receive(OPENED, 0)
    return protocol


def test_counters_pass_batches() -> None:
    """They need no credit, and the hub hands them on."""
    protocol = make_collector()
    protocol.send_batch([plain_segment(0, 1)])
    protocol.send_counters([ABOUT])
    assert protocol.outgoing() == [ABOUT, Batch(1, (plain_segment(0, 1),))]
    assert make_hub().receive(ABOUT, 0) == ABOUT


def test_a_ring_that_is_closing_is_left_out() -> None:
    """The hub may have forgotten it; when it has not, the ring is back."""
    protocol = make_collector()
    protocol.send_batch([plain_segment(0, 1)], [RingClosed(1, 1, "closed")])
    protocol.send_counters([ABOUT])
    left = replace(ABOUT, rings=())
    assert protocol.outgoing()[0] == left
    protocol.receive(ResumePoint(1, 0), 0)
    protocol.send_counters([ABOUT])
    assert protocol.outgoing() == [ABOUT]
    protocol.send_batch([plain_segment(0, 1)], [RingClosed(1, 1, "closed")])
    protocol.outgoing()
    protocol.receive(Ack(2, 2, 1_000), 0)
    with pytest.raises(LocalProtocolError, match="ring 1 is not open"):
        protocol.send_counters([ABOUT])


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (Counters((RingCounters(2),)), "ring 2 is not open"),
        (Counters((RingCounters(1), RingCounters(1))), "twice"),
        (Counters((RingCounters(1, 0, 0, WorkerCounters(dropped=MANY)),)), "reasons"),
        (Counters((RingCounters(1, 0, 0, WorkerCounters(dropped=LONG)),)), "too long"),
        (Counters((), HostCounters(refused=MANY)), "65 reasons"),
        (Counters((), HostCounters(quarantined=LONG)), "too long"),
        (Counters((), HostCounters(spool_refused=LONG)), "too long"),
        (Counters((), HostCounters(evicted={32: 1})), "outcome out of range"),
    ],
)
def test_counters_are_bounded(frame: Counters, reason: str) -> None:
    """What a hub remembers of a host is bounded; neither side says more."""
    with pytest.raises(RemoteProtocolError, match=reason):
        make_hub().receive(frame, 0)
    with pytest.raises(LocalProtocolError, match=reason):
        make_collector().send_counters([frame])


@pytest.mark.parametrize(
    "closed",
    [
        RingClosed(1, 0, "x" * 65),
        RingClosed(1, 0, "closed", WorkerCounters(dropped=MANY)),
        RingClosed(1, 0, "closed", WorkerCounters(dropped=LONG)),
    ],
)
def test_the_end_of_a_ring_is_bounded(closed: RingClosed) -> None:
    """Its counters are kept as long as the ring is known."""
    hub = make_hub()
    with pytest.raises(RemoteProtocolError):
        hub.receive(Batch(1, (), (closed,)), 0)


def test_no_counters_before_hello_and_after_bye() -> None:
    """They belong to a stream."""
    with pytest.raises(RemoteProtocolError, match="before Hello"):
        HubProtocol(TERMS, 0).receive(Counters(), 0)
    protocol = make_collector()
    protocol.bye("done")
    with pytest.raises(LocalProtocolError, match="ended"):
        protocol.send_counters([Counters()])


def test_counters_do_not_pile_up() -> None:
    """While some have not left there is no room for more, whatever they say."""
    protocol = make_collector()
    assert protocol.send_counters([Counters(), Counters()])
    assert not protocol.send_counters([Counters()])
    assert len(protocol.outgoing()) == 2
    assert protocol.send_counters([Counters()])


def test_many_rings_are_several_frames() -> None:
    """What does not fit one frame is split, none is left out, and each is accepted."""
    rings = [RingCounters(n, counters=FULL) for n in range(2 * COUNTED_RINGS_MAX + 1)]
    frames = fitted_counters(rings, HostCounters(evicted_rings=1))
    assert [ring for frame in frames for ring in frame.rings] == rings
    assert len(frames) == 3
    assert all(frame.host.evicted_rings == 1 for frame in frames)
    assert all(counters_flaw(frame) is None for frame in frames)
    sizes = [len(encode_collector_frame(frame)) for frame in frames]
    assert max(sizes) < MESSAGE_BYTES_MAX


def test_counters_of_no_ring_are_one_frame() -> None:
    """A host without rings has counters of its own."""
    assert fitted_counters([], HostCounters(evicted_rings=1)) == [
        Counters((), HostCounters(evicted_rings=1))
    ]
