"""What the next hub finds at the end of a file of JSON lines."""

import logging
import os
from pathlib import Path

import pytest

from shmtel.hub import jsontail
from shmtel.hub.handlers import EventBatch
from shmtel.hub.jsonlines import JsonLines
from shmtel.hub.records import decode_segment
from shmtel.hub.sinks import ExactlyOnceSink
from shmtel.wire.frames import Segment
from support.frames import WORKER
from support.program import json_lines
from support.uplink import make_event, pack


def batch(first: int, last: int, ring: str = "ab", node: str = "node") -> EventBatch:
    """Return a batch of the events first to last of a ring."""
    events = [make_event(seq) for seq in range(first, last + 1)]
    segment = Segment(1, first - 1, last, len(events), pack(events))
    return EventBatch(node, WORKER, ring * 16, ["a.b"], decode_segment(segment, 1))


def nothing(_ring_id: str, _seq: int) -> bool:
    """Say that nothing is on record."""
    return False


def awaited_after(path: Path, mark: str | None) -> dict[str, int]:
    """Return what a next hub awaits: the last seqs by ring."""
    file = os.open(path, os.O_RDONLY)
    awaited = jsontail.awaited_in(path, file, mark, nothing)
    os.close(file)
    return {ring_id[:2]: stored.last_seq for (_, ring_id), stored in awaited.items()}


def seqs_in(path: Path, ring: str = "ab") -> list[int]:
    """Return the seqs of a ring in a file, in their order."""
    return [line["seq"] for line in json_lines(path) if line["ring_id"] == ring * 16]


def written(path: Path, *batches: EventBatch) -> str:
    """Write batches as a hub does that is killed then; return its last mark."""
    with JsonLines(path) as sink:
        sink.recover(None, nothing)
        for each in batches:
            sink(each)
        return sink.mark()


def test_it_is_an_exactly_once_sink(tmp_path: Path) -> None:
    """A hub asks it for marks."""
    with JsonLines(tmp_path / "events.jsonl") as sink:
        assert isinstance(sink, ExactlyOnceSink)
    assert not isinstance(print, ExactlyOnceSink)


@pytest.mark.parametrize("is_marked", [False, True])
def test_what_is_there_is_not_written_again(tmp_path: Path, is_marked: bool) -> None:
    """Of a segment that comes again in other bounds only the rest is written."""
    path = tmp_path / "events.jsonl"
    mark = written(path, batch(1, 3))
    written(path, batch(4, 6), batch(1, 2, "cd"))
    with JsonLines(path) as sink:
        sink.recover(mark if is_marked else None, nothing)
        for first, last in ((4, 4), (5, 8), (9, 9)):
            sink(batch(first, last))
        sink(batch(1, 2, "cd"))
        assert sink.repeated == 5
    assert seqs_in(path) == list(range(1, 10))
    assert seqs_in(path, "cd") == [1, 2]


def test_only_what_stands_behind_the_mark_is_read(tmp_path: Path) -> None:
    """What was committed does not come again, and is not remembered."""
    path = tmp_path / "events.jsonl"
    mark = written(path, batch(1, 3), batch(1, 3, "cd"))
    with JsonLines(path) as sink:
        sink(batch(4, 6))
    assert awaited_after(path, mark) == {"ab": 6}
    assert awaited_after(path, None) == {"ab": 6, "cd": 3}


def test_what_has_not_come_yet_is_awaited_by_the_next(tmp_path: Path) -> None:
    """A host may be away for longer than a hub lives, while others go on."""
    path = tmp_path / "events.jsonl"
    written(path, batch(1, 3), batch(1, 3, "cd"))
    marks: list[str] = []
    for first in (4, 6):
        with JsonLines(path) as sink:
            sink.recover(marks[-1] if marks else None, nothing)
            sink(batch(first, first + 1))
            marks.append(sink.mark())
    assert [awaited_after(path, mark) for mark in marks] == [
        {"ab": 7, "cd": 3},
        {"cd": 3},
    ]
    with JsonLines(path) as sink:
        sink.recover(marks[-1], nothing)
        sink(batch(1, 2, "cd"))
        assert awaited_after(path, sink.mark()) == {"cd": 3}
        sink(batch(3, 3, "cd"))
        assert awaited_after(path, sink.mark()) == {}
    assert seqs_in(path, "cd") == [1, 2, 3]


def test_what_is_on_record_is_not_awaited(tmp_path: Path) -> None:
    """Of lines behind the mark, too: they were committed after it was noted."""
    path = tmp_path / "events.jsonl"
    written(path, batch(1, 3), batch(1, 3, "cd"))
    with JsonLines(path) as sink:
        sink.recover(None, lambda ring_id, seq: (ring_id, seq) == ("cd" * 16, 3))
        assert awaited_after(path, sink.mark()) == {"ab": 3}


def test_nothing_is_awaited_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has not come back after a week has lost its rings."""
    path = tmp_path / "events.jsonl"
    mark = written(path, batch(1, 3))
    with JsonLines(path) as sink:
        sink.recover(None, nothing)
        mark = sink.mark()
    assert awaited_after(path, mark) == {"ab": 3}
    monkeypatch.setattr(jsontail, "AWAITED_S", -1)
    assert awaited_after(path, mark) == {}


def test_a_line_that_was_cut_off_comes_again(tmp_path: Path) -> None:
    """It is removed, and counts as never written; the ones before it stay."""
    path = tmp_path / "events.jsonl"
    mark = written(path, batch(1, 3))
    written(path, batch(4, 6))
    os.truncate(path, path.stat().st_size - 5)
    with JsonLines(path) as sink:
        sink.recover(mark, nothing)
        sink(batch(4, 6))
        assert sink.repeated == 2
    assert seqs_in(path) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "mark", ["", "nonsense", "[]", '{"file":"0:0","end":9}', '{"file":"0:0"}']
)
def test_a_mark_of_something_else_is_no_mark(tmp_path: Path, mark: str) -> None:
    """Then all of the file counts."""
    path = tmp_path / "events.jsonl"
    written(path, batch(1, 3))
    with JsonLines(path) as sink:
        sink.recover(mark, nothing)
        sink(batch(3, 4))
    assert seqs_in(path) == [1, 2, 3, 4]


def test_a_file_that_took_the_place_of_another(tmp_path: Path) -> None:
    """A removed file is begun anew, also where its inode is used again."""
    path = tmp_path / "events.jsonl"
    mark = written(path, batch(1, 9))
    path.unlink()
    written(path, batch(10, 11))
    with JsonLines(path) as sink:
        sink.recover(mark, nothing)
        sink(batch(10, 12))
    assert seqs_in(path) == [10, 11, 12]


def test_a_file_that_was_cut_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is gone is told; what comes again is compared with what is left."""
    path = tmp_path / "events.jsonl"
    written(path, batch(1, 3))
    whole = path.stat().st_size
    mark = written(path, batch(4, 6))
    os.truncate(path, whole + 7)
    with caplog.at_level(logging.ERROR), JsonLines(path) as sink:
        sink.recover(mark, nothing)
        sink(batch(3, 6))
    assert seqs_in(path) == [1, 2, 3, 4, 5, 6]
    assert "bytes that were acknowledged" in caplog.text


def test_a_mark_inside_of_a_line(tmp_path: Path) -> None:
    """A file that was rewritten in place is read as a whole."""
    path = tmp_path / "events.jsonl"
    mark = written(path, batch(1, 3))
    end = path.stat().st_size
    assert str(end) in mark
    with JsonLines(path) as sink:
        sink.recover(mark.replace(str(end), str(end - 1)), nothing)
        sink(batch(3, 4))
    assert seqs_in(path) == [1, 2, 3, 4]


def test_lines_of_others_say_nothing(tmp_path: Path) -> None:
    """What is no line of an event is passed over."""
    path = tmp_path / "events.jsonl"
    deep = b'{"node":"n","ring_id":"r","seq":1,"a":' + b"[" * 2_000 + b"\n"
    path.write_bytes(b'note\n{"seq":7}\n[1]\n\xff\n{"event":"x","seq":"7"}\n' + deep)
    with JsonLines(path) as sink:
        sink.recover(None, nothing)
        sink(batch(1, 1))
        assert sink.repeated == 0
    assert path.read_bytes().count(b"\n") == 7


def test_rings_of_one_id_on_two_nodes(tmp_path: Path) -> None:
    """No host can suppress the events of another by using its ring's id."""
    path = tmp_path / "events.jsonl"
    written(path, batch(50, 60, node="liar"))
    with JsonLines(path) as sink:
        sink.recover(None, nothing)
        sink(batch(1, 2))
    assert seqs_in(path)[-2:] == [1, 2]


def test_what_is_remembered_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rings of the newest lines are."""
    monkeypatch.setattr(jsontail, "RINGS_MAX", 2)
    path = tmp_path / "events.jsonl"
    written(path, *(batch(1, 1, ring) for ring in ("aa", "bb", "aa", "cc")))
    assert list(awaited_after(path, None)) == ["aa", "cc"]


def test_a_pipe_has_no_tail(tmp_path: Path) -> None:
    """Nothing is read of it, and nothing is withheld from it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with JsonLines(path) as sink:
        sink.recover(sink.mark(), nothing)
        sink(batch(1, 1))
        assert os.read(reader, 1 << 16).count(b"\n") == 1
    os.close(reader)
