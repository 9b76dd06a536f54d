"""What the hub adds to metadata."""

from shmtel.hub.records import Record, decode_segment
from shmtel.hub.stamp import ring_stamp, stamped
from shmtel.stamped import STAMPED
from shmtel.wire.frames import Segment
from support.frames import WORKER
from support.uplink import make_event, pack

STAMP = ring_stamp("node", WORKER, "ab" * 16)


def record_of(**fields: object) -> Record:
    """Return a record as the hub would decode it."""
    return decode_segment(Segment(1, 0, 1, 1, pack([make_event(1, **fields)])), 1)[0]


def test_all_stamps() -> None:
    """An event carries where it comes from, and what its record says."""
    record = record_of(
        correlation_id="c", metadata={"k": "v"}, threshold=1 << 31, span=b"s" * 16
    )
    assert stamped(record, STAMP) == {
        "k": "v",
        "node": "node",
        "worker_id": "w-1",
        "pool_name": "pool",
        "pid": 42,
        "worker_index": 0,
        "ring_id": "ab" * 16,
        "seq": 1,
        "timestamp_ns": record.timestamp_ns,
        "correlation_id": "c",
        "span_id": "73" * 8,
        "parent_id": "73" * 8,
        "sampling_probability": 0.5,
    }


def test_an_event_without_metadata() -> None:
    """Without metadata there are the stamps, and the ring's stay untouched."""
    before = dict(STAMP)
    metadata = stamped(record_of(), STAMP)
    assert set(metadata) == set(STAMP)
    assert metadata["sampling_probability"] == 1.0
    assert before == STAMP


def test_a_payload_cannot_forge_a_stamp() -> None:
    """A worker's own key of a stamped name is kept under another."""
    own = {"k": 1, **dict.fromkeys(STAMPED, "forged")}
    metadata = stamped(record_of(metadata=own), STAMP)
    assert metadata["node"] == "node"
    assert metadata["seq"] == 1
    assert metadata["span_id"] is None
    forged = {key for key, value in metadata.items() if value == "forged"}
    assert forged == {f"user.{key}" for key in STAMPED}
    assert metadata["k"] == 1
