"""What was read from a ring and is not settled: in flight, or still to be sent."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from shmtel.wire.frames import Segment
from shmtel_collector.reader import Read


class Flight:
    """Segments of one ring, in the order of their seqs.

    Attributes:
        ever_sent_seq: up to where anything was sent on a stream before this one.
        unsent: read for a spool that did not take it.
    """

    def __init__(self, ever_sent_seq: int) -> None:
        self.ever_sent_seq = ever_sent_seq
        self.unsent: deque[Read] = deque()
        self._sent: deque[Read] = deque()

    def send(self, read: Read, ring: int) -> Segment:
        """Return a segment as it is sent, with its mark if it was sent before."""
        # All that was ever sent, also past this segment: of later streams the hub
        # believes only itself, so it has to hear at once how far an earlier one heard.
        is_resent = self.ever_sent_seq > read.segment.seq_before
        resent = self.ever_sent_seq if is_resent else 0
        sent = replace(read.segment, ring=ring, resent_through=resent)
        self._sent.append(Read(sent, read.position))
        return sent

    def land(self, segment: Segment) -> Read:
        """Return the oldest one in flight, which is the one that is acknowledged."""
        read = self._sent.popleft()
        assert read.segment.seq_last == segment.seq_last
        return read

    def unreleased(self, head_seq: int) -> Iterator[Read]:
        """Yield all that lies behind a ring's head."""
        yield from (read for read in self._sent if read.segment.seq_last > head_seq)
        yield from tuple(self.unsent)

    def release(self, last_seq: int) -> None:
        """Forget what need not be sent from here, because the spool has it."""
        while self.unsent and self.unsent[0].segment.seq_last <= last_seq:
            self.unsent.popleft()

    def clear(self) -> None:
        """Forget all: the stream is lost, or it is to be read again."""
        self._sent.clear()
        self.unsent.clear()
