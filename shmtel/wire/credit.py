"""How many unanswered bytes a hub grants to one stream.

Credit bounds what both sides hold of a stream, and how long a control frame waits
behind batches. So it is as small as keeps the stream busy: what arrives during the
time that an answer takes, twice; and never less than two largest batches, so that
one can be on its way while the other is worked on.

The time an answer takes is the smallest that was ever seen on the stream. A slow
handler makes it longer, and if credit followed that, a hub that can do no more
would be sent more. What it takes when nothing is in the way is what must be bridged.
To that comes the wait for a group of answers that is committed together. It is known
and not measured: a batch that comes just before its group does not wait at all.

Rules:
- time comes in as an argument; nothing here knows frames.
"""

import math
from collections import deque

CREDIT_MAX_BYTES = 16 << 20
UNANSWERED_MAX = 4_096  # batches, also of those that cost nothing
GROUP_NS = 4_000_000  # from group to group, where much is answered
_NEVER_NS = 1 << 62  # no batch was answered yet, and so none is rated
_FADE_NS = 1_000_000_000  # time constant of the measured rate


class Credit:
    """Follows the batches of one stream."""

    def __init__(self, least_bytes: int, largest_batch_bytes: int, now_ns: int) -> None:
        self._least_bytes = max(least_bytes, 2 * largest_batch_bytes)
        self._waiting: deque[tuple[int, int, int]] = deque()  # seq, since, bytes
        self._waiting_bytes = 0
        self._most_bytes = self._least_bytes  # that were ever granted
        self._rate = 0.0  # bytes per ns
        self._rated_ns = now_ns
        self._shortest_ns = _NEVER_NS

    def received(self, batch_seq: int, payload_bytes: int, now_ns: int) -> None:
        """Note a batch that came in."""
        self._waiting.append((batch_seq, now_ns, payload_bytes))
        self._waiting_bytes += payload_bytes

    def answered(self, batch_seq: int, now_ns: int) -> None:
        """Note that all batches up to one are answered."""
        answered_bytes = 0
        while self._waiting and self._waiting[0][0] <= batch_seq:
            _, since_ns, payload_bytes = self._waiting.popleft()
            answered_bytes += payload_bytes
            waited_ns = max(now_ns - since_ns, 0)
            if payload_bytes:  # the others cost nothing, and say nothing
                self._shortest_ns = min(self._shortest_ns, waited_ns)
        self._waiting_bytes -= answered_bytes
        self._rate_answer(answered_bytes, now_ns)

    def granted_bytes(self) -> int:
        """Return how much may be unanswered now."""
        needed = 2.0 * self._rate * (self._shortest_ns + GROUP_NS)
        granted = int(min(max(needed, self._least_bytes), CREDIT_MAX_BYTES))
        self._most_bytes = max(self._most_bytes, granted)
        return granted

    def is_overdrawn(self) -> bool:
        """Tell whether more is unanswered than was ever granted."""
        is_more = self._waiting_bytes > self._most_bytes
        return is_more or len(self._waiting) > UNANSWERED_MAX

    def oldest_age_ns(self, now_ns: int) -> int:
        """Return how long the oldest batch has waited for its answer; 0: none does."""
        return now_ns - self._waiting[0][1] if self._waiting else 0

    def _rate_answer(self, answered_bytes: int, now_ns: int) -> None:
        elapsed_ns = max(now_ns - self._rated_ns, 1)
        self._rated_ns = now_ns
        keep = math.exp(-elapsed_ns / _FADE_NS)
        self._rate = self._rate * keep + answered_bytes * (1.0 - keep) / elapsed_ns
