"""A ring whose segment of shared memory is gone: all that is left is in the spool.

To the ring it looks like a consumer that has been drained to its end.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from shmtel import _ring
from shmtel.accounting.counts import Claims
from shmtel_collector.spool_records import Closing, SpooledRing
from shmtel_collector.stripped import Entry


class SpooledSource:
    """The face of a Source, see ring_source.py; there is nothing to read or write."""

    is_own = overwrites = False
    capacity = 1
    head = cursor = 0

    def __init__(self, ring: SpooledRing, closing: Closing) -> None:
        self._closing = closing
        self._names = list(ring.names)
        self._sent_seq = ring.standing.sent_seq
        self.worker = ring.worker
        self.identity: dict[str, Any] = {"ring_id": ring.ring_id}
        self.thresholds: dict[int, None] = {}
        self.damage: str | None = None
        self.settled_seq = ring.standing.settled_seq
        self.totals = list(ring.standing.totals)
        self.head_seq = self.cursor_seq = closing.last_seq

    def fileno(self) -> int:
        """There is no descriptor."""
        return -1

    def tail(self) -> int:
        """Nothing was ever written."""
        return 0

    def drain(self, budget_bytes: int) -> "_ring.Drained | None":
        """Nothing is left."""

    def settle(
        self, position: int, head_seq: int, settled_seq: int, totals: Sequence[int]
    ) -> None:
        """Remember how far the hub has come; the spool is told by the ring."""
        self.head_seq, self.settled_seq, self.totals = head_seq, settled_seq, [*totals]

    def skip_to(self, seq: int) -> bool:
        """Say whether there is such a seq: none behind the last one."""
        return seq == self.head_seq

    def rewind(self) -> None:
        """The end is where it was."""

    def names(self, first_event_id: int) -> list[str]:
        """Return the names from an event id on."""
        return self._names[first_event_id:]

    def write(self, action: "Callable[[_ring.Consumer], None]") -> None:
        """Nobody reads it any more."""

    def judge_by(self, is_on: bool, words: tuple[int, ...], kinds: bytes) -> None:
        """Everything has been judged."""

    def check_by(
        self,
        shapes: "Sequence[_ring.Shape]",
        otherwise: "_ring.Shape",
        note_stripped: Callable[[Entry], None],
    ) -> None:
        """Everything has been judged."""

    def allow(self, thresholds: Iterable[int]) -> None:
        """Everything has been judged."""

    def is_retired(self) -> bool:
        """No worker is left to ask."""
        return False

    def initial_words(self) -> list[int]:
        """No worker is left to ask."""
        return []

    def is_marked_closed(self) -> bool:
        """How it has ended is in the closing."""
        return True

    def sent_seq(self) -> int:
        """Return up to where events were sent before."""
        return self._sent_seq

    def claims(self) -> Claims | None:
        """Return the worker's own counters."""
        return self._closing.claims

    def events(self) -> "list[_ring.EventCounters]":
        """Return the worker's own counters by event."""
        return [
            {"word": 0, "initial_word": 0, **event}  # type: ignore[typeddict-item]
            for event in self._closing.events
        ]

    def high_water(self) -> int:
        """Nothing is taken of any ring."""
        return 0

    def claimed_seq(self) -> int:
        """Return the last seq there is."""
        return self.head_seq

    def spoil(self, reason: str) -> None:
        """Declare the ring damaged."""
        if self.damage is None:
            self.damage = reason

    def close(self) -> None:
        """Nothing is open."""
