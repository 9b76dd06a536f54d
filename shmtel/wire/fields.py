"""What frames and requests are made of, to messages and back.

Rules:
- what a peer sent is either read or a RemoteProtocolError, nothing else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from shmtel.wire import frames
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.pb.shmtel.v1 import uplink_pb2 as pb

_Frame = TypeVar("_Frame")
_Message = TypeVar("_Message", bound=Message)
# Messages that hold nothing but single values: the fields of a frame are the
# fields of its message.
_PLAIN: dict[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind))
    for kind in (
        frames.Hello,
        frames.Worker,
        frames.SegmentCount,
        frames.Heartbeat,
        frames.Bye,
        frames.Welcome,
        frames.Rejected,
        frames.Drain,
        frames.Error,
    )
}


def parsed(message: _Message, data: bytes) -> _Message:
    """Fill a message from bytes.

    Raises:
        RemoteProtocolError: the bytes are not one.
    """
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise RemoteProtocolError(f"bytes that are no message: {error}") from error
    return message


def put_plain(message: Any, frame: object) -> None:
    """Write a frame of single values into its message."""
    for name in _PLAIN[type(frame)]:
        value = getattr(frame, name)
        if value is not None:
            setattr(message, name, value)


def put_totals(repeated: Any, totals: Mapping[int, int]) -> None:
    """Write totals into their repeated field."""
    for outcome, events in totals.items():
        repeated.add(outcome=outcome, events=events)


def put_counters(message: pb.WorkerCounters, counters: frames.WorkerCounters) -> None:
    """Write a worker's own counters."""
    message.committed = counters.committed
    message.sampled_out = counters.sampled_out
    message.filtered = counters.filtered
    message.disabled = counters.disabled
    message.dropped.update(counters.dropped)


def take_counters(message: pb.WorkerCounters) -> frames.WorkerCounters:
    """Read a worker's own counters."""
    return frames.WorkerCounters(
        committed=message.committed,
        sampled_out=message.sampled_out,
        filtered=message.filtered,
        disabled=message.disabled,
        dropped=dict(message.dropped),
    )


def put_host_counters(message: pb.HostCounters, host: frames.HostCounters) -> None:
    """Write the counts of a host."""
    message.refused.update(host.refused)
    message.quarantined.update(host.quarantined)
    message.evicted_rings = host.evicted_rings
    put_totals(message.evicted, host.evicted)
    message.spool_bytes = host.spool_bytes
    message.spool_max_bytes = host.spool_max_bytes
    message.spool_refused.update(host.spool_refused)
    message.spool_damaged = host.spool_damaged


def take_host_counters(message: pb.HostCounters) -> frames.HostCounters:
    """Read the counts of a host."""
    return frames.HostCounters(
        refused=dict(message.refused),
        quarantined=dict(message.quarantined),
        evicted_rings=message.evicted_rings,
        evicted=take_totals(message.evicted),
        spool_bytes=message.spool_bytes,
        spool_max_bytes=message.spool_max_bytes,
        spool_refused=dict(message.spool_refused),
        spool_damaged=message.spool_damaged,
    )


def take_plain(kind: type[_Frame], message: Any) -> _Frame:
    """Read a frame of single values from its message."""
    make: Callable[..., _Frame] = kind
    return make(*[getattr(message, name) for name in _PLAIN[kind]])


def take_worker(message: pb.Worker) -> frames.Worker:
    """Read a worker, whose index may be unknown."""
    worker = take_plain(frames.Worker, message)
    if message.HasField("worker_index"):
        return worker
    return replace(worker, worker_index=None)


def take_id(value: bytes, size: int, name: str) -> bytes:
    """Read an id of a fixed size."""
    if len(value) != size:
        raise RemoteProtocolError(f"{name} has {len(value)} bytes, not {size}")
    return value


def take_totals(repeated: Iterable[Any]) -> dict[int, int]:
    """Read totals from their repeated field."""
    totals: dict[int, int] = {}
    for total in repeated:
        if total.outcome in totals:
            raise RemoteProtocolError(f"two totals of outcome {total.outcome}")
        totals[total.outcome] = total.events
    return totals
