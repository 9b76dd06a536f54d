"""A spool to be opened, filled, damaged and opened again."""

import os
import sqlite3
from pathlib import Path

from shmtel.wire.frames import Outcome, Segment, SegmentCount, Worker
from shmtel_collector.spool import Spool
from shmtel_collector.spool_records import Closing, SpooledRing, Standing
from support.quiet_log import QuietLog

RING = b"r" * 16
OTHER = b"o" * 16
MAX_BYTES = 32 << 20
EVENTS = os.urandom(60_000)
FIVE = [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]


def standing(settled: int = 0, sent: int = 0) -> Standing:
    """How far a ring has come of which everything was delivered."""
    return Standing(settled, [settled] + [0] * 31, sent)


def spooled_ring(
    ring_id: bytes = RING, closing: Closing | None = None, settled: int = 0
) -> SpooledRing:
    """What is known of a ring."""
    worker = Worker("w1", "web", "shop", 7, 8, "python", "3.12", 3)
    return SpooledRing(ring_id, worker, ["a.b", "ä"], standing(settled), closing)


def segment(before: int, last: int, events: bytes = EVENTS) -> Segment:
    """A segment with one delivered event; the others were rejected."""
    count = SegmentCount(1, Outcome.REJECTED_MALFORMED, last - before - 1)
    return Segment(0, before, last, 1, events, (count,) if count.events else ())


class OpenedSpool:
    """A spool at a path, opened as often as a test asks for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now_ns = 0
        self.log = QuietLog(lambda: self.now_ns / 1e9)
        self.spool = self._open(MAX_BYTES)

    def _open(self, max_bytes: int) -> Spool:
        return Spool(self.path, max_bytes, self.log, lambda: self.now_ns)

    def again(self, max_bytes: int = MAX_BYTES) -> Spool:
        """Close it and open it once more."""
        self.spool.abandon()
        self.spool = self._open(max_bytes)
        return self.spool

    def change(self, statement: str) -> None:
        """Close it, and change the file behind its back."""
        self.spool.close()
        database = sqlite3.connect(self.path)
        database.execute(statement)
        database.commit()
        database.close()


def fill(spool: Spool, ring_id: bytes = RING, segments: int = 5) -> int:
    """Put in segments of two events each; return the last seq."""
    given = [segment(2 * n, 2 * n + 2) for n in range(segments)]
    assert spool.append([(spooled_ring(ring_id), given)])
    return 2 * segments


def take_all(spool: Spool, ring_id: bytes, last_seq: int) -> list[tuple[int, int]]:
    """Take what is there, in order, by its bounds."""
    found, seq = [], 0
    while (taken := spool.next_segment(ring_id, seq, last_seq)) is not None:
        found.append((taken.seq_before, taken.seq_last))
        seq = taken.seq_last
    return found
