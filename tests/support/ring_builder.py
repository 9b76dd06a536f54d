"""Builds rings, good and hostile, in real segments of shared memory.

A RingBuilder plays the producer from outside: it writes with pwrite what a
producer stores, field by field, so that a test can also write what none would.
Nothing is mapped here, hence nothing here dies when the segment is cut short.
"""

import ctypes
import fcntl
import os
import uuid
from collections.abc import Mapping
from ctypes import LittleEndianStructure
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgpack

from shmtel import segments
from support.home import HOME
from support.ring_layout import (
    ABI_MAJOR,
    MAGIC,
    NAMES_MAX,
    NAMES_SIZE,
    NO_FINAL_TAIL,
    WORD_UNSET,
    ControlZone,
    Identity,
    NameEntry,
    NamesZone,
    ProducerZone,
    RecordHeader,
    Settlement,
    offset_of,
    round_up,
)

NAMESPACE = "unit"
CAPACITY = 64 << 10


def encode_head(
    event_id: int, seq: int, threshold: int = 0, timestamp_ns: int = 1_700_000_000
) -> bytes:
    """Encode the fixed-width head of a record's array."""
    return b"".join(
        (
            b"\x98\xcd" + event_id.to_bytes(2, "big"),
            b"\xcf" + seq.to_bytes(8, "big"),
            b"\xcf" + timestamp_ns.to_bytes(8, "big"),
            b"\xce" + threshold.to_bytes(4, "big"),
        )
    )


def encode_fields(
    correlation_id: object = None,
    measurements: object = None,
    metadata: object = None,
    span: object = None,
) -> bytes:
    """Encode the four fields that follow the head; measurements default to {}."""
    fields = (correlation_id, {} if measurements is None else measurements)
    return b"".join(msgpack.packb(field) for field in (*fields, metadata, span))


class RingBuilder:
    """One ring in a segment of its own, published unless told otherwise."""

    def __init__(
        self,
        capacity: int = CAPACITY,
        *,
        namespace: str = NAMESPACE,
        page_size: int = 4096,
        resource: Mapping[str, object] | None = None,
        publish: bool = True,
    ) -> None:
        self.ring_id = uuid.uuid4().bytes
        self.name = segments.segment_name(namespace, self.ring_id)
        self.path = Path(HOME.directory, self.name)
        self.capacity = capacity
        self.page_size = page_size
        self.control_offset = 2 * page_size
        self.names_offset = self.control_offset + round_up(
            ctypes.sizeof(ControlZone), page_size
        )
        self.data_offset = self.names_offset + round_up(NAMES_SIZE, page_size)
        self.file_size = self.data_offset + capacity
        self.tail = 0
        self.seq = 0
        self.names: list[str] = []
        self.fd = HOME.create(self.name)
        os.posix_fallocate(self.fd, 0, self.file_size)
        self._fill(msgpack.packb(dict(resource or {})))
        if publish:
            self.poke(Identity, magic=MAGIC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the segment; may be called again."""
        if self.fd >= 0:
            os.close(self.fd)
            HOME.unlink(self.name)
            self.fd = -1

    def open(self, *, writable: bool = True) -> int:
        """Open the segment once more, as a consumer or observer would."""
        return HOME.open(self.name, writable=writable)

    def hold_lock(self) -> None:
        """Take the producer's lock; closing any descriptor of the file drops it."""
        fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)

    def die(self) -> None:
        """Drop that lock, as a worker that has closed its ring and ended."""
        self.poke(ProducerZone, state=2)
        fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, 0)

    # -- raw access ---------------------------------------------------------

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes anywhere in the segment."""
        assert os.pwrite(self.fd, data, offset) == len(data)

    def zone_offset(self, zone: type[LittleEndianStructure]) -> int:
        """Return where a zone starts."""
        return {
            Identity: 0,
            ProducerZone: self.page_size,
            ControlZone: self.control_offset,
            NamesZone: self.names_offset,
        }[zone]

    def poke(self, zone: type[LittleEndianStructure], **fields: Any) -> None:
        """Set fields of a zone, one store each, in the order given."""
        self.poke_at(self.zone_offset(zone), zone, **fields)

    def poke_at(
        self, offset: int, structure: type[LittleEndianStructure], **fields: Any
    ) -> None:
        """Set fields of a structure that starts at `offset`."""
        scratch = structure()
        for field, value in fields.items():
            setattr(scratch, field, value)
            descriptor = getattr(structure, field)
            start, end = descriptor.offset, descriptor.offset + descriptor.size
            self.write(offset + start, bytes(scratch)[start:end])

    def peek(self, zone: type[LittleEndianStructure]) -> Any:
        """Copy a zone out of the segment."""
        data = os.pread(self.fd, ctypes.sizeof(zone), self.zone_offset(zone))
        return zone.from_buffer_copy(data)

    def poke_slot(self, index: int, **fields: Any) -> None:
        """Set fields of a settlement slot."""
        offset = self.control_offset + offset_of(ControlZone, "slot")
        self.poke_at(offset + index * ctypes.sizeof(Settlement), Settlement, **fields)

    def poke_entry(self, event_id: int, **fields: Any) -> None:
        """Set fields of a name's entry."""
        offset = self.names_offset + offset_of(NamesZone, "entry")
        self.poke_at(offset + event_id * ctypes.sizeof(NameEntry), NameEntry, **fields)

    def write_data(self, position: int, data: bytes) -> None:
        """Write at a position of the ring, over the end of the zone if need be."""
        offset = position % self.capacity
        first = self.capacity - offset
        self.write(self.data_offset + offset, data[:first])
        if data[first:]:
            self.write(self.data_offset, data[first:])

    # -- what a producer does ----------------------------------------------

    def add_name(self, name: str, initial_word: int = 0) -> int:
        """Publish an event name; return its id."""
        text, event_id = name.encode(), len(self.names)
        used = sum(len(other.encode()) for other in self.names)
        self.write(self.names_offset + offset_of(NamesZone, "text") + used, text)
        self.poke_entry(
            event_id,
            text_offset=used,
            text_length=len(text),
            initial_word=initial_word,
        )
        self.names.append(name)
        self.poke(NamesZone, text_used=used + len(text), name_count=event_id + 1)
        return event_id

    def append(
        self,
        event_id: int = 0,
        *fields: object,
        threshold: int = 0,
        draw: int = 0,
        seq: int | None = None,
    ) -> int:
        """Commit an event of (correlation_id, measurements, metadata, span)."""
        head = encode_head(event_id, self.seq + 1 if seq is None else seq, threshold)
        return self.append_array(head + encode_fields(*fields), draw=draw)

    def append_array(
        self, array: bytes, *, draw: int = 0, length: int | None = None
    ) -> int:
        """Commit a record of any bytes; return the new tail."""
        header = RecordHeader(len(array) if length is None else length, draw)
        record = bytes(header) + array
        self.write_data(self.tail, record)
        self.tail += round_up(len(record), 8)
        self.seq += 1
        self.poke(ProducerZone, tail=self.tail, committed=self.seq)
        return self.tail

    def _fill(self, resource: bytes) -> None:
        self.poke(
            Identity,
            abi_major=ABI_MAJOR,
            page_size=self.page_size,
            capacity=self.capacity,
            file_size=self.file_size,
            control_offset=self.control_offset,
            names_offset=self.names_offset,
            data_offset=self.data_offset,
            pid=os.getpid(),
            uid=os.getuid(),
            resource_length=len(resource),
            pid_namespace=os.stat("/proc/self/ns/pid").st_ino,
            start_time=_start_time(),
            ring_id=(ctypes.c_uint8 * 16)(*self.ring_id),
            boot_id=(ctypes.c_uint8 * 16)(*_boot_id()),
        )
        self.write(ctypes.sizeof(Identity), resource)
        self.poke(ProducerZone, state=1)
        self.poke(
            ControlZone,
            enabled=1,
            default_word=WORD_UNSET,
            final_tail=NO_FINAL_TAIL,
            word=(ctypes.c_uint32 * NAMES_MAX)(*[WORD_UNSET] * NAMES_MAX),
        )


def _boot_id() -> bytes:
    return uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes


def _start_time() -> int:
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])


def fill_ring(ring: RingBuilder, share: float) -> int:
    """Write so much of a ring; return its last seq."""
    if not ring.names:
        ring.add_name("a.b")
    until = ring.tail + share * ring.capacity
    while ring.tail < until:
        ring.append(0, None, {}, {"text": "x" * 900})
    return ring.seq
