"""Events as Parquet files."""

import decimal
import json
import math
import os
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pyarrow.parquet
import pytest

from shmtel.hub.files import parquet
from shmtel.hub.files.forms import Interrupted, Parquet
from shmtel.hub.files.line import read_line
from shmtel.hub.files.rotation import Rotation
from shmtel.hub.jsonlines import JsonLines
from support.event_files import all_seqs, batch, names_in, nothing
from support.processes import wait_until

ROTATION = Rotation(max_bytes=700, form=Parquet())


def written(path: Path, **fields: object) -> dict[str, Any]:
    """Write one event through JSON lines into a Parquet file, and read it back."""
    lines = path.with_suffix(".jsonl")
    with JsonLines(lines) as sink:
        sink(batch(1, 1, **fields))
    with lines.open("rb") as events:
        assert parquet.write_parquet(parquet.read_lines(events), path) == 1
    table = pyarrow.parquet.read_table(path)
    nanoseconds = table["timestamp"].cast("int64")  # Python has no finer times
    row: dict[str, Any] = table.drop_columns("timestamp").to_pylist()[0]
    return {**row, "timestamp": nanoseconds[0].as_py()}


def test_large_events_come_in_small_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in memory at once is bounded in bytes, too."""
    monkeypatch.setattr(parquet, "GROUP_BYTES", 1_000)
    path = tmp_path / "events.jsonl"
    with JsonLines(path) as sink:
        sink(batch(1, 7, metadata={"text": "x" * 400}))
    with path.open("rb") as events:
        parquet.write_parquet(parquet.read_lines(events), tmp_path / "x.parquet")
    metadata = pyarrow.parquet.read_metadata(tmp_path / "x.parquet")
    rows = [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]
    assert rows == [3, 3, 1]


def test_the_columns(tmp_path: Path) -> None:
    """All that an event has, under the names of the documentation."""
    row = written(
        tmp_path / "events.parquet",
        correlation_id="c",
        metadata={"tool": "search", "tries": 2, "tags": ["a"], "deep": {"k": None}},
        measurements={"duration": 5, "share": 0.25},
        threshold=1 << 31,
        span=b"s" * 16,
    )
    assert row == {
        "timestamp": 1_700_000_000_000_000_001,
        "event": "a.b",
        "node": "node",
        "worker_id": "w-1",
        "pool_name": "pool",
        "pid": 42,
        "worker_index": 0,
        "ring_id": "ab" * 16,
        "seq": 1,
        "correlation_id": "c",
        "span_id": "73" * 8,
        "parent_id": "73" * 8,
        "sampling_probability": 0.5,
        "measurements": [("duration", 5.0), ("share", 0.25)],
        "exact": [],
        "metadata": [
            ("tool", "search"),
            ("tries", "2"),
            ("tags", '["a"]'),
            ("deep", '{"k":null}'),
        ],
    }


def test_numbers_that_no_double_is_equal_to(tmp_path: Path) -> None:
    """Such integers stand in `exact` as well, to the last digit; NaN is null."""
    row = written(
        tmp_path / "events.parquet",
        measurements={
            "system_time": 1_700_000_000_000_000_001,
            "most": 2**64 - 1,
            "least": -(2**63) + 1,
            "even": 2**60,
            "nan": math.nan,
        },
    )
    assert dict(row["exact"]) == {
        "system_time": decimal.Decimal(1_700_000_000_000_000_001),
        "most": decimal.Decimal(2**64 - 1),
        "least": decimal.Decimal(-(2**63) + 1),
    }
    assert dict(row["measurements"])["even"] == float(2**60)
    assert dict(row["measurements"])["nan"] is None


@pytest.mark.parametrize("moment", [2**63, 2**64 - 1])
def test_a_time_that_is_none(tmp_path: Path, moment: int) -> None:
    """A worker's word, whatever it is, keeps no file from being written."""
    row = written(tmp_path / "events.parquet", timestamp_ns=moment)
    assert row["seq"] == 1


def test_lines_that_are_no_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are left out, and said."""
    path = tmp_path / "events.parquet"
    event = {
        **{"measurements": {}, "metadata": {}},
        **dict.fromkeys(("correlation_id", "span_id", "parent_id")),
        **{"event": "a", "timestamp_ns": 1, "ring_id": "r", "seq": 1},
        "sampling_probability": 1.0,
    }
    lines = [event, {**event, "seq": -1}, {**event, "pid": 2**70}, [], "x"]
    texts = [*(json.dumps(line).encode() for line in lines), b"{", b"\xff"]
    assert parquet.write_parquet(parquet.read_lines(texts), path) == 1
    assert "6 lines are no events" in caplog.text
    assert read_line(texts[0]) is not None
    with_giant = json.dumps({**event, "measurements": {"n": 10**400}}).encode()
    assert parquet.write_parquet(parquet.read_lines([with_giant]), path) <= 1


def test_files_of_a_hub(tmp_path: Path) -> None:
    """Rotated files become columns, which a query reads as one table."""
    path = tmp_path / "events.jsonl"
    with JsonLines(path, ROTATION) as sink:
        for first in (1, 3, 5):
            sink(batch(first, first + 1, metadata={"tool": f"t{first}"}))
        wait_until(lambda: sink.file_counts.get("converted") == 2)
    assert names_in(tmp_path) == [
        *("events.000001.parquet", "events.000002.parquet", "events.jsonl")
    ]
    events = pyarrow.dataset.dataset(sorted(map(str, tmp_path.glob("*.parquet"))))
    assert events.schema.equals(parquet.SCHEMA)
    later = pyarrow.dataset.field("seq") > 2
    found = events.to_table(["seq", "metadata"], filter=later).to_pylist()
    assert [(row["seq"], dict(row["metadata"])["tool"]) for row in found] == [
        *((3, "t3"), (4, "t3"))
    ]
    rings = parquet.rings_of(tmp_path / "events.000002.parquet")
    assert rings == {("node", "ab" * 16): (3, 4)}


@pytest.mark.parametrize("is_marked", [False, True])
def test_what_columns_hold_is_not_stored_again(tmp_path: Path, is_marked: bool) -> None:
    """A hub that was killed finds it in their footers."""
    path = tmp_path / "events.jsonl"
    with JsonLines(path, ROTATION) as sink:
        mark = sink.mark() if is_marked else None
        sink(batch(1, 2))
        sink(batch(3, 4))
        wait_until(lambda: sink.file_counts.get("converted") == 1)
    with JsonLines(path, ROTATION) as sink:
        sink.recover(mark, nothing)
        sink(batch(1, 5))
        assert sink.repeated == 4
    assert all_seqs(path) == [1, 2, 3, 4, 5]


def test_a_damaged_file_of_columns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and the others count."""
    path = tmp_path / "events.jsonl"
    path.with_name("events.000001.parquet").write_bytes(b"PAR1")
    with JsonLines(path) as sink:
        sink(batch(1, 1))
    with JsonLines(path) as sink:
        sink.recover(None, nothing)
        sink(batch(1, 2))
        assert sink.repeated == 1
    assert "cannot be told" in caplog.text


def test_a_conversion_that_is_given_up(tmp_path: Path) -> None:
    """Its process ends at once, and leaves nothing under a name that is read."""
    lines = tmp_path / "events.000001.jsonl"
    os.mkfifo(lines)  # it waits there for ever
    with pytest.raises(Interrupted):
        Parquet().write(lines, tmp_path / "draft", lambda: True)


def test_a_conversion_that_fails(tmp_path: Path) -> None:
    """Its reason comes through."""
    missing = tmp_path / "events.000001.jsonl"
    with pytest.raises(OSError, match="No such file"):
        Parquet().write(missing, tmp_path / "draft", lambda: False)
