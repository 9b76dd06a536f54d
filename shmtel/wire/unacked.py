"""Batches that were handed over and are not yet acknowledged.

Rules:
- first in, first out: acknowledgements are cumulative;
- the credit counts what was sent, also where a part became void on the way.
"""

from collections import deque
from dataclasses import dataclass, field, replace

from shmtel.wire.collector_events import Acked
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import Ack, Batch, Rejected
from shmtel.wire.protocol import as_rejected, payload_bytes, without_rings


@dataclass(slots=True)
class _Sent:
    batch: Batch
    payload_bytes: int
    since_ns: int | None = None  # the first moment known after it was handed over
    void_rings: set[int] = field(default_factory=set)


class Unacked:
    """A queue with two ends that move apart: what was taken, what was acked."""

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque()
        self._untaken: deque[_Sent] = deque()
        self.last_batch_seq = 0
        self.payload_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._sent)

    def room(self, credit_bytes: int, largest_bytes: int) -> int:
        """Return how many bytes of events a batch may hold now; 0: none.

        With nothing outstanding one largest batch may always go. Less than half a
        batch counts as no room, or a full link would be fed in crumbs.
        """
        if not self._sent:
            return largest_bytes
        free = min(credit_bytes - self.payload_bytes, largest_bytes)
        return free if 2 * free >= largest_bytes else 0

    def append(self, batch: Batch) -> None:
        """Add the next batch."""
        sent = _Sent(batch, payload_bytes(batch))
        self.last_batch_seq = batch.batch_seq
        self.payload_bytes += sent.payload_bytes
        self._sent.append(sent)
        self._untaken.append(sent)

    def has_untaken(self) -> bool:
        """Tell whether `take` has something to return."""
        return bool(self._untaken)

    def take(self) -> list[Batch]:
        """Return the batches that were not taken before."""
        taken = [sent.batch for sent in self._untaken]
        self._untaken.clear()
        return taken

    def settle(self, ack: Ack) -> list[Acked]:
        """Remove what an ack covers and return it, oldest first.

        Raises:
            RemoteProtocolError: it speaks of what was never sent.
        """
        if ack.batch_seq > self.last_batch_seq - len(self._untaken):
            raise RemoteProtocolError(f"an ack of batch {ack.batch_seq}, never sent")
        rejected: dict[int, list[Rejected]] = {}
        for part in ack.rejected:
            if part.batch_seq > ack.batch_seq or not self._reject(part):
                text = f"ring {part.ring} in batch {part.batch_seq}"
                raise RemoteProtocolError(f"a rejection of {text}, never sent")
            rejected.setdefault(part.batch_seq, []).append(part)
        done = []
        while self._sent and self._sent[0].batch.batch_seq <= ack.batch_seq:
            sent = self._sent.popleft()
            self.payload_bytes -= sent.payload_bytes
            parts = rejected.get(sent.batch.batch_seq, ())
            done.append(Acked(sent.batch, tuple(parts)))
        return done

    def void(self, ring: int) -> None:
        """Take everything about a ring out of the batches."""
        for sent in self._sent:
            sent.batch = without_rings(sent.batch, {ring})
            sent.void_rings.add(ring)

    def see(self, now_ns: int) -> None:
        """Tell the time.

        Batches are handed over without one and get the next that is known, so
        that an age is never overstated.
        """
        for sent in reversed(self._sent):
            if sent.since_ns is not None:
                break
            sent.since_ns = now_ns

    def oldest_age_ns(self, now_ns: int) -> int:
        """Return how long the oldest batch has waited; 0: none does."""
        if not self._sent:
            return 0
        return now_ns - (self._sent[0].since_ns or now_ns)

    def _reject(self, part: Rejected) -> bool:
        """Count a segment as the hub does that could not read it.

        Returns:
            Whether there is such a segment. What is void by now was there, and a
            resume point has said what it counts as.
        """
        index = part.batch_seq - self._sent[0].batch.batch_seq if self._sent else -1
        if not 0 <= index < len(self._sent):
            return False
        sent = self._sent[index]
        if not any(segment.ring == part.ring for segment in sent.batch.segments):
            return part.ring in sent.void_rings
        segments = (
            as_rejected(segment) if segment.ring == part.ring else segment
            for segment in sent.batch.segments
        )
        sent.batch = replace(sent.batch, segments=tuple(segments))
        return True
