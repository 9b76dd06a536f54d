"""Counters ahead of events: how they leave, how much fits, what a hub takes."""

from dataclasses import dataclass, field, replace

import pytest

from shmtel.wire.codec import encode_collector_frame
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import (
    Batch,
    Counters,
    HostCounters,
    ResumePoint,
    RingCounters,
    WorkerCounters,
)
from shmtel.wire.hub_role import HubProtocol
from shmtel.wire.limits import COUNTED_RINGS_MAX, counters_flaw, fitted_counters
from shmtel.wire.protocol import Position
from support.frames import HELLO, OPENED, TERMS, WORKER

MESSAGE_BYTES_MAX = 4 << 20  # what grpc takes unless told otherwise
LARGEST = (1 << 64) - 1
FULL = WorkerCounters(*[LARGEST] * 4, {f"reason_{n:030}": LARGEST for n in range(8)})


@dataclass
class _Entry:
    position: Position = field(default_factory=Position)


def _collector() -> CollectorProtocol:
    protocol = CollectorProtocol(HELLO, 0)
    protocol.receive(TERMS, 0)
    protocol.receive(ResumePoint(protocol.open_ring(b"r" * 16, WORKER, 0, {}), 0), 0)
    protocol.outgoing()
    return protocol


def _hub() -> HubProtocol:
    protocol = HubProtocol(TERMS, 0)
    protocol.receive(HELLO, 0)
    protocol.accept(0)
    protocol.receive(OPENED, 0)
    protocol.resume(1, _Entry())
    return protocol


def test_counters_leave_before_batches() -> None:
    """They are control: a full link does not keep the ledger from the hub."""
    protocol = _collector()
    protocol.send_batch([])
    assert protocol.send_counters([Counters()])
    assert protocol.outgoing() == [Counters(), Batch(1)]


def test_counters_do_not_pile_up() -> None:
    """While some have not left there is no room for more, whatever they say."""
    protocol = _collector()
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


@pytest.mark.parametrize(
    "frame",
    [
        Counters((RingCounters(1),) * (COUNTED_RINGS_MAX + 1)),
        Counters(host=HostCounters(refused={"x" * 65: 1})),
        Counters(host=HostCounters(evicted=dict.fromkeys(range(65), 1))),
        Counters(
            (RingCounters(1, counters=WorkerCounters(dropped={"x" * 65: 1})),),
        ),
        Counters(host=HostCounters(quarantined={str(n): 1 for n in range(65)})),
    ],
)
def test_counters_without_measure_are_refused(frame: Counters) -> None:
    """A peer cannot make the hub keep more than a few short reasons a table."""
    with pytest.raises(RemoteProtocolError):
        _hub().receive(frame, 0)


def test_the_hub_takes_counters_of_open_rings() -> None:
    """One that was closed while they were under way is left out, and is no fault."""
    mine, gone = RingCounters(1, 5), RingCounters(9, 5)
    frame = Counters((mine, gone), HostCounters(evicted_rings=2))
    assert _hub().receive(frame, 0) == replace(frame, rings=(mine,))
