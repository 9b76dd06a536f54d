"""Follows the worker of one ring to its end.

A dead worker's ring is finished at once. One whose worker can be neither found
nor proven dead is retired: a live worker makes a new ring at its next emit, and
a second later, when that emit has long returned, the old ring is finished.
"""

from shmtel.liveness import ProcessWatch, Verdict
from shmtel.procfs import Host
from shmtel_collector.ring import RETIRED, Ring
from shmtel_collector.worker_process import process_of

CLOSED = "closed"
VANISHED = "vanished"
RETIREMENT_NS = 1_000_000_000


class Lifeline:
    """Ends a ring when its worker has ended.

    Attributes:
        ended_ns: when that was noticed, by the wall clock; 0: not yet.
        process: what tells the worker's process from others.
    """

    def __init__(self, ring: Ring, host: Host) -> None:
        self.ring = ring
        self.process = process_of(ring.source.identity)
        self._host = host
        self._watch = ProcessWatch(ring.source.identity, host)
        self._retired_ns: int | None = None
        self.is_watched = False  # once is enough: an exited process stays so
        self.ended_ns = 0
        self._was_alive = False

    @property
    def pidfd(self) -> int | None:
        """Return what becomes readable when the worker exits, once it is known."""
        return self._watch.pidfd

    @property
    def pid(self) -> int | None:
        """Return under which pid our own /proc shows the worker; None: not known."""
        return self._watch.pid if self._host.pid_namespace else None

    def lifetime_ns(self) -> int | None:
        """Return how long the ring was in use; None: it was never seen to be."""
        if not self._was_alive or not self.ended_ns:
            return None
        return max(self.ended_ns - self.ring.worker.created_ns, 0)

    def probe(self, now_ns: int, realtime_ns: int = 0) -> None:
        """Look after the worker, and finish the ring if that is proven right."""
        if self.ring.end is not None:
            return
        source = self.ring.source
        verdict = self._watch.probe(source.fileno(), source.is_marked_closed)
        self._was_alive |= verdict is Verdict.ALIVE
        if verdict is Verdict.DEAD:
            self.ring.finish(CLOSED if source.is_marked_closed() else VANISHED)
        elif verdict is Verdict.UNPROVEN:
            self._retire(now_ns)
        if self.ring.end is not None:
            self.ended_ns = realtime_ns

    def close(self) -> None:
        """Let go of the process."""
        self._watch.close()

    def _retire(self, now_ns: int) -> None:
        if self._retired_ns is None:
            self._retired_ns = now_ns
            self.ring.control.retire()
        elif now_ns - self._retired_ns >= RETIREMENT_NS:
            self.ring.finish(RETIRED)
