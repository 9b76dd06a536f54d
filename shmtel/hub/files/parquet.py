"""Events as a Parquet file, by pyarrow: the schema, and how it is filled.

Measurements are doubles, all of them, so that a query needs to look at one column
only. An integer that no double is equal to, which begins at 2**53 (nanoseconds since
1970 are such), stands in `exact` as well. Metadata are texts, as they are; what was
none is JSON.

The footer names the rings of a file, with the first and last seq of each, under
`shmtel.rings`: a hub that was killed learns from it what is stored.

Rules:
- memory is bounded by one row group, in events and in bytes, and the rings of a file;
- only this file knows pyarrow.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pyarrow.parquet

from shmtel.hub.files.line import Line, Number, RingName, read_line

_log = logging.getLogger(__name__)

GROUP_ROWS = 32_768
GROUP_BYTES = 64 << 20  # of values as JSON; as objects they take several times that
_DOUBLE_EXACT, _EXACT_END = 2**53, 10**20
RINGS_KEY = b"shmtel.rings"

_INT64_MAX = 2**63 - 1
_TEXT = pyarrow.string()
_DOUBLE = pyarrow.float64()
_TIMESTAMP = pyarrow.timestamp("ns", "UTC")
_EXACT = pyarrow.decimal128(20)  # holds what is signed and what is not, of 64 bits
SCHEMA = pyarrow.schema(
    [
        pyarrow.field("event", _TEXT, nullable=False),
        pyarrow.field("timestamp", _TIMESTAMP, nullable=False),
        ("node", _TEXT),
        ("worker_id", _TEXT),
        ("pool_name", _TEXT),
        ("pid", pyarrow.int64()),
        ("worker_index", pyarrow.int64()),
        pyarrow.field("ring_id", _TEXT, nullable=False),
        pyarrow.field("seq", pyarrow.int64(), nullable=False),
        ("correlation_id", _TEXT),
        ("span_id", _TEXT),
        ("parent_id", _TEXT),
        ("sampling_probability", _DOUBLE),
        ("measurements", pyarrow.map_(_TEXT, _DOUBLE)),
        ("exact", pyarrow.map_(_TEXT, _EXACT)),
        ("metadata", pyarrow.map_(_TEXT, _TEXT)),
    ]
)

Seqs = dict[RingName, tuple[int, int]]  # first and last

_encode = msgspec.json.Encoder().encode
_rings_decoder = msgspec.json.Decoder(list[tuple[str, str, int, int]])


def write_parquet(lines: Iterable[Line], target: Path) -> int:
    """Write events into a new file; return how many.

    Raises:
        OSError: it cannot be written.
    """
    seqs: Seqs = {}
    count = 0
    with pyarrow.parquet.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for group in _groups(lines):
            writer.write_table(_table(group))
            count += len(group)
            _note(seqs, group)
        rings = [(*name, *bounds) for name, bounds in seqs.items()]
        writer.add_key_value_metadata({RINGS_KEY: _encode(rings)})
    return count


def read_lines(lines: Iterable[bytes]) -> Iterator[Line]:
    """Pass on the events among lines of JSON, and say how many lines are none."""
    others = 0
    for text in lines:
        line = read_line(text)
        if line is None:
            others += 1
        else:
            yield line
    if others:
        _log.warning("%d lines are no events, and are left out", others)


def rings_of(path: Path) -> Seqs:
    """Return the rings of a file, with their first and last seqs.

    Raises:
        ValueError: it is no such file.
        OSError: it cannot be read.
    """
    metadata = pyarrow.parquet.read_metadata(path).metadata or {}
    try:
        rings = _rings_decoder.decode(metadata.get(RINGS_KEY, b""))
    except msgspec.MsgspecError as error:
        raise ValueError("its footer names no rings") from error
    return {(node, ring_id): (first, last) for node, ring_id, first, last in rings}


def _groups(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Part events into row groups."""
    group: list[Line] = []
    size_bytes = 0
    for line in lines:
        group.append(line)
        size_bytes += len(_encode((line.measurements, line.metadata)))
        if len(group) >= GROUP_ROWS or size_bytes >= GROUP_BYTES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _note(seqs: Seqs, group: list[Line]) -> None:
    for line in group:
        name = (line.node, line.ring_id)
        first, last = seqs.get(name, (line.seq, line.seq))
        seqs[name] = (min(first, line.seq), max(last, line.seq))


def _table(group: list[Line]) -> pyarrow.Table:
    made = {
        "timestamp": pyarrow.array(map(_moment, group), _TIMESTAMP),
        "measurements": _map(_DOUBLE, [_doubles(x.measurements) for x in group]),
        "exact": _map(_EXACT, [_exact(line.measurements) for line in group]),
        "metadata": _map(_TEXT, [_texts(line.metadata) for line in group]),
    }
    columns = [
        made[field.name]
        if field.name in made
        else pyarrow.array([getattr(x, field.name) for x in group], field.type)
        for field in SCHEMA
    ]
    return pyarrow.Table.from_arrays(columns, schema=SCHEMA)


def _moment(line: Line) -> int:
    return max(-_INT64_MAX, min(line.timestamp_ns, _INT64_MAX))  # a worker's word


def _map(kind: pyarrow.DataType, maps: list[dict[str, Any]]) -> pyarrow.MapArray:
    """Lay maps end to end, which is several times as fast as one by one."""
    offsets: list[int] = [0]
    keys: list[str] = []
    items: list[Any] = []
    for one in maps:
        keys += one.keys()
        items += one.values()
        offsets.append(len(keys))
    return pyarrow.MapArray.from_arrays(
        pyarrow.array(offsets, pyarrow.int32()),
        pyarrow.array(keys, _TEXT),
        pyarrow.array(items, kind),
    )


def _doubles(measurements: Mapping[str, Number]) -> dict[str, float | None]:
    return {key: _double(value) for key, value in measurements.items()}


def _double(value: Number) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:  # of nothing that the hub has written
        return None


def _exact(measurements: Mapping[str, Number]) -> dict[str, Decimal]:
    return {
        key: Decimal(value)
        for key, value in measurements.items()
        if isinstance(value, int)
        and _DOUBLE_EXACT < abs(value) < _EXACT_END
        and float(value) != value
    }


def _texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else _encode(value).decode()
        for key, value in metadata.items()
    }
