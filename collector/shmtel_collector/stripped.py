"""What events that are delivered were stripped of, by event and reason.

Such an event counts as delivered in the ledger, so what it has lost is counted
here, for metrics, since this collector began.

An event is drained again when a stream breaks, and counts once all the same: when
its ring has settled it, at the hub or in the spool. See `Unsettled`.

Rules:
- the number of events told apart is bounded; what is beyond counts as `(other)`.
"""

from collections import Counter, deque
from collections.abc import Iterator

from shmtel import _ring
from shmtel.safe_text import OTHER
from shmtel_collector.logs import ConditionLog

EVENTS_MAX = 1_024
TOLD_MAX = 100  # of them in the log
_CURES = {
    "unknown_event": "name the event, or give it the mode pass,",
    "unknown_key": "name the keys, or give the event the mode pass,",
    "over_limit": "raise the limit",
}

Entry = tuple[int, str, int, int]  # event id, reason, events, keys


class Stripped:
    """The counts of a collector.

    Attributes:
        events: by event name and reason; one with keys of several reasons counts
            under each.
        keys: the same of keys.
    """

    def __init__(self, log: ConditionLog) -> None:
        self.events: Counter[tuple[str, str]] = Counter()
        self.keys: Counter[tuple[str, str]] = Counter()
        self._log = log

    def add(self, names: list[str], entry: Entry) -> None:
        """Count what a pass has stripped of one event; `names` are its ring's."""
        event_id, reason, events, keys = entry
        key = names[event_id], reason
        if key not in self.events:
            if len(self.events) >= EVENTS_MAX:
                key = OTHER, reason
            if len(self.events) < TOLD_MAX:
                self._warn(*key)
        self.events[key] += events
        self.keys[key] += keys

    def _warn(self, name: str, reason: str) -> None:
        self._log.warning(
            f"stripped {name} {reason}",
            "events %r come with keys that the catalog does not allow, and are "
            "stripped of them: %s; see `shmtel catalog show`, and %s in a file for "
            "--catalog",
            *(name, reason, _CURES[reason]),
        )


class Unsettled:
    """What was stripped of events of one ring that are drained and not settled."""

    def __init__(self) -> None:
        self._passes: deque[tuple[int, list[Entry]]] = deque()

    def add(self, drained: "_ring.Drained") -> None:
        """Remember a pass, which takes the place of what it drains again."""
        while self._passes and self._passes[-1][0] > drained.seq_before:
            self._passes.pop()
        if drained.stripped:
            self._passes.append((drained.seq_last, drained.stripped))

    def settle(self, seq: int) -> Iterator[Entry]:
        """Yield what there is up to a seq, and forget it."""
        while self._passes and self._passes[0][0] <= seq:
            yield from self._passes.popleft()[1]
