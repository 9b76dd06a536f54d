"""The work of the demonstration: the standard library's own sources."""

import json
import sys
from pathlib import Path

from shmtel.cli.demonstration.workers import source_files
from support.program import json_lines, shmtel

_PARSE = (
    "import sys, json; from pathlib import Path;"
    "from shmtel.cli.demonstration.workers import parse_file;"
    "parse_file(Path(sys.argv[1])); print(json.dumps(sorted(sys.modules)))"
)


def test_there_are_sources_on_this_machine() -> None:
    """Hundreds of files, each small enough not to hold a worker up."""
    files = source_files()
    assert len(files) > 300
    assert max(path.stat().st_size for path in files) <= 200_000


def test_a_file_is_a_span_with_its_measurements(tmp_path: Path) -> None:
    """Bytes, lines, tokens and functions are counted in a span of the file."""
    source = tmp_path / "small.py"
    source.write_text("def f():\n    return 1\n")
    events = tmp_path / "events.jsonl"
    result = shmtel(
        *("run", "--jsonl", str(events), "--"),
        *(sys.executable, "-P", "-c", _PARSE, str(source)),
    )
    assert result.returncode == 0, result.stderr
    start, function, file, stop = json_lines(events)
    assert start["event"] == "source.parse.start"
    assert stop["event"] == "source.parse.stop"
    assert function["measurements"] == {"lines": 2}
    assert function["metadata"] == {"name": "f"}
    assert file["measurements"] == {"bytes": 22, "lines": 2, "tokens": 13}
    assert file["parent_id"] == start["span_id"]
    assert not {"grpc", "google", "click"} & set(json.loads(result.stdout))
