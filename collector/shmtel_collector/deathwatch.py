"""Watches over the workers of all rings, one lifeline to each ring.

Once a round each is probed; a worker whose process could be pinned is noticed within
milliseconds of its exit, since its pidfd is watched.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from shmtel.procfs import Host
from shmtel_collector.lifeline import Lifeline
from shmtel_collector.ring import Ring


class PidWatcher(Protocol):
    """Calls back when a descriptor becomes readable."""

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        """Begin to watch."""

    def remove(self, fd: int) -> None:
        """Cease to watch."""


class Deathwatch:
    """The lifelines of the rings that others write."""

    def __init__(self, watcher: PidWatcher, host: Host) -> None:
        self._watcher = watcher
        self._host = host
        self._lifelines: dict[bytes, Lifeline] = {}
        self._watched: set[int] = set()
        self._exited: set[bytes] = set()

    def add(self, ring: Ring) -> None:
        """Begin to look after the worker of a ring."""
        self._lifelines[ring.ring_id] = Lifeline(ring, self._host)

    def get(self, ring_id: bytes) -> Lifeline | None:
        """Return what is known of a ring's worker; None: nobody looks after it."""
        return self._lifelines.get(ring_id)

    def lifelines(self) -> Iterable[Lifeline]:
        """Return all of them."""
        return self._lifelines.values()

    def remove(self, ring_id: bytes) -> None:
        """Let go of the worker of a ring."""
        lifeline = self._lifelines.pop(ring_id, None)
        if lifeline is not None:
            self._unwatch(lifeline)
            lifeline.close()

    def take_exited(self) -> set[bytes]:
        """Return the rings whose pinned worker has exited since the last call."""
        exited, self._exited = self._exited, set()
        return exited

    def probe(self, ring_id: bytes, now_ns: int, realtime_ns: int) -> Lifeline | None:
        """Look after the worker of a ring; return what is known if it just ended."""
        lifeline = self._lifelines.get(ring_id)
        if lifeline is None or lifeline.ring.end is not None:
            return None
        lifeline.probe(now_ns, realtime_ns)
        pidfd = lifeline.pidfd
        if lifeline.ring.end is not None:
            self._unwatch(lifeline)
            return lifeline
        if pidfd is not None and not lifeline.is_watched:
            lifeline.is_watched = True
            self._watched.add(pidfd)
            self._watcher.add(pidfd, lambda: self._on_exit(lifeline))
        return None

    def _on_exit(self, lifeline: Lifeline) -> None:
        """A pinned worker has exited; its lock may take a moment longer to go."""
        self._unwatch(lifeline)
        self._exited.add(lifeline.ring.ring_id)

    def _unwatch(self, lifeline: Lifeline) -> None:
        if lifeline.pidfd in self._watched:
            self._watched.discard(lifeline.pidfd)
            self._watcher.remove(lifeline.pidfd)
