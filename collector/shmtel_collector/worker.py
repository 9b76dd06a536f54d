"""Who writes a ring, as the collector states it to the hub.

The identity zone names pid and time of creation; its resource blob, a msgpack
map, names the rest. Both come from the worker: what is missing, of another
type, too long or not printable is replaced by a default, key by key.
"""

from collections.abc import Mapping
from typing import Any

import msgpack

from shmtel import _ring
from shmtel.wire.frames import Worker

MAX_TEXT_LENGTH = 1024
MAX_INDEX = 0xFFFF_FFFF  # what its field in a frame holds
_DEFAULT_POOL = "default"


def worker_of(identity: "_ring.Identity") -> Worker:
    """Return the worker of a ring, whatever its blob holds."""
    blob = _decode(identity["resource"])
    pid = identity["pid"]
    pool_name = _text(blob, "pool_name", _DEFAULT_POOL)
    return Worker(
        worker_id=_text(blob, "worker_id", f"{pool_name}-{pid}"),
        pool_name=pool_name,
        service=_text(blob, "service", ""),
        pid=pid,
        created_ns=identity["realtime_ns"],
        argv0=_text(blob, "argv0", ""),
        python=_text(blob, "python", ""),
        worker_index=_index(blob),
    )


def _decode(blob: bytes) -> Mapping[Any, Any]:
    try:
        decoded = msgpack.unpackb(blob, strict_map_key=True)
    except (ValueError, TypeError, OverflowError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _text(blob: Mapping[Any, Any], key: str, default: str) -> str:
    value = blob.get(key)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT_LENGTH:
        return default
    return value if value.isprintable() else default


def _index(blob: Mapping[Any, Any]) -> int | None:
    value = blob.get("worker_index")
    if type(value) is not int or not 0 <= value <= MAX_INDEX:  # a bool is an int
        return None
    return value
