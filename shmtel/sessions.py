"""Sessions of an application, and the worker that each is bound to.

    with Session("session-7") as session:
        session.assign("web-3")
        session.called()

Rules:
- a session is told of by the process that has made it: in a forked child it is
  silent, so that its end is one event;
- it ends once, and what is bound or called afterwards is not told;
- no lock: threads may share a session, and then two calls at one moment count as
  two, but a worker that both bind at once is told of twice;
- nothing raises for telemetry's sake.
"""

import itertools
import os
import time
from types import TracebackType

from shmtel._ring import emit


class Session:
    """One session of this process, from its making to `destroy`.

    Args:
        session: names it; it is metadata, so a short and harmless text.
    """

    def __init__(self, session: str) -> None:
        self.session = session
        self._pid = os.getpid()
        self._since_ns = time.monotonic_ns()
        self._calls = itertools.count()
        self._worker: str | None = None
        self._open = [True]  # whoever pops it has ended it
        emit("session.created", {}, {"session": session})

    def called(self) -> None:
        """Count a call of this session."""
        next(self._calls)

    def assign(self, worker: str, reason: str | None = None) -> None:
        """Say which worker the calls go to from now on.

        Args:
            worker: its worker ID, as in `shmtel.identity()` of that process.
            reason: why this one.
        """
        if worker != self._worker and self._is_told():
            self.break_affinity("reassigned")
            self._worker = worker
            self._tell_affinity("assigned", worker, reason)

    def break_affinity(self, reason: str) -> None:
        """Say that the calls no longer go to the worker that they went to."""
        worker, self._worker = self._worker, None
        if worker is not None and self._is_told():
            self._tell_affinity("broken", worker, reason)

    def destroy(self, reason: str | None = None) -> None:
        """Say that the session is over, and with it its affinity.

        Args:
            reason: why, such as `logout` or `expired`.
        """
        if self._pid != os.getpid():
            return
        try:
            self._open.pop()
        except IndexError:
            return
        about = {"session": self.session, **({"reason": reason} if reason else {})}
        duration_ns = time.monotonic_ns() - self._since_ns
        measurements = {"duration": duration_ns, "calls": next(self._calls)}
        emit("session.destroyed", measurements, about)

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Destroy it; what has left the block is the reason."""
        self.destroy(kind.__name__ if kind else None)

    def _is_told(self) -> bool:
        return bool(self._open) and self._pid == os.getpid()

    def _tell_affinity(self, what: str, worker: str, reason: str | None) -> None:
        about = {"session": self.session, "subject": worker}
        if reason is not None:
            about["reason"] = reason
        emit(f"session.affinity.{what}", {}, about)
