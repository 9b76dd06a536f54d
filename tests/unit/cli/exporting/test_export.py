"""What `shmtel export` reads, writes and refuses."""

import gzip
import json
import os
from pathlib import Path

import pytest

from shmtel.cli import run
from shmtel.hub.jsonlines import JsonLines
from support.event_files import (
    DAMAGED_GZIP,
    batch,
    lines_of,
    names_in,
    seqs_of,
)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Return a file with three events."""
    path = tmp_path / "events.jsonl"
    with JsonLines(path) as sink:
        sink(batch(1, 3))
    return path


def export(kind: str, *options: object) -> int:
    """Run the verb."""
    return run(["export", "--format", kind, *map(str, options)])


def test_files_become_one(events: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Packed and not, in their order; lines of others are left out and said."""
    packed = events.with_name("events.1.jsonl.gz")
    packed.write_bytes(gzip.compress(events.read_bytes() + b"note\n"))
    target = events.with_name("all.jsonl.gz")
    inputs = ("--input", packed, "--input", events)
    assert export("jsonl", *inputs, "-o", target) == 0
    assert list(lines_of(target)) == 2 * list(lines_of(events))
    said = capsys.readouterr().err
    assert "left out: 1 line of" in said
    assert "exported 6 events" in said


@pytest.mark.parametrize("kind", ["chrome", "jsonl", "parquet"])
def test_a_file_is_not_written_over_itself(
    events: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor by another name: its events would be gone."""
    before, link = events.read_bytes(), events.with_name("link")
    link.symlink_to(events)
    for target in (events, link):
        assert export(kind, "--input", events, "-o", target) == 2
        assert "write to another file" in capsys.readouterr().err
    assert events.read_bytes() == before


def test_only_some_workers(events: Path) -> None:
    """A glob says which."""
    target = events.with_name("some.parquet")
    for glob, expected in (("w-*", [1, 2, 3]), ("x-*", [])):
        inputs = ("--input", events, "--worker", glob)
        assert export("parquet", *inputs, "-o", target) == 0
        assert seqs_of(target) == expected


def test_a_pipe_and_a_link_stay_what_they_are(events: Path) -> None:
    """As with any program that writes; a device would be lost with its name."""
    pipe, link = events.with_name("pipe"), events.with_name("link.jsonl")
    os.mkfifo(pipe)
    link.symlink_to("target.jsonl")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert export("jsonl", "--input", events, "-o", pipe) == 0
        assert os.read(reader, 1 << 16) == events.read_bytes()
    finally:
        os.close(reader)
    assert export("jsonl", "--input", events, "-o", link) == 0
    assert link.is_symlink()
    assert seqs_of(events.with_name("target.jsonl")) == [1, 2, 3]


def test_nothing_is_a_trace_too(events: Path) -> None:
    """A viewer opens it."""
    target = events.with_name("trace.json")
    inputs = ("--input", events, "--worker", "nobody")
    assert export("chrome", *inputs, "-o", target) == 0
    assert json.loads(target.read_text())["traceEvents"] == []


@pytest.mark.parametrize(
    ("kind", "options", "code", "said"),
    [
        ("parquet", (), 2, "give --output"),
        ("jsonl", ("--input", "none.jsonl"), 1, "cannot read none.jsonl"),
        ("jsonl", ("--input", "x.parquet"), 1, "DuckDB"),
        ("jsonl", ("--input", "EVENTS", "-o", "/none/x"), 1, "cannot write /none/x"),
        ("chrome", ("--input", "BROKEN"), 1, "cannot read"),
        ("jsonl", ("--input", "DAMAGED"), 1, "cannot read"),
    ],
)
def test_what_is_refused(
    events: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    options: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    """With a reason, and a cure where there is one; and nothing is left behind."""
    broken = events.with_name("broken.jsonl.gz")
    broken.write_bytes(gzip.compress(events.read_bytes())[:-20])
    damaged = events.with_name("damaged.jsonl.gz")
    damaged.write_bytes(DAMAGED_GZIP)
    files = {"EVENTS": events, "BROKEN": broken, "DAMAGED": damaged}
    places = {name: str(path) for name, path in files.items()}
    output = () if "-o" in options or code == 2 else ("-o", events.with_name("out"))
    assert export(kind, *(places.get(each, each) for each in options), *output) == code
    assert said in capsys.readouterr().err
    assert names_in(events.parent) == sorted(path.name for path in files.values())
