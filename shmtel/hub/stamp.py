"""What the hub adds to an event's metadata, and what a payload cannot forge.

Rules:
- the stamped keys are the hub's: a worker's own key of that name is kept as
  `user.<name>`;
- one new dictionary per event, and none for events that no handler gets.
"""

from collections.abc import Mapping

from shmtel.hub.records import Record
from shmtel.wire.frames import Worker

STAMPED = frozenset(
    {
        "node",
        "worker_id",
        "pool_name",
        "pid",
        "ring_id",
        "seq",
        "timestamp_ns",
        "correlation_id",
        "span_id",
        "parent_id",
        "sampling_probability",
    }
)


def ring_stamp(node: str, worker: Worker, ring_id: str) -> dict[str, object]:
    """Return the stamps that all events of a ring share."""
    return {
        "node": node,
        "worker_id": worker.worker_id,
        "pool_name": worker.pool_name,
        "pid": worker.pid,
        "ring_id": ring_id,
    }


def stamped(record: Record, stamp: Mapping[str, object]) -> dict[str, object]:
    """Return the metadata of an event with everything the hub knows of it."""
    own: Mapping[str, object] = record.metadata or {}
    if not STAMPED.isdisjoint(own):
        own = {_own_key(key): value for key, value in own.items()}
    return {
        **own,
        **stamp,
        "seq": record.seq,
        "timestamp_ns": record.timestamp_ns,
        "correlation_id": record.correlation_id,
        "span_id": record.span_id,
        "parent_id": record.parent_id,
        "sampling_probability": record.sampling_probability,
    }


def _own_key(key: str) -> str:
    return f"user.{key}" if key in STAMPED else key
