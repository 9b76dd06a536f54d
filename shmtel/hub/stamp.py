"""What the hub adds to an event's metadata, and what a payload cannot forge.

Rules:
- the stamped keys are the hub's: a worker's own key of that name is kept as
  `user.<name>`;
- one new dictionary per event, and none for events that no handler gets.
"""

from shmtel.hub.records import Record
from shmtel.stamped import own
from shmtel.wire.frames import Worker


def ring_stamp(node: str, worker: Worker, ring_id: str) -> dict[str, object]:
    """Return all stamped keys, with the values that the events of a ring share."""
    return {
        "node": node,
        "worker_id": worker.worker_id,
        "pool_name": worker.pool_name,
        "pid": worker.pid,
        "worker_index": worker.worker_index,
        "ring_id": ring_id,
        "seq": 0,
        "timestamp_ns": 0,
        "correlation_id": None,
        "span_id": None,
        "parent_id": None,
        "sampling_probability": 1.0,
    }


REDELIVERED = "redelivered"  # there only where it is true


def stamped(
    record: Record, stamp: dict[str, object], redelivered_through: int = 0
) -> dict[str, object]:
    """Return the metadata of an event with everything the hub knows of it.

    This runs once per event. Copying a dictionary that has all the keys already
    and overwriting what differs takes a third of the time of building one.
    """
    sent = record.metadata
    if sent:
        metadata = stamp | sent
        if len(metadata) != len(stamp) + len(sent) or REDELIVERED in sent:
            metadata = {**stamp, **own(sent)}
    else:
        metadata = stamp.copy()
    metadata["seq"] = record.seq
    metadata["timestamp_ns"] = record.timestamp_ns
    metadata["correlation_id"] = record.correlation_id
    if record.span is not None:
        metadata["span_id"] = record.span_id
        metadata["parent_id"] = record.parent_id
    if record.threshold:
        metadata["sampling_probability"] = record.sampling_probability
    if record.seq <= redelivered_through:
        metadata[REDELIVERED] = True
    return metadata
