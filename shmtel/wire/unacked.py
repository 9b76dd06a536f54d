"""Batches that were handed over and are not yet acknowledged.

Rules:
- first in, first out: acknowledgements are cumulative;
- the credit counts what was sent, also where a part became void on the way.
"""

from collections import deque
from dataclasses import dataclass

from shmtel.wire.frames import Batch
from shmtel.wire.protocol import payload_bytes, without_rings


@dataclass(slots=True)
class _Sent:
    batch: Batch
    payload_bytes: int
    since_ns: int | None = None  # the first moment known after it was handed over


class Unacked:
    """A queue with two ends that move apart: what was taken, what was acked."""

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque()
        self._untaken: deque[_Sent] = deque()
        self.last_batch_seq = 0
        self.payload_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._sent)

    def append(self, batch: Batch) -> None:
        """Add the next batch."""
        sent = _Sent(batch, payload_bytes(batch))
        self.last_batch_seq = batch.batch_seq
        self.payload_bytes += sent.payload_bytes
        self._sent.append(sent)
        self._untaken.append(sent)

    def take(self) -> list[Batch]:
        """Return the batches that were not taken before."""
        taken = [sent.batch for sent in self._untaken]
        self._untaken.clear()
        return taken

    def last_taken_seq(self) -> int:
        """Return the number of the last batch that was taken."""
        return self.last_batch_seq - len(self._untaken)

    def pop_through(self, batch_seq: int) -> list[Batch]:
        """Remove and return the batches up to a number, oldest first."""
        done = []
        while self._sent and self._sent[0].batch.batch_seq <= batch_seq:
            sent = self._sent.popleft()
            self.payload_bytes -= sent.payload_bytes
            done.append(sent.batch)
        return done

    def void(self, ring: int) -> None:
        """Take everything about a ring out of the batches."""
        for sent in self._sent:
            sent.batch = without_rings(sent.batch, {ring})

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
