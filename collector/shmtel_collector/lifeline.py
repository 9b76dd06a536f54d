"""Follows the worker of one ring to its end.

A dead worker's ring is finished at once. One whose worker can be neither found
nor proven dead is retired: a live worker makes a new ring at its next emit, and
a second later, when that emit has long returned, the old ring is finished.
"""

from shmtel.liveness import ProcessWatch, Verdict
from shmtel.procfs import Host
from shmtel_collector.ring import RETIRED, Ring

CLOSED = "closed"
VANISHED = "vanished"
RETIREMENT_NS = 1_000_000_000


class Lifeline:
    """Ends a ring when its worker has ended."""

    def __init__(self, ring: Ring, host: Host) -> None:
        self.ring = ring
        self._watch = ProcessWatch(ring.source.identity, host)
        self._retired_ns: int | None = None
        self.is_watched = False  # once is enough: an exited process stays so

    @property
    def pidfd(self) -> int | None:
        """Return what becomes readable when the worker exits, once it is known."""
        return self._watch.pidfd

    def probe(self, now_ns: int) -> None:
        """Look after the worker, and finish the ring if that is proven right."""
        if self.ring.end is not None:
            return
        source = self.ring.source
        verdict = self._watch.probe(source.fileno(), source.is_marked_closed)
        if verdict is Verdict.DEAD:
            self.ring.finish(CLOSED if source.is_marked_closed() else VANISHED)
        elif verdict is Verdict.UNPROVEN:
            self._retire(now_ns)

    def close(self) -> None:
        """Let go of the process."""
        self._watch.close()

    def _retire(self, now_ns: int) -> None:
        if self._retired_ns is None:
            self._retired_ns = now_ns
            self.ring.control.retire()
        elif now_ns - self._retired_ns >= RETIREMENT_NS:
            self.ring.finish(RETIRED)
