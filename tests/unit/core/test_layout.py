"""The compiled layout against its second description in tests/support."""

import ctypes
from ctypes import LittleEndianStructure

import pytest

from shmtel import _ring
from shmtel.wire.frames import Outcome
from support import ring_layout

STRUCTURES = {
    "ring_identity": ring_layout.Identity,
    "ring_producer_zone": ring_layout.ProducerZone,
    "ring_settlement": ring_layout.Settlement,
    "ring_control_zone": ring_layout.ControlZone,
    "ring_name_entry": ring_layout.NameEntry,
    "ring_names_zone": ring_layout.NamesZone,
}
CONSTANTS = {
    "RING_MAGIC": ring_layout.MAGIC,
    "RING_ABI_MAJOR": ring_layout.ABI_MAJOR,
    "RING_ABI_MINOR": ring_layout.ABI_MINOR,
    "RING_LOCK_PRODUCER": 0,
    "RING_LOCK_CONSUMER": 1,
    "RING_CAPACITY_MIN": 64 << 10,
    "RING_CAPACITY_MAX": 1 << 30,
    "RING_RECORD_ALIGN": 8,
    "RING_RECORD_MAX": ring_layout.RECORD_MAX,
    "RING_CORRELATION_MAX": 128,
    "RING_DEPTH_MAX": 8,
    "RING_NAMES_MAX": ring_layout.NAMES_MAX,
    "RING_NAME_LENGTH_MAX": 255,
    "RING_NAMES_TEXT_SIZE": ring_layout.NAMES_TEXT_SIZE,
    "RING_DROP_SLOTS": ring_layout.DROP_SLOTS,
    "RING_OUTCOME_SLOTS": ring_layout.OUTCOME_SLOTS,
    "RING_RESOURCE_OFFSET": 256,
    "RING_RESOURCE_MAX": 4096 - 256,
    "RING_NO_FINAL_TAIL": ring_layout.NO_FINAL_TAIL,
    "RING_ARRAY_EVENT_ID": 2,
    "RING_ARRAY_SEQ": 5,
    "RING_ARRAY_TIMESTAMP": 14,
    "RING_ARRAY_THRESHOLD": 23,
    "RING_ARRAY_HEAD": 27,
    "RING_ARRAY_MIN": 31,
}
RECORD = {
    "sizeof ring_record": ctypes.sizeof(ring_layout.RecordHeader),
    "ring_record.length": 0,
    "ring_record.draw": 4,
    "ring_record.array": 8,
}


def _describe(name: str, structure: type[LittleEndianStructure]) -> dict[str, int]:
    fields = [field[0] for field in structure._fields_]
    return {f"sizeof {name}": ctypes.sizeof(structure)} | {
        f"{name}.{field}": ring_layout.offset_of(structure, field)
        for field in fields
        if not field.startswith("_")
    }


def test_the_compiled_layout_is_the_described_one() -> None:
    """Every size, offset and constant is the same in both descriptions."""
    described = CONSTANTS | RECORD
    for name, structure in STRUCTURES.items():
        described |= _describe(name, structure)
    assert described == _ring.LAYOUT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORD_UNSET", 0xFFFFFFFD),
        ("WORD_KEEP_NONE", 0xFFFFFFFE),
        ("WORD_DENIED", 0xFFFFFFFF),
        ("THRESHOLD_MAX", 0xFFFFFFEF),
        ("RING_RECORD_MIN", 40),  # the header and the least array, aligned
        ("RING_OFF", 0),
        ("RING_ON", 1),
        ("RING_RETIRED", 2),
    ],
)
def test_the_words_have_their_published_values(name: str, value: int) -> None:
    """Words and states are part of the binary contract."""
    assert getattr(_ring, name) == value


def test_outcomes_and_drop_reasons_are_the_catalogue() -> None:
    """Outcomes have the numbers of the settlement slots; reasons have a text."""
    assert _ring.OUTCOMES[0] == ("delivered", "delivered")
    assert _ring.OUTCOMES[10] == ("rejected", "bad_threshold")
    assert _ring.OUTCOMES[11] == ("rejected", "by_hub")
    assert _ring.OUTCOMES[17] == ("lost", "hub_state_lost")
    assert _ring.OUTCOMES[20] == ("lost", "spool_damaged")
    assert set(_ring.OUTCOMES) == set(Outcome)
    assert max(_ring.OUTCOMES) < ring_layout.OUTCOME_SLOTS
    assert list(_ring.DROP_REASONS) == [
        "ring_full",
        "too_large",
        "invalid",
        "name_table_full",
        "reentrant",
        "no_ring",
    ]
    assert all(_ring.DROP_REASONS.values())
    assert _ring.STATUSES["sequence"]
