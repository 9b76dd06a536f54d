"""What arrived at the hub, counted per ring by a batch handler.

The handler runs in the hub's own threads, the story in the main thread; a lock
stands between them, and what comes out is a copy.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from threading import Lock

from shmtel.cli.demonstration.workers import FILE_EVENT, FILE_SPAN, FUNCTION_EVENT
from shmtel.hub.events import WORKER_ID as HUB
from shmtel.hub.handlers import EventBatch
from shmtel.hub.records import Record

_KEPT_EVENTS = 3


@dataclass(slots=True)
class RingTally:
    """The events of one ring. `disorder` counts seqs not past the last."""

    worker_id: str
    pid: int
    events: int = 0
    files: int = 0
    functions: int = 0
    functions_scaled: float = 0.0
    last_seq: int = 0
    disorder: int = 0
    first_sampled_ns: int = 0  # timestamp of the first event below full rate
    open_file: str | None = None  # of a span that has started and not stopped
    last: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_EVENTS))


class Tally:
    """Counts of all rings, by ring id."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rings: dict[str, RingTally] = {}

    def take(self, batch: EventBatch, config: object) -> None:
        """Count a batch: the handler that the hub calls; its own are no worker's."""
        if batch.worker.worker_id == HUB:
            return
        with self._lock:
            ring = self._rings.get(batch.ring_id)
            if ring is None:
                ring = RingTally(batch.worker.worker_id, batch.worker.pid)
                self._rings[batch.ring_id] = ring
            for record in batch.records:
                _count(ring, batch.names[record.event_id], record)

    def snapshot(self) -> dict[str, RingTally]:
        """Copy the counts."""
        with self._lock:
            return {
                ring_id: replace(ring, last=ring.last.copy())
                for ring_id, ring in self._rings.items()
            }


def _count(ring: RingTally, name: str, record: Record) -> None:
    ring.events += 1
    ring.disorder += record.seq <= ring.last_seq
    ring.last_seq = record.seq
    ring.last.append(_describe(name, record))
    if record.threshold and not ring.first_sampled_ns:
        ring.first_sampled_ns = record.timestamp_ns
    if name == FUNCTION_EVENT:
        ring.functions += 1
        ring.functions_scaled += 1.0 / record.sampling_probability
    elif name == FILE_EVENT:
        ring.files += 1
    elif name.startswith(f"{FILE_SPAN}."):
        is_start = name.endswith(".start")
        ring.open_file = str((record.metadata or {}).get("file")) if is_start else None


def _describe(name: str, record: Record) -> str:
    values = {**(record.metadata or {}), **record.measurements}
    details = " ".join(f"{key}={value}" for key, value in values.items())
    return f"seq {record.seq} {name} {details}"
