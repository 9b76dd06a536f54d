"""Segments to records: one typed decode for all events of a segment.

Every field is checked while it is decoded, in C; what is left for Python are two
comparisons. That is enough to hold what handlers rely on, whatever a collector
sends: the records are as many as the segment says, their ids have names, and they
lie between its two seqs. The order of the seqs in between is the collector's word,
which judged each record.

Whole records are decoded by the core, which knows their form and remembers the texts
that come again. Where a part of them will do, msgspec decodes that and skips the rest.

Rules:
- what does not decode is the collector's fault, never an error of a handler;
- a segment that nobody wants is not decoded; only the count in its head is
  compared, because nobody can be harmed by the rest. Nor is an event that nobody
  wants among others: it is stepped over, as far as it is one.
"""

from typing import Annotated, Any, get_type_hints

import msgspec

from shmtel import _ring
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import Segment

_ARRAY32 = b"\xdd"
_SPAN_ID_BYTES = 8
_NO_SPAN_ID = bytes(_SPAN_ID_BYTES)


class Record(msgspec.Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    """One event as its worker encoded it.

    gc=False: a record cannot be part of a cycle, and tracking a thousand of
    them per batch costs the garbage collector more than the decode.
    """

    event_id: Annotated[int, msgspec.Meta(ge=0)]
    seq: int
    timestamp_ns: int
    threshold: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
    correlation_id: str | None
    measurements: dict[str, int | float]
    metadata: dict[str, Any] | None
    span: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)] | None

    @property
    def sampling_probability(self) -> float:
        """The share of such events that was kept; counts scale by its inverse."""
        return 1.0 - self.threshold / 0x1_0000_0000

    @property
    def span_id(self) -> str | None:
        """The span whose own event this is, in hex; None for a plain event."""
        return None if self.span is None else _hex(self.span[:_SPAN_ID_BYTES])

    @property
    def parent_id(self) -> str | None:
        """The span around this event or span, in hex."""
        return None if self.span is None else _hex(self.span[_SPAN_ID_BYTES:])


def _hex(span_id: bytes) -> str | None:
    return None if span_id == _NO_SPAN_ID else span_id.hex()


def _refuse_extension(code: int, _data: memoryview) -> object:
    raise ValueError(f"an extension type, {code}")


_whole = _ring.RecordDecoder(Record, Record.__struct_fields__)


def make_decoder(measurements: Any, metadata: Any) -> msgspec.msgpack.Decoder[Any]:
    """Return a decoder of records that have something else in these two fields."""
    kinds = get_type_hints(Record, include_extras=True)
    kinds |= {"measurements": measurements, "metadata": metadata | None}
    record = msgspec.defstruct(
        "PartOfRecord",
        list(kinds.items()),
        array_like=True,
        gc=False,
        forbid_unknown_fields=True,
    )
    return msgspec.msgpack.Decoder(
        list[record],  # type: ignore[valid-type]
        ext_hook=_refuse_extension,
    )


def check_head(segment: Segment) -> None:
    """Check the count in the head of a segment that is not decoded.

    Raises:
        RemoteProtocolError: it is not the number of delivered events.
    """
    head = segment.events[:5]
    if segment.delivered == 0 and not head:
        return
    if head[:1] != _ARRAY32 or int.from_bytes(head[1:]) != segment.delivered:
        raise RemoteProtocolError("a segment's head contradicts its count")


def decode_segment(
    segment: Segment,
    name_count: int,
    decoder: msgspec.msgpack.Decoder[Any] | None = None,
    *,
    wanted: bytes | None = None,
) -> list[Record]:
    """Decode the events of a segment.

    Args:
        wanted: by event id, 0: such events are not decoded; None: all are.
        decoder: one of `make_decoder`, whose records are like others but for their
            measurements and metadata; None: of whole records.

    Raises:
        RemoteProtocolError: they are not what the segment says, or the decoder asks.
    """
    check_head(segment)
    if segment.delivered == 0:
        return []
    try:
        records: list[Record]
        if decoder is None:
            records = _whole.decode(segment.events, name_count, wanted)
        else:
            records = decoder.decode(segment.events)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise RemoteProtocolError(f"events that are no records: {error}") from error
    if decoder and max({record.event_id for record in records}) >= name_count:
        raise RemoteProtocolError("an event without a name")
    if not records:
        return []
    if not segment.seq_before < records[0].seq <= records[-1].seq <= segment.seq_last:
        raise RemoteProtocolError("seqs outside of their segment")
    return records
