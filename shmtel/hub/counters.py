"""What the hub counts of itself.

Rules:
- counted once per batch, not per event; a lock that rarely waits is cheap there.
"""

import threading
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class HubStats:
    """The counters of a hub since it was made."""

    streams: int = 0  # connected now
    batches: int = 0
    segments: int = 0
    delivered: int = 0
    rejected: int = 0  # events of segments that cannot be read
    discarded: int = 0  # segments and ring ends that did not continue their ring
    redelivered: int = 0  # events that an earlier hub may have handed out, marked
    repeated: int = 0  # events that exactly-once sinks had stored already
    commits: int = 0  # transactions, each for many batches
    commit_failures: int = 0  # that were tried again
    violations: int = 0  # streams ended because of what the collector sent
    internal_errors: int = 0  # streams ended because of a defect in the hub
    refused_streams: int = 0  # more collectors than the hub has room for
    refused_probes: int = 0  # watches of health, and reflections, without a room
    dropped_events: int = 0  # of the hub's own: no room, or it has stopped
    handler_failures: int = 0
    missed: int = 0  # events, by handlers that had no room or were detached
    handlers: int = 0


class Counters:
    """Counters that many threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values = {field.name: 0 for field in fields(HubStats)}

    def add(self, **amounts: int) -> None:
        """Add to some counters, together."""
        with self._lock:
            for name, amount in amounts.items():
                self._values[name] += amount

    def snapshot(self, **gauges: int) -> HubStats:
        """Return the counters, with some values that are known elsewhere."""
        with self._lock:
            return HubStats(**{**self._values, **gauges})
