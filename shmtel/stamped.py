"""The keys of an event's metadata that the hub sets, and no payload.

A worker's own key of such a name is kept as `user.<name>`, wherever metadata is
shown or handed on, so that nobody takes what a worker says for what is known of it.
"""

from collections.abc import Mapping
from typing import Any

STAMPED = frozenset(
    (
        *("node", "worker_id", "pool_name", "pid", "worker_index", "ring_id", "seq"),
        *("timestamp_ns", "correlation_id", "span_id", "parent_id"),
        *("sampling_probability", "redelivered"),
    )
)
# Whether no key is among them: for who asks it of each event.
are_own = STAMPED.isdisjoint


def own(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return what a worker has sent, under names that are its own."""
    if not metadata:
        return {}
    if are_own(metadata):
        return metadata
    result = {key: value for key, value in metadata.items() if key not in STAMPED}
    for key in metadata:
        if key in STAMPED:
            result[_free_key(key, result)] = metadata[key]
    return result


def _free_key(key: str, taken: Mapping[str, Any]) -> str:
    """Return a name that the worker has not given away itself."""
    key = f"user.{key}"
    while key in taken:
        key = f"user.{key}"
    return key
