"""Whatever a worker writes leaves the programs as text and nothing more."""

import io
import json
import logging
import sys
from pathlib import Path
from typing import Any
from unicodedata import bidirectional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from shmtel.cli import common
from shmtel.cli.console import format_event
from shmtel.cli.event_lines import json_line, text_line
from shmtel.cli.following import Event
from shmtel.endpoints.exposition import BUILD_INFO, Family, Samples, exposition
from shmtel.hub.handlers import EventBatch
from shmtel.hub.jsonlines import JsonLines
from shmtel.hub.records import Record
from shmtel.safe_text import escaped, json_bytes, json_text, replaced
from shmtel.stamped import STAMPED, own
from shmtel.wire.frames import Worker

_NASTY = (
    *("\n", "\r", "\x1b[2J", "\x07", "\x7f", "\x85", "\x9b31m", "\u2028", "\u2029"),
    *("\u202e", "\ufeff", "\\", '"', "=", " ", "{", "}", "#", "\0"),
)
_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_TEXT = st.lists(st.sampled_from(_NASTY) | st.text(max_size=3)).map("".join)
_ANY = st.text(st.characters(exclude_categories=()), max_size=20)  # surrogates too
_VALUE = _TEXT | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=4)
_KEY = st.sampled_from(sorted(STAMPED)) | _TEXT
_METADATA = st.none() | st.dictionaries(_KEY, _VALUE | st.lists(_TEXT, max_size=3))


@st.composite
def _records(draw: st.DrawFn) -> Record:
    return Record(
        event_id=0,
        seq=7,
        timestamp_ns=1_700_000_000_000_000_000,
        threshold=0,
        correlation_id=draw(st.none() | _TEXT),
        measurements=draw(st.dictionaries(_KEY, st.integers(0, 9))),
        metadata=draw(_METADATA),
        span=None,
    )


def _event(name: str, worker: Worker, record: Record) -> Event:
    fields = (record.seq, record.timestamp_ns, 0, record.correlation_id)
    return Event(
        name, worker, "00" * 16, *fields, record.measurements, record.metadata, None
    )


@given(_TEXT | _ANY)
def test_a_text_is_harmless_afterwards(text: str) -> None:
    """On one line, printable, and as it was if it was harmless before."""
    for safe in (replaced(text), escaped(text), escaped(text, 5)):
        assert safe.isprintable()
        safe.encode()
        assert safe == text or not text.isprintable() or len(text) > 5
    assert len(replaced(text)) == len(text)
    assert len(escaped("x" * 100, 5)) < 10


@given(st.dictionaries(_TEXT | _ANY, _TEXT | _ANY))
def test_json_says_the_same_with_harmless_characters(document: dict[str, str]) -> None:
    """What cannot be printed is escaped, and reads as before."""
    text = json_text(json.dumps(document, indent=2, ensure_ascii=False))
    assert json.loads(text) == document
    assert text.replace("\n", "").isprintable()


@given(_records(), _TEXT, _TEXT)
@settings(deadline=None)
def test_an_event_stays_on_its_line(record: Record, name: str, worker_id: str) -> None:
    """For people, from a hub or from a ring; no key of the hub's is a worker's."""
    worker = Worker(worker_id=worker_id)
    event = _event(name, worker, record)
    for line in (format_event(name, worker_id, record), text_line(event)):
        assert line.isprintable()
        words = line.split(" ")
        assert not any(word.startswith(("ring_id=", "pid=", "node=")) for word in words)
    line = json_line(event)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert STAMPED.isdisjoint(json.loads(line)["metadata"])


@given(st.lists(_records(), min_size=1, max_size=3), _TEXT)
@settings(deadline=None)
def test_a_file_of_json_lines_has_a_line_per_event(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], name: str
) -> None:
    """However a reader splits lines, and whatever a terminal obeys."""
    path = Path(tmp_path_factory.getbasetemp(), "safe.jsonl")
    path.unlink(missing_ok=True)
    batch = EventBatch("n", Worker(worker_id="w"), "00" * 16, (name,), records)
    with JsonLines(path) as sink:
        sink(batch)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(records)
    for line, record in zip(lines, records, strict=True):
        assert not {"\x7f", "\x85", "\x9b", "\x1b"} & set(line)
        event: dict[str, Any] = json.loads(line)
        assert (event["event"], event["seq"]) == (name, 7)
        assert STAMPED.isdisjoint(event["metadata"])
        assert event["correlation_id"] == record.correlation_id


@given(st.binary())
def test_bytes_of_json_lose_only_what_is_dangerous(data: bytes) -> None:
    """The rest is left byte for byte."""
    safe = json_bytes(data)
    assert b"\x7f" not in safe
    if data.isascii() and b"\x7f" not in data:
        assert safe == data


def test_bytes_of_json_turn_no_line() -> None:
    """Whatever Unicode has for that is written out, and reads as before."""
    turns = {chr(n) for n in range(sys.maxunicode) if bidirectional(chr(n)) in _TURNS}
    assert {"\u202e", "\u2066"} < turns
    for mark in (*turns, "\u061c", "\u200e", "\u200f"):
        safe = json_bytes(json.dumps(mark, ensure_ascii=False).encode())
        assert safe.isascii()
        assert json.loads(safe) == mark


@given(st.lists(_TEXT | _ANY, min_size=1, max_size=5))
@settings(deadline=None)
def test_a_scrape_can_be_parsed(names: list[str]) -> None:
    """Labels come back as they were given out, each on its line."""
    family = Family("shmtel_x_total", "counter", "x.", ("event", "reason"))
    samples = Samples((BUILD_INFO, family))
    for name in names:
        samples.add(family.name, 1, name, "unknown_key")
    page = exposition((BUILD_INFO, family), samples)[0].decode()
    found = {
        sample.labels["event"]: sample.value
        for parsed in text_string_to_metric_families(page)
        for sample in parsed.samples
        if sample.name == "shmtel_x_total"
    }
    assert sum(found.values()) == len(names)
    assert all(label.isprintable() and len(label) <= 128 for label in found)


@given(_TEXT | _ANY)
@settings(deadline=None)
def test_a_message_of_a_log_is_one_line(text: str) -> None:
    """Also one without an end, and what an exception says of itself."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(common.log_formatter())
    logger = logging.Logger("safe")
    logger.addHandler(handler)
    logger.warning("event %s", text * 100)
    lines = stream.getvalue().split("\n")
    assert (len(lines), lines[1]) == (2, "")
    assert lines[0].isprintable()
    assert len(lines[0]) < 5000
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("it %s", text)
    traceback = stream.getvalue().split("\n")[1:]
    assert all(line.isprintable() for line in traceback)


@given(_METADATA)
def test_what_a_worker_says_has_names_of_its_own(
    metadata: dict[str, Any] | None,
) -> None:
    """Nothing is lost by it, and what needs no new name has none."""
    kept = own(metadata)
    assert STAMPED.isdisjoint(kept)
    assert len(kept) == len(metadata or {})
    for key, value in (metadata or {}).items():
        assert repr(kept[f"user.{key}" if key in STAMPED else key]) == repr(value)


def test_a_name_that_a_worker_took_itself_is_not_overwritten() -> None:
    """Its `user.pid` stays beside the one that was called `pid`."""
    metadata = {"user.pid": 1, "pid": 2, "user.user.pid": 3}
    kept = {"user.pid": 1, "user.user.pid": 3, "user.user.user.pid": 2}
    assert own(metadata) == kept
