"""One event as a line of JSON, as the hub writes it and tools read it."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

Number = int | float | None  # None: JSON has no NaN and no infinity
RingName = tuple[str, str]  # node and ring id
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Line(msgspec.Struct, gc=False):
    """The keys of a line, in their order.

    What observers of rings write knows no node and no worker's index.
    """

    event: str
    measurements: Mapping[str, Number]
    metadata: Mapping[str, Any]
    correlation_id: str | None
    timestamp_ns: int
    ring_id: str
    seq: _Count
    span_id: str | None
    parent_id: str | None
    sampling_probability: float
    node: str = ""
    worker_id: str = ""
    pool_name: str = ""
    pid: _Count = 0
    worker_index: _Count | None = None


MOMENTS_END = 1 << 64  # of what a worker can say
_decoder = msgspec.json.Decoder(Line)


def read_line(text: bytes) -> Line | None:
    """Return the event of a line; None: it is none."""
    try:
        line = _decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return line if abs(line.timestamp_ns) < MOMENTS_END else None
