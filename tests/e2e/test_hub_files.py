"""The files of `shmtel hub`, over its death."""

import gzip
import json
import subprocess
from pathlib import Path

from support.event_files import all_seqs, seqs_of
from support.home import HOME
from support.line import Line, running_line
from support.processes import wait_until
from support.program import shmtel, start_shmtel, stopped_at_exit
from support.trace_format import check_trace, of_kind

WAIT_S = 30.0


def _count(directory: Path, glob: str) -> int:
    return len(list(directory.glob(glob)))


def _ledger(line: Line) -> dict[str, int]:
    result = shmtel(
        *("ledger", "--json", "--assert", "--namespace", line.namespace),
        *("--state-dir", str(line.state_dir)),
    )
    assert result.returncode == 0, result.stderr
    total: dict[str, int] = json.loads(result.stdout)["total"]
    return total


def _kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()


def test_each_event_is_in_the_files_once(tmp_path: Path) -> None:
    """In gzip and in Parquet, with a hub that is killed while it makes them."""
    columns, packed = tmp_path / "columns", tmp_path / "events.*.jsonl.gz"
    options = (
        *("--jsonl-max", "32KiB", "--jsonl-gzip", "--parquet", str(columns)),
        *("--parquet-max", "64KiB", "--state-dir", str(tmp_path / "hub")),
    )
    with running_line(tmp_path, *options) as line:
        wait_until(lambda: _count(tmp_path, packed.name) >= 2, WAIT_S)
        wait_until(lambda: _count(columns, "*.parquet") >= 1, WAIT_S)
        _kill(line.hub_process)
        hub = start_shmtel(
            *("hub", "--listen", line.hub, "--jsonl", str(line.jsonl), *options)
        )
        with stopped_at_exit(hub):
            before = _count(tmp_path, packed.name)
            wait_until(lambda: _count(tmp_path, packed.name) > before, WAIT_S)
            _kill(line.worker_process)
            wait_until(lambda: not HOME.scan(line.namespace), WAIT_S)
            hub.terminate()
            assert hub.wait(10) == 0
        expected = list(range(1, _ledger(line)["delivered"] + 1))
    assert all_seqs(line.jsonl) == expected
    assert all_seqs(columns / "events.jsonl") == expected
    _check_exports(line.jsonl, tmp_path)


def _check_exports(jsonl: Path, tmp_path: Path) -> None:
    """See that exports of the files hold as much."""
    files = [*sorted(tmp_path.glob("events.0*")), jsonl]
    inputs = [word for file in files for word in ("--input", str(file))]
    table, trace = tmp_path / "all.parquet", tmp_path / "trace.json.gz"
    for kind, output in (("parquet", table), ("chrome", trace)):
        result = shmtel("export", "--format", kind, *inputs, "-o", str(output))
        assert result.returncode == 0, result.stderr
    total = len(all_seqs(jsonl))
    assert seqs_of(table) == list(range(1, total + 1))
    assert f"exported {total} instants" in result.stderr
    with gzip.open(trace) as document:
        assert len(of_kind(check_trace(json.load(document)), "i")) == total


def test_a_second_hub_on_one_file(tmp_path: Path) -> None:
    """It says so, and ends with 1."""
    jsonl = str(tmp_path / "events.jsonl")
    where = ("--listen", f"unix:{tmp_path / 'hub.sock'}", "--jsonl", jsonl)
    first = start_shmtel("hub", *where, "--state-dir", str(tmp_path / "1"))
    with stopped_at_exit(first):
        wait_until(lambda: (tmp_path / "hub.sock").exists(), WAIT_S)
        second = shmtel("hub", *where, "--state-dir", str(tmp_path / "2"))
    assert second.returncode == 1
    assert "another process writes it" in second.stderr
