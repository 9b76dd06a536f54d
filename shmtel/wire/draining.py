"""What a hub asked for that wants its stream to end, as far as it is granted."""

from dataclasses import dataclass

from shmtel.wire.collector_events import DrainAsked, Ended
from shmtel.wire.frames import Drain, Error, ErrorCode

_LONGEST_MS = 60_000  # a hub may not ask for a longer silence


@dataclass(frozen=True, slots=True)
class Draining:
    """A stream that is drained: no more batches, and over at the deadline."""

    asked: DrainAsked
    until_ns: int

    @classmethod
    def begin(cls, frame: Drain, now_ns: int) -> "Draining":
        """Return what is granted."""
        deadline_ms = min(frame.deadline_ms, _LONGEST_MS)
        asked = DrainAsked(frame.reason, min(frame.delay_ms, _LONGEST_MS))
        return cls(asked, now_ns + deadline_ms * 1_000_000)

    def end(self) -> Ended:
        """Return what the hub would say at its deadline."""
        return Ended(Error(ErrorCode.SHUTTING_DOWN, self.asked.reason))
