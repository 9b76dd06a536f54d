"""What the demonstration counts of what arrives."""

from typing import Any

import pytest

from shmtel.cli.demonstration.tally import RingTally, Tally
from shmtel.cli.demonstration.workers import FILE_EVENT, FILE_SPAN, FUNCTION_EVENT
from shmtel.hub.handlers import EventBatch
from shmtel.hub.records import Record
from shmtel.wire.frames import Worker

_NAMES = (f"{FILE_SPAN}.start", f"{FILE_SPAN}.stop", FILE_EVENT, FUNCTION_EVENT)
_START, _STOP, _FILE, _FUNCTION = range(4)
_RING = "00" * 16


def _record(event_id: int, seq: int, threshold: int = 0, **metadata: Any) -> Record:
    return Record(event_id, seq, 1000 + seq, threshold, None, {"n": 1}, metadata, None)


def _take(*records: Record) -> RingTally:
    tally = Tally()
    worker = Worker(worker_id="parser-7", pid=7)
    tally.take(EventBatch("node", worker, _RING, _NAMES, records), None)
    return tally.snapshot()[_RING]


def test_files_and_functions_are_counted() -> None:
    """Each kind of event has its count, and all are events."""
    ring = _take(_record(_FILE, 1), _record(_FUNCTION, 2), _record(_FUNCTION, 3))
    assert (ring.files, ring.functions, ring.events) == (1, 2, 3)
    assert (ring.worker_id, ring.pid, ring.last_seq) == ("parser-7", 7, 3)


def test_sampled_events_stand_for_more() -> None:
    """An event that one in four survives counts as four; the first is noted."""
    ring = _take(_record(_FUNCTION, 1), _record(_FUNCTION, 2, threshold=3 << 30))
    assert ring.functions_scaled == pytest.approx(1 + 4)
    assert ring.first_sampled_ns == 1002


def test_a_repetition_is_noticed() -> None:
    """Every seq that is not past the last is counted; a gap was left out."""
    ring = _take(_record(_FILE, 1), _record(_FILE, 3), _record(_FILE, 3))
    assert ring.disorder == 1


def test_the_file_that_was_being_parsed_is_known() -> None:
    """A span that has started and not stopped names its file."""
    start = _record(_START, 1, file="a.py")
    assert _take(start).open_file == "a.py"
    assert _take(start, _record(_STOP, 2, file="a.py")).open_file is None


def test_a_snapshot_is_a_copy() -> None:
    """What arrives later does not change what was taken."""
    tally = Tally()
    batch = EventBatch("n", Worker(), _RING, _NAMES, [_record(_FILE, 1)])
    tally.take(batch, None)
    snapshot = tally.snapshot()[_RING]
    tally.take(batch, None)
    assert snapshot.events == len(snapshot.last) == 1
