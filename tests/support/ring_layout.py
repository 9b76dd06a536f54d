"""The layout of a ring, described a second time, for tests only.

Written from the prose of csrc/ring_layout.h and compared with what the compiled
core says of itself by tests/unit/core/test_layout.py. The tests that build
rings use this description, so a field that moved in the header alone breaks
them.
"""

import ctypes
from ctypes import LittleEndianStructure as Structure
from ctypes import c_uint8, c_uint16, c_uint32, c_uint64

MAGIC = int.from_bytes(b"stlring1", "little")
ABI_MAJOR = 1
ABI_MINOR = 0
NAMES_MAX = 1024
NAMES_SIZE = 128 << 10
OUTCOME_SLOTS = 32
DROP_SLOTS = 8
RECORD_MAX = 64 << 10
NO_FINAL_TAIL = 2**64 - 1
WORD_UNSET = 0xFFFFFFFD


class Identity(Structure):
    """Offset 0: who made the ring, and its geometry."""

    _fields_ = (
        ("magic", c_uint64),
        ("abi_major", c_uint16),
        ("abi_minor", c_uint16),
        ("page_size", c_uint32),
        ("capacity", c_uint64),
        ("file_size", c_uint64),
        ("control_offset", c_uint32),
        ("names_offset", c_uint32),
        ("data_offset", c_uint32),
        ("overflow", c_uint32),
        ("initial_threshold", c_uint32),
        ("pid", c_uint32),
        ("uid", c_uint32),
        ("resource_length", c_uint32),
        ("pid_namespace", c_uint64),
        ("start_time", c_uint64),
        ("realtime_ns", c_uint64),
        ("monotonic_ns", c_uint64),
        ("ring_id", c_uint8 * 16),
        ("boot_id", c_uint8 * 16),
        ("_reserved", c_uint8 * 128),
    )


class ProducerZone(Structure):
    """One page on: positions and counters of the producer."""

    _fields_ = (
        ("tail", c_uint64),
        ("_pad0", c_uint8 * 120),
        ("oldest", c_uint64),
        ("state", c_uint32),
        ("_pad1", c_uint32),
        ("high_water", c_uint64),
        ("_pad2", c_uint8 * 104),
        ("committed", c_uint64),
        ("bytes", c_uint64),
        ("sampled_out", c_uint64),
        ("filtered", c_uint64),
        ("disabled", c_uint64),
        ("dropped", c_uint64 * DROP_SLOTS),
        ("first_drop_ns", c_uint64),
        ("last_drop_ns", c_uint64),
        ("_reserved", c_uint8 * 136),
    )


class Settlement(Structure):
    """One of the two slots of the control zone."""

    _fields_ = (
        ("head", c_uint64),
        ("head_seq", c_uint64),
        ("settled_seq", c_uint64),
        ("totals", c_uint64 * OUTCOME_SLOTS),
        ("_reserved", c_uint64 * 5),
    )


class ControlZone(Structure):
    """What the collector writes."""

    _fields_ = (
        ("head", c_uint64),
        ("_pad0", c_uint8 * 120),
        ("enabled", c_uint32),
        ("default_word", c_uint32),
        ("_pad1", c_uint8 * 120),
        ("active_slot", c_uint32),
        ("_pad2", c_uint32),
        ("sent_seq", c_uint64),
        ("final_tail", c_uint64),
        ("collector_epoch", c_uint64),
        ("collector_heartbeat_ns", c_uint64),
        ("_pad3", c_uint8 * 88),
        ("slot", Settlement * 2),
        ("word", c_uint32 * NAMES_MAX),
    )


class NameEntry(Structure):
    """One event name and its counters."""

    _fields_ = (
        ("text_offset", c_uint32),
        ("text_length", c_uint16),
        ("_pad0", c_uint16),
        ("initial_word", c_uint32),
        ("_pad1", c_uint32),
        ("committed", c_uint64),
        ("sampled_out", c_uint64),
        ("filtered", c_uint64),
        ("dropped", c_uint64 * 3),
    )


NAMES_TEXT_SIZE = NAMES_SIZE - 64 - NAMES_MAX * ctypes.sizeof(NameEntry)


class NamesZone(Structure):
    """The table of event names."""

    _fields_ = (
        ("name_count", c_uint32),
        ("text_used", c_uint32),
        ("_pad0", c_uint8 * 56),
        ("entry", NameEntry * NAMES_MAX),
        ("text", c_uint8 * NAMES_TEXT_SIZE),
    )


class RecordHeader(Structure):
    """What stands before each array in the data zone."""

    _fields_ = (("length", c_uint32), ("draw", c_uint32))


def round_up(value: int, unit: int) -> int:
    """Round up to a multiple."""
    return -(-value // unit) * unit


def offset_of(structure: type[Structure], field: str) -> int:
    """Return where a field stands in its structure."""
    return int(getattr(structure, field).offset)
