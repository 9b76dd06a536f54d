"""What the hub has seen of each event name, since it was made.

What was delivered is counted from what was decoded, for a handler or a metric; what
collectors left out they tell by name. What nobody wants is not decoded, so its names
are not known here; it is counted all the same.

Rules:
- counted with the counters of the hub, once per segment;
- names are workers' own: of more than NAMES_MAX the rest is one.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shmtel import _ring
from shmtel.hub.records import Record
from shmtel.wire.frames import UNKNOWN_EVENT_ID, SegmentCount

NAMES_MAX = 4_096
OTHER = "(other)"  # no event can have this name
NO_NAME = ""  # nobody can tell which event it was
WINDOW_S = 10  # over which rates are taken
_FEW_NAMES = 32  # of a ring


@dataclass(frozen=True, slots=True)
class EventCount:
    """One name.

    Attributes:
        left_out: events that were not delivered, by word and reason; where the word
            says it all, the reason is empty.
        per_second: delivered, in the last WINDOW_S whole seconds.
    """

    name: str
    delivered: int = 0
    left_out: Mapping[tuple[str, str], int] = field(default_factory=dict)
    per_second: float = 0.0


@dataclass(frozen=True, slots=True)
class EventsSeen:
    """All names at one moment.

    Attributes:
        unread: events that were delivered, and that no handler and no metric wanted.
    """

    since_ns: int
    unread: int = 0
    events: Sequence[EventCount] = ()


class EventCounts:
    """Counts by event name, of all streams of a hub."""

    def __init__(
        self,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
        names_max: int = NAMES_MAX,
    ) -> None:
        self._since_ns = now_ns()
        self._monotonic_s = monotonic_s
        self._names_max = names_max
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._delivered: Counter[str] = Counter()
        self._left_out: dict[str, Counter[int]] = {}  # by name, then outcome
        self._unread = 0
        self._seconds: dict[int, Counter[str]] = {}  # delivered in each

    def add(self, names: Sequence[str], records: Sequence[Record]) -> None:
        """Add events of a ring that were read."""
        counts = _by_name(names, records)
        with self._lock:
            current = self._current()
            for name, events in counts:
                key = self._key(name)
                self._delivered[key] += events
                current[key] += events

    def add_unread(self, events: int) -> None:
        """Add events that were delivered, and that nobody wanted."""
        with self._lock:
            self._unread += events

    def add_left_out(
        self, names: Sequence[str], counts: Iterable[SegmentCount]
    ) -> None:
        """Add events of a ring that were not delivered."""
        with self._lock:
            for count in counts:
                key = self._key(_name_of(names, count.event_id))
                self._left_out.setdefault(key, Counter())[count.outcome] += count.events

    def read(self) -> EventsSeen:
        """Return what was counted, by name."""
        with self._lock:
            second = int(self._monotonic_s())
            recent: Counter[str] = Counter()
            for key, events in self._seconds.items():
                if second - WINDOW_S <= key < second:
                    recent.update(events)
            names = sorted(self._delivered.keys() | self._left_out.keys())
            counts = [
                EventCount(
                    *(name, self._delivered[name], _words(self._left_out.get(name))),
                    per_second=recent[name] / WINDOW_S,
                )
                for name in names
            ]
            return EventsSeen(self._since_ns, self._unread, counts)

    def _current(self) -> Counter[str]:
        """Return the counts of this second, and forget those that are too old."""
        second = int(self._monotonic_s())
        current = self._seconds.get(second)
        if current is None:
            current = self._seconds[second] = Counter()
            for old in list(self._seconds)[: -WINDOW_S - 1]:
                del self._seconds[old]
        return current

    def _key(self, name: str) -> str:
        if name not in self._known:
            if len(self._known) >= self._names_max:
                return OTHER
            self._known.add(name)
        return name


def _by_name(
    names: Sequence[str], records: Sequence[Record]
) -> Iterable[tuple[str, int]]:
    """Count; of few names each is looked for in all ids, which is the fastest."""
    if len(names) == 1:
        return [(names[0], len(records))]
    ids = [record.event_id for record in records]
    if len(names) > _FEW_NAMES:
        return [(names[event_id], events) for event_id, events in Counter(ids).items()]
    octets = bytearray(ids)
    found = [(name, octets.count(event_id)) for event_id, name in enumerate(names)]
    return [(name, events) for name, events in found if events]


def _name_of(names: Sequence[str], event_id: int) -> str:
    is_known = event_id != UNKNOWN_EVENT_ID and event_id < len(names)
    return names[event_id] if is_known else NO_NAME


def _words(left_out: Mapping[int, int] | None) -> Mapping[tuple[str, str], int]:
    counts: Counter[tuple[str, str]] = Counter()
    for outcome, events in (left_out or {}).items():
        word, reason = _ring.OUTCOMES.get(outcome, ("lost", "unknown_outcome"))
        counts[word, reason if word in ("rejected", "lost") else ""] += events
    return counts
