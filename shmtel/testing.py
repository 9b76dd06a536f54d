"""Events of a test, without a collector and without a ring.

    from shmtel.testing import capture

    with capture() as captured:
        check_out()
    assert captured.names() == ["order.check_out.start", "order.check_out.stop"]

Events are encoded as for a ring and decoded as by the hub: a tuple comes out as
a list, a date as text, and what is no event is counted in `dropped`. Sampling,
filters and SHMTEL_ENABLED have no say; `shmtel.disable()` has.

Captures may be nested, and each sees all events of the process while it is open,
whichever thread emits them. What a forked child emits stays in the child's copy.
"""

from fnmatch import fnmatchcase
from types import TracebackType

from shmtel import _ring, backends
from shmtel.backends import DecodedEvent

__all__ = ["Capture", "CapturedEvent", "capture"]

CapturedEvent = DecodedEvent


def capture() -> "Capture":
    """Return a context manager that collects what is emitted inside."""
    return Capture()


class Capture:
    """What has been emitted while it was open."""

    def __init__(self) -> None:
        self.events: list[CapturedEvent] = []
        self._dropped_before: dict[str, int] = {}
        self._dropped: dict[str, int] | None = {}

    def __enter__(self) -> "Capture":
        self._dropped_before = _dropped()
        self._dropped = None
        backends.route.listen(self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._dropped = self.dropped
        backends.route.stop_listening(self._take)

    def _take(self, event: CapturedEvent) -> None:
        self.events.append(event)

    @property
    def dropped(self) -> dict[str, int]:
        """What was no event, by reason; empty if there was none."""
        if self._dropped is not None:
            return self._dropped
        before = self._dropped_before
        return {k: n - before[k] for k, n in _dropped().items() if n > before[k]}

    def names(self) -> list[str]:
        """Return the names of the events, in order."""
        return [event.name for event in self.events]

    def matching(self, pattern: str) -> list[CapturedEvent]:
        """Return the events whose name fits a glob; `*` crosses dots."""
        return [event for event in self.events if fnmatchcase(event.name, pattern)]

    def clear(self) -> None:
        """Forget the events so far, for the next phase of a test."""
        self.events.clear()


def _dropped() -> dict[str, int]:
    return _ring.stats()["other_backend"]["dropped"]
