"""Events as lines of JSON."""

import errno
import json
import math
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shmtel.hub.handlers import EventBatch
from shmtel.hub.jsonlines import JsonLines
from shmtel.hub.records import decode_segment
from shmtel.wire.frames import Segment
from support.frames import WORKER
from support.uplink import make_event, pack


def make_batch(*events: list[object]) -> EventBatch:
    """Return a batch as a handler would get it."""
    count = len(events)
    records = decode_segment(Segment(1, 0, count, count, pack(events)), 1)
    return EventBatch("node", WORKER, "ab" * 16, ["a.b"], records)


def lines_of(path: Path) -> list[Any]:
    """Return what the file holds; strict about what JSON is."""
    text = path.read_text()
    assert text.endswith("\n")
    lines = text.split("\n")[:-1]
    return [json.loads(line, parse_constant=pytest.fail) for line in lines]


def test_the_keys_of_a_line(tmp_path: Path) -> None:
    """A line holds the event, its stamps, and nothing else."""
    path = tmp_path / "events.jsonl"
    event = make_event(
        1, correlation_id="c", metadata={"k": ["v"]}, threshold=1 << 31, span=b"s" * 16
    )
    with JsonLines(path) as sink:
        sink(make_batch(event))
        assert lines_of(path) == [
            {
                "event": "a.b",
                "measurements": {"value": 1},
                "metadata": {"k": ["v"]},
                "correlation_id": "c",
                "timestamp_ns": 1_700_000_000_000_000_001,
                "ring_id": "ab" * 16,
                "seq": 1,
                "span_id": "73" * 8,
                "parent_id": "73" * 8,
                "sampling_probability": 0.5,
                "node": "node",
                "worker_id": "w-1",
                "pool_name": "pool",
                "pid": 42,
                "worker_index": 0,
            }
        ]


def test_what_json_cannot_say(tmp_path: Path) -> None:
    """Numbers that are none become null, bytes base64, and lines stay lines."""
    path = tmp_path / "events.jsonl"
    event = make_event(
        1,
        measurements={"nan": math.nan, "inf": -math.inf, "big": 2**64 - 1},
        metadata={"bytes": b"\xff\x00", "line": "a\nb", "none": None, "x": math.inf},
    )
    with JsonLines(path) as sink:
        sink(make_batch(event, make_event(2)))
    first, second = lines_of(path)
    assert first["measurements"] == {"nan": None, "inf": None, "big": 2**64 - 1}
    expected = {"bytes": "/wA=", "line": "a\nb", "none": None, "x": None}
    assert first["metadata"] == expected
    assert second["metadata"] == {}


def test_keys_that_json_has_no_form_for(tmp_path: Path) -> None:
    """Keys that are no text become text."""
    path = tmp_path / "events.jsonl"
    batch = make_batch(make_event(1))
    batch.records[0].metadata = {"a": {None: 1, b"k": 2, 1.5: 3}}
    with JsonLines(path) as sink:
        sink(batch)
    assert lines_of(path)[0]["metadata"] == {"a": {"None": 1, "aw==": 2, "1.5": 3}}


def test_metadata_that_is_nested_too_deep(tmp_path: Path) -> None:
    """It is left out and its event is written; so are its neighbours."""
    path = tmp_path / "events.jsonl"
    nested: list[Any] = []
    for _ in range(10_000):
        nested = [nested]
    batch = make_batch(make_event(1), make_event(2, metadata={"k": 1}))
    batch.records[0].metadata = {"k": nested}
    with JsonLines(path) as sink:
        sink(batch)
    metadata = [line["metadata"] for line in lines_of(path)]
    assert metadata == [{"omitted": "nested too deep"}, {"k": 1}]


def test_it_appends(tmp_path: Path) -> None:
    """What a file held before stays in it."""
    path = tmp_path / "events.jsonl"
    for _ in range(2):
        with JsonLines(path) as sink:
            sink(make_batch(make_event(1)))
    assert [line["seq"] for line in lines_of(path)] == [1, 1]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def numbered(*numbers: int, text: str = "") -> EventBatch:
    """Return a batch whose events can be told apart."""
    return make_batch(
        *(
            make_event(seq, measurements={"number": number}, metadata={"text": text})
            for seq, number in enumerate(numbers, 1)
        )
    )


def numbers_in(path: Path) -> list[int]:
    """Return the numbers of the events in a file."""
    return [line["measurements"]["number"] for line in lines_of(path)]


def test_a_batch_that_does_not_fit_is_not_there_in_part(tmp_path: Path) -> None:
    """The error names the file, and the file ends where the batch began."""
    path = tmp_path / "events.jsonl"
    with JsonLines(path) as sink:
        sink(numbered(1))
        limit = path.stat().st_size * 5 // 2  # one line more, and half of another
        with file_size_limit(limit), pytest.raises(OSError, match=str(path)) as caught:
            sink(numbered(2, 3))
        assert caught.value.errno == errno.EFBIG
        sink(numbered(4))
    assert numbers_in(path) == [1, 4]


@pytest.mark.parametrize("missing", [1, 40, 100_000, 1_000_000])
def test_a_line_that_was_cut_off_is_removed(tmp_path: Path, missing: int) -> None:
    """A hub killed while it wrote has acknowledged nothing of it."""
    path = tmp_path / "events.jsonl"
    with JsonLines(path) as sink:
        sink(numbered(1))
        whole = path.stat().st_size
        sink(numbered(2, text="x" * 200_000))
    os.truncate(path, max(whole + 1, path.stat().st_size - missing))
    with JsonLines(path) as sink:
        assert path.stat().st_size == whole
        sink(numbered(3))
    assert numbers_in(path) == [1, 3]


def test_what_others_have_written_is_kept(tmp_path: Path) -> None:
    """A last line that is not ours is ended, not removed."""
    path = tmp_path / "notes"
    path.write_text("something\nelse")
    with JsonLines(path) as sink:
        sink(make_batch(make_event(1)))
    assert path.read_text().startswith('something\nelse\n{"event":')


def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe has no end to look at."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with JsonLines(path) as sink:
        sink(make_batch(make_event(1)))
    assert json.loads(os.read(reader, 1 << 16))["seq"] == 1
    os.close(reader)
