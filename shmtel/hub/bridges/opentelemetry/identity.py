"""Whose events they are, and of which trace.

The resource is the worker: two rings are two instances, whatever they are called.

The trace ID is what the correlation ID is, or is given (see shmtel.traceparent), so
that a service that got our `traceparent` is in the same trace. A span without a
correlation ID is in the trace of its root span, whose id is hashed in the same way.
"""

import uuid
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata

from xxhash import xxh64_intdigest

from shmtel.hub.handlers import EventBatch
from shmtel.traceparent import trace_id_of, trace_id_on_the_wire
from shmtel.wire.frames import Worker

_UNKNOWN_SERVICE = "unknown_service:python"
_KEPT_IDS = 8_192
_DRAW_MAX = 0xFFFFFFEF


def resource_attributes(
    batch: EventBatch, common: Mapping[str, str]
) -> dict[str, object]:
    """Return the attributes of a ring's resource.

    Args:
        common: those of the hub's environment; what is known of the worker wins.
    """
    return {
        "service.name": _UNKNOWN_SERVICE,
        **common,
        **_of_worker(batch.worker),
        "service.instance.id": _instance_id(batch.ring_id),
        "host.name": batch.node,
        "shmtel.ring.id": batch.ring_id,
        "telemetry.sdk.name": "shmtel",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": metadata.version("shmtel"),
    }


def _of_worker(worker: Worker) -> dict[str, object]:
    known: dict[str, object] = {
        "service.name": worker.service,
        "process.pid": worker.pid,
        "process.command": worker.argv0,
        "process.runtime.version": worker.python,
        "shmtel.worker.id": worker.worker_id,
        "shmtel.pool": worker.pool_name,
    }
    told = {key: value for key, value in known.items() if value}
    index = worker.worker_index
    return told if index is None else {**told, "shmtel.worker.index": index}


def _instance_id(ring_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, ring_id))


@lru_cache(_KEPT_IDS)
def trace_of(correlation_id: str) -> tuple[bytes, bool]:
    """Return a correlation ID's trace ID, and whether that says all of it.

    It does not where the ID is opaque or spelt in another way; then it is told beside.
    """
    trace_id = trace_id_of(correlation_id)
    if trace_id is None:
        return bytes.fromhex(trace_id_on_the_wire(correlation_id)), False
    return bytes.fromhex(trace_id), trace_id == correlation_id


@lru_cache(_KEPT_IDS)
def trace_of_root(span_id: bytes) -> bytes:
    """Return the trace ID of a span without a correlation ID, by its root span."""
    return bytes.fromhex(trace_id_on_the_wire(span_id.hex()))


def trace_state(threshold: int, draw: int = -1) -> str:
    """Return the `tracestate` of a kept span, in words of consistent sampling.

    `th` is the share that was rejected, as hexadecimal digits behind the point; `rv`
    the number that was drawn, without which who samples once more would take the
    trace ID for it, and count wrong.

    Args:
        draw: that of the span; one below the threshold was not this span's.
    """
    rejected = f"ot=th:{f'{threshold:08x}'.rstrip('0') or '0'}"
    return f"{rejected};rv:{draw:08x}000000" if draw >= threshold > 0 else rejected


def draw_of(correlation_id: str | None, root_id: bytes) -> int:
    """Return what a worker draws for a span: see the words in ring_layout.h."""
    in_memory = root_id[::-1]  # low byte first, as it was hashed
    data = in_memory if correlation_id is None else correlation_id.encode()
    return min(xxh64_intdigest(data) >> 32, _DRAW_MAX)
