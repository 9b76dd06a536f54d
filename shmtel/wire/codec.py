"""Frames to bytes and back, by way of the generated messages.

A frame is written into the message of its kind in place: handing protobuf a
finished message would copy the payload of a batch once more.

Rules:
- what a peer sent is either decoded or a RemoteProtocolError, nothing else;
- unknown fields are ignored and unknown kinds of a frame are None, so that a
  newer peer can be understood as far as possible;
- only forms are judged here (sizes of ids, a total given twice); what a frame
  may say when is judged by the roles.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from google.protobuf.message import EncodeError, Message

from shmtel.policy import model
from shmtel.wire import frames
from shmtel.wire.errors import LocalProtocolError
from shmtel.wire.fields import (
    parsed,
    put_counters,
    put_host_counters,
    put_plain,
    put_totals,
    take_counters,
    take_host_counters,
    take_id,
    take_plain,
    take_totals,
    take_worker,
)
from shmtel.wire.pb.shmtel.v1 import uplink_pb2 as pb
from shmtel.wire.rules import put_policy, put_status, take_policy, take_status

_Frame = TypeVar("_Frame")


def encode_policy(policy: model.Policy) -> bytes:
    """Encode a policy, to keep it."""
    message = pb.Policy()
    put_policy(message, policy)
    return message.SerializeToString()


def decode_policy(data: bytes) -> model.Policy:
    """Decode a policy that was kept.

    Raises:
        RemoteProtocolError: the bytes are not one.
    """
    return take_policy(parsed(pb.Policy(), data))


def encode_collector_frame(frame: frames.CollectorFrame) -> bytes:
    """Encode a frame of the collector.

    Raises:
        LocalProtocolError: a field does not fit its message.
    """
    return _encode(pb.CollectorFrame(), frame)


def decode_collector_frame(data: bytes) -> frames.CollectorFrame | None:
    """Decode a frame of a collector; None when its kind is not known here.

    Raises:
        RemoteProtocolError: the bytes are not a frame.
    """
    result: frames.CollectorFrame | None = _decode(pb.CollectorFrame(), data)
    return result


def encode_hub_frame(frame: frames.HubFrame) -> bytes:
    """Encode a frame of the hub.

    Raises:
        LocalProtocolError: a field does not fit its message.
    """
    return _encode(pb.HubFrame(), frame)


def decode_hub_frame(data: bytes) -> frames.HubFrame | None:
    """Decode a frame of a hub; None when its kind is not known here.

    Raises:
        RemoteProtocolError: the bytes are not a frame.
    """
    result: frames.HubFrame | None = _decode(pb.HubFrame(), data)
    return result


def _encode(message: Message, frame: object) -> bytes:
    name, put = _PUT[type(frame)]
    member = getattr(message, name)
    member.SetInParent()  # a member whose fields are all zero is a member too
    try:
        put(member, frame)
        return message.SerializeToString()
    except (TypeError, ValueError, EncodeError) as error:
        raise LocalProtocolError(f"{name} cannot be encoded: {error}") from error


def _decode(message: Any, data: bytes) -> Any:
    parsed(message, data)
    name = message.WhichOneof("kind")
    return None if name is None else _TAKE[name](getattr(message, name))


# -- frame to message --------------------------------------------------------


def _put_ring_opened(message: pb.RingOpened, frame: frames.RingOpened) -> None:
    message.ring = frame.ring
    message.ring_id = frame.ring_id
    put_plain(message.worker, frame.worker)
    message.settled_seq = frame.settled_seq
    put_totals(message.totals, frame.totals)


def _put_names_added(message: pb.NamesAdded, frame: frames.NamesAdded) -> None:
    message.ring = frame.ring
    message.first_event_id = frame.first_event_id
    message.names.extend(frame.names)


def _put_batch(message: pb.Batch, frame: frames.Batch) -> None:
    message.batch_seq = frame.batch_seq
    for segment in frame.segments:
        _put_segment(message.segments.add(), segment)
    for closed in frame.closed:
        _put_ring_closed(message.closed.add(), closed)


def _put_segment(message: pb.Segment, frame: frames.Segment) -> None:
    message.ring = frame.ring
    message.seq_before = frame.seq_before
    message.seq_last = frame.seq_last
    message.delivered = frame.delivered
    message.events = frame.events
    message.resent_through = frame.resent_through
    for count in frame.counts:
        put_plain(message.counts.add(), count)


def _put_ring_closed(message: pb.RingClosed, frame: frames.RingClosed) -> None:
    message.ring = frame.ring
    message.last_seq = frame.last_seq
    message.reason = frame.reason
    put_counters(message.counters, frame.counters)


def _put_host_counters(message: pb.Counters, frame: frames.Counters) -> None:
    for ring in frame.rings:
        of_ring = message.rings.add(
            ring=ring.ring, sent_seq=ring.sent_seq, spooled_seq=ring.spooled_seq
        )
        put_counters(of_ring.counters, ring.counters)
    put_host_counters(message.host, frame.host)


def _put_ack(message: pb.Ack, frame: frames.Ack) -> None:
    message.batch_seq = frame.batch_seq
    message.level = cast(pb.AckLevel, frame.level)
    message.credit_bytes = frame.credit_bytes
    for rejected in frame.rejected:
        put_plain(message.rejected.add(), rejected)


def _put_resume_point(message: pb.ResumePoint, frame: frames.ResumePoint) -> None:
    message.ring = frame.ring
    message.last_seq = frame.last_seq
    put_totals(message.totals, frame.totals)


_PUT: dict[type, tuple[str, Callable[[Any, Any], None]]] = {
    frames.Hello: ("hello", put_plain),
    frames.RingOpened: ("ring_opened", _put_ring_opened),
    frames.NamesAdded: ("names_added", _put_names_added),
    frames.Batch: ("batch", _put_batch),
    frames.Heartbeat: ("heartbeat", put_plain),
    frames.Bye: ("bye", put_plain),
    frames.Counters: ("counters", _put_host_counters),
    frames.Welcome: ("welcome", put_plain),
    frames.ResumePoint: ("resume_point", _put_resume_point),
    frames.Ack: ("ack", _put_ack),
    frames.Drain: ("drain", put_plain),
    model.Policy: ("policy", put_policy),
    model.PolicyStatus: ("policy_status", put_status),
    frames.Error: ("error", put_plain),
}


# -- message to frame --------------------------------------------------------


def _taker(kind: type[_Frame]) -> Callable[[Any], _Frame]:
    return lambda message: take_plain(kind, message)


def _take_hello(message: pb.Hello) -> frames.Hello:
    take_id(message.instance_id, frames.INSTANCE_ID_BYTES, "instance_id")
    return take_plain(frames.Hello, message)


def _take_ring_opened(message: pb.RingOpened) -> frames.RingOpened:
    return frames.RingOpened(
        ring=message.ring,
        ring_id=take_id(message.ring_id, frames.RING_ID_BYTES, "ring_id"),
        worker=take_worker(message.worker),
        settled_seq=message.settled_seq,
        totals=take_totals(message.totals),
    )


def _take_names_added(message: pb.NamesAdded) -> frames.NamesAdded:
    names = tuple(message.names)
    return frames.NamesAdded(message.ring, message.first_event_id, names)


def _take_batch(message: pb.Batch) -> frames.Batch:
    return frames.Batch(
        batch_seq=message.batch_seq,
        segments=tuple(map(_take_segment, message.segments)),
        closed=tuple(map(_take_ring_closed, message.closed)),
    )


def _take_segment(message: pb.Segment) -> frames.Segment:
    return frames.Segment(
        ring=message.ring,
        seq_before=message.seq_before,
        seq_last=message.seq_last,
        delivered=message.delivered,
        events=message.events,
        counts=tuple(map(_taker(frames.SegmentCount), message.counts)),
        resent_through=message.resent_through,
    )


def _take_ring_closed(message: pb.RingClosed) -> frames.RingClosed:
    return frames.RingClosed(
        ring=message.ring,
        last_seq=message.last_seq,
        reason=message.reason,
        counters=take_counters(message.counters),
    )


def _take_host_counters(message: pb.Counters) -> frames.Counters:
    rings = tuple(map(_take_ring_counters, message.rings))
    return frames.Counters(rings, take_host_counters(message.host))


def _take_ring_counters(message: pb.RingCounters) -> frames.RingCounters:
    counters = take_counters(message.counters)
    return frames.RingCounters(
        message.ring, message.sent_seq, message.spooled_seq, counters
    )


def _take_ack(message: pb.Ack) -> frames.Ack:
    rejected = tuple(map(_taker(frames.Rejected), message.rejected))
    return frames.Ack(message.batch_seq, message.level, message.credit_bytes, rejected)


def _take_resume_point(message: pb.ResumePoint) -> frames.ResumePoint:
    totals = take_totals(message.totals)
    return frames.ResumePoint(message.ring, message.last_seq, totals)


_TAKE: dict[str, Callable[[Any], object]] = {
    "hello": _take_hello,
    "ring_opened": _take_ring_opened,
    "names_added": _take_names_added,
    "batch": _take_batch,
    "heartbeat": _taker(frames.Heartbeat),
    "bye": _taker(frames.Bye),
    "counters": _take_host_counters,
    "welcome": _taker(frames.Welcome),
    "resume_point": _take_resume_point,
    "ack": _take_ack,
    "drain": _taker(frames.Drain),
    "policy": take_policy,
    "policy_status": take_status,
    "error": _taker(frames.Error),
}
