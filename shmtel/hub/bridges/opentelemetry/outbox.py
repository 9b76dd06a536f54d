"""What waits to be sent of one signal, bounded in bytes, and the account of it.

Rules:
- putting never waits: what finds no room is dropped and counted;
- what is being sent has its room until its fate is known, so that memory is bounded
  by the room and one request's copy;
- every item ends once: sent, or dropped for a reason.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence

from shmtel.hub.bridges.account import BridgeAccount
from shmtel.hub.bridges.opentelemetry.frames import Chunk

QUEUE_FULL = "queue_full"  # the backend is too slow, or away
REJECTED = "rejected"  # by the backend, of a request that it took: partial success
REFUSED = "refused"  # by the backend, as a whole and for good
GIVEN_UP = "given_up"  # tried for too long
STOPPED = "stopped"  # the bridge ended before
_LAST_PAUSE_S = 0.2


class Outbox:
    """Chunks on their way to the thread that sends them.

    Args:
        room_bytes: of what waits and what is being sent.
        batch_bytes: of a request, beyond which another one is begun.
        delay_s: how long the first chunk of a request waits for more.
    """

    def __init__(self, room_bytes: int, batch_bytes: int, delay_s: float) -> None:
        self._room_bytes = room_bytes
        self._batch_bytes = batch_bytes
        self._delay_s = delay_s
        self._changed = threading.Condition()
        self._waiting: deque[tuple[float, Chunk]] = deque()
        self._in_hand: Sequence[Chunk] = ()
        self._bytes = 0  # of both
        self._given = self._sent = self._retries = 0
        self._dropped: Counter[str] = Counter()
        self._is_ending = self._is_over = False

    # -- the side that gives -----------------------------------------------------

    def put(self, chunk: Chunk) -> bool:
        """Hand over a chunk; tell whether there was room."""
        with self._changed:
            self._given += chunk.items
            if self._is_ending:
                self._dropped[STOPPED] += chunk.items
                return False
            if self._bytes + len(chunk.data) > self._room_bytes:
                self._dropped[QUEUE_FULL] += chunk.items
                return False
            self._bytes += len(chunk.data)
            self._waiting.append((time.monotonic(), chunk))
            self._changed.notify_all()
            return True

    def end(self) -> None:
        """Take no more; what waits is due at once."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()

    def give_up(self) -> int:
        """Drop what is left, in hand or not: the time to send it is over.

        Returns:
            How many items that is.
        """
        with self._changed:
            self._is_ending = self._is_over = True
            left = [*self._in_hand, *(chunk for _, chunk in self._waiting)]
            items = sum(chunk.items for chunk in left)
            self._dropped[STOPPED] += items
            self._waiting.clear()
            self._in_hand, self._bytes = (), 0
            self._changed.notify_all()
            return items

    def account(self) -> BridgeAccount:
        """Return what became of what was put."""
        with self._changed:
            waiting = sum(chunk.items for _, chunk in self._waiting)
            in_hand = sum(chunk.items for chunk in self._in_hand)
            return BridgeAccount(
                given=self._given,
                sent=self._sent,
                waiting=waiting + in_hand,
                waiting_bytes=self._bytes,
                retries=self._retries,
                dropped={why: n for why, n in self._dropped.items() if n},
            )

    # -- the side that sends -----------------------------------------------------

    def take(self) -> bytes | None:
        """Wait for the next request and return it; None: there will be no more."""
        with self._changed:
            while not self._is_due():
                if self._is_ending and not self._waiting:
                    return None
                self._changed.wait(self._patience_s())
            self._in_hand = self._next()
            return b"".join(chunk.data for chunk in self._in_hand)

    def settle(self, rejected: int = 0) -> None:
        """Note that the request in hand has arrived, but for what was rejected."""
        with self._changed:
            items = self._let_go()
            lost = min(items, max(0, rejected))  # what a backend claims is foreign
            self._sent += items - lost
            self._dropped[REJECTED] += lost

    def drop(self, reason: str) -> None:
        """Note that the request in hand does not arrive."""
        with self._changed:
            self._dropped[reason] += self._let_go()

    def pause(self, seconds: float) -> bool:
        """Wait before the request in hand is sent again; tell whether it shall be.

        At the end of the bridge the wait is short, for there is little time left.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending, seconds)
            if self._is_ending:
                last_s = min(seconds, _LAST_PAUSE_S)
                self._changed.wait_for(lambda: self._is_over, last_s)
            self._retries += not self._is_over
            return not self._is_over

    def _is_due(self) -> bool:
        if not self._waiting or self._is_over:
            return False
        return (
            self._is_ending
            or self._bytes >= self._batch_bytes
            or self._patience_s() == 0.0
        )

    def _patience_s(self) -> float | None:
        """Return for how long nothing is due; None: until something comes."""
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0][0] + self._delay_s - time.monotonic())

    def _next(self) -> list[Chunk]:
        size = 0
        taken: list[Chunk] = []
        while self._waiting:
            chunk = self._waiting[0][1]
            if taken and size + len(chunk.data) > self._batch_bytes:
                break
            size += len(chunk.data)
            taken.append(chunk)
            self._waiting.popleft()
        return taken

    def _let_go(self) -> int:
        chunks, self._in_hand = self._in_hand, ()
        self._bytes -= sum(len(chunk.data) for chunk in chunks)
        return sum(chunk.items for chunk in chunks)
