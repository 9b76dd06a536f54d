"""The simulation can fail: each of these broken parts is found."""

from dataclasses import replace

import pytest

from shmtel.wire.frames import Ack, HubFrame, RingOpened, Segment
from shmtel.wire.hub_role import HubProtocol
from shmtel.wire.protocol import Position
from support.simulation import Parts, Simulation, SimulationFailed
from support.wire_hub import Entry, ModelHub, ModelStream
from support.wire_rings import ModelRing

SEEDS = 400


class AcksBeforeItIsDurable(ModelHub):
    """A hub that acknowledges what a kill takes back."""

    def flush(self) -> None:
        """Acknowledge first, and write down some other time."""
        for stream in self.streams:
            stream.acknowledge()
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls % 5 == 0:
            super().flush()


class TellsWhatIsNotDurable(ModelHub):
    """A hub whose resume points say more than a kill leaves."""

    def secure(self, _entry: Entry) -> None:
        """Do nothing."""


class LetsTwoStreamsWork(ModelHub):
    """A hub that does not wait for a fenced stream."""

    def connect(self) -> ModelStream:
        """Return a stream that waits for nobody."""
        stream = super().connect()
        stream._must_wait = lambda: False  # type: ignore[method-assign]
        return stream


class ForgetsRejections(HubProtocol):
    """A hub whose ack tells only the last of the segments that it rejected."""

    def outgoing(self) -> list[HubFrame]:
        """Take the frames, as if an older ack had been dropped for the newer."""
        return [
            replace(frame, rejected=frame.rejected[-1:])
            if isinstance(frame, Ack)
            else frame
            for frame in super().outgoing()
        ]


class ForgetsToReject(ModelHub):
    """A hub with such a protocol."""

    make_protocol = ForgetsRejections


class ForgetsPositions(ModelHub):
    """A hub that takes each ring from where its collector says it has settled."""

    def open(self, hello: object, frame: RingOpened) -> Entry:
        """Return an entry as if the ring was not known."""
        key = ("host-0", frame.ring_id)
        start = Position(frame.settled_seq, dict(frame.totals))
        entry = self.table[key] = Entry(key, start)
        return entry


class IgnoresResumePoints(ModelRing):
    """A ring that goes on where it is, whatever the hub says."""

    def resume(self, point: Position) -> None:
        """Stay."""
        at = self.sent_seq
        super().resume(point)
        self.sent_seq = at


class DoesNotMark(ModelRing):
    """A ring that sends again as if for the first time."""

    def take(self, count: int) -> Segment | None:
        """Return the next segment, unmarked."""
        segment = super().take(count)
        return None if segment is None else replace(segment, resent_through=0)


class ReleasesTooEarly(ModelRing):
    """A ring that releases what was sent."""

    def suspend(self) -> None:
        """Take what was sent for settled."""
        seq = self.sent_seq
        super().suspend()
        if seq > self.settled.last_seq:
            self.settled = Position(seq, {0: seq})
            self.sent_seq = seq


BROKEN = [
    Parts(hub=AcksBeforeItIsDurable),
    Parts(hub=TellsWhatIsNotDurable),
    Parts(hub=LetsTwoStreamsWork),
    Parts(hub=ForgetsToReject),
    Parts(hub=ForgetsPositions),
    Parts(ring=IgnoresResumePoints),
    Parts(ring=DoesNotMark),
    Parts(ring=ReleasesTooEarly),
]


def first_failure(parts: Parts) -> SimulationFailed | None:
    """Return how the first of the seeds failed that did."""
    for seed in range(SEEDS):
        try:
            Simulation(seed, parts).run()
        except SimulationFailed as failure:
            return failure
    return None


@pytest.mark.parametrize("parts", BROKEN, ids=str)
def test_a_broken_part_is_found(parts: Parts) -> None:
    """Some seed fails, and says which, and what went before."""
    failure = first_failure(parts)
    assert failure is not None
    assert str(failure).startswith("seed ")
    assert len(str(failure).splitlines()) > 10


def test_a_seed_replays_its_run() -> None:
    """The same seed fails in the same way, step for step."""
    parts = Parts(ring=DoesNotMark)
    assert str(first_failure(parts)) == str(first_failure(parts))
