"""`shmtel hub`, `shmtel collector` and `shmtel ledger` as programs."""

import json
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shmtel import segments
from support.home import HOME
from support.line import Line, running_line, started_line
from support.program import (
    fresh_namespace,
    json_lines,
    shmtel,
    start_shmtel,
    stopped_at_exit,
)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """Give a hub, a collector and a worker that emits for ever."""
    with running_line(tmp_path) as running:
        yield running


def _ledger(line: Line, *options: str) -> dict[str, Any]:
    result = shmtel(
        *("ledger", "--json", "--namespace", line.namespace),
        *("--state-dir", str(line.state_dir), *options),
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


def _finish_worker(line: Line) -> None:
    line.worker_process.kill()
    line.worker_process.wait()
    deadline = time.monotonic() + 10
    while HOME.scan(line.namespace):
        assert time.monotonic() < deadline, "the dead worker's ring was not removed"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_both_stop_cleanly_on_a_signal(line: Line, number: signal.Signals) -> None:
    """Each ends with 0, soon, and says no traceback."""
    for process in (line.collector_process, line.hub_process):
        process.send_signal(number)
        assert process.wait(10) == 0
        _, stderr = process.communicate()
        assert "Traceback" not in stderr


def test_after_the_end_the_ledger_is_balanced(line: Line) -> None:
    """All that a killed worker committed was delivered, and the file has it."""
    _finish_worker(line)
    total = _ledger(line, "--assert")["total"]
    assert total["unaccounted"] == 0
    assert total["committed"] == total["delivered"] == len(json_lines(line.jsonl))


def test_the_ledger_needs_no_collector(line: Line) -> None:
    """With the collector stopped the same sums come from rings and database."""
    line.collector_process.terminate()
    line.collector_process.wait(10)
    total = _ledger(line)["total"]
    assert total["committed"] > 0
    assert total["committed"] == (
        total["delivered"]
        + total["in_flight"]
        + total["in_ring"]
        + total["unaccounted"]
    )


def test_the_ledger_s_table(line: Line) -> None:
    """Without --json a person sees the words of the two laws."""
    _finish_worker(line)
    result = shmtel(
        *("ledger", "--namespace", line.namespace, "--state-dir", str(line.state_dir))
    )
    assert result.returncode == 0
    for word in ("emitted", "committed", "delivered", "lost", "unaccounted"):
        assert word in result.stdout


def test_a_namespace_that_nobody_uses_is_said(tmp_path: Path) -> None:
    """A ledger of nothing balances; who mistyped the name should hear of it."""
    place = ("--namespace", "nobody-s", "--state-dir", str(tmp_path))
    result = shmtel("ledger", "--assert", *place)
    assert result.returncode == 0
    assert "nothing is known of the namespace 'nobody-s'" in result.stderr
    assert f"has kept anything in {tmp_path}" in result.stderr


def test_the_ledger_does_not_vouch_for_what_it_cannot_read(tmp_path: Path) -> None:
    """The events of a damaged ring are unknown, and --assert says so."""
    with fresh_namespace() as namespace:
        name = segments.segment_name(namespace, b"r" * 16)
        Path(HOME.directory, name).write_bytes(b"stlring1" + b"\xff" * 65_536)
        place = ("--namespace", namespace, "--state-dir", str(tmp_path))
        assert shmtel("ledger", *place).returncode == 0
        result = shmtel("ledger", "--assert", *place)
    assert result.returncode == 8
    assert f"{name} is not read" in result.stderr


def test_a_second_collector_says_who_is_first(line: Line) -> None:
    """One collector per namespace; the message names the pid of the other."""
    result = shmtel(
        *("collector", "--hub", line.hub, "--namespace", line.namespace),
        *("--state-dir", str(line.state_dir)),
    )
    assert result.returncode == 1
    assert str(line.collector_process.pid) in result.stderr
    assert "Traceback" not in result.stderr


def test_an_address_in_use_is_said() -> None:
    """A hub that cannot listen names the address, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        result = shmtel("hub", "--listen", address)
    assert result.returncode == 1
    assert address in result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A hub whose file cannot be opened does not start."""
    result = shmtel(
        *("hub", "--listen", f"unix:{tmp_path / 's'}"),
        *("--jsonl", str(tmp_path / "missing" / "file")),
    )
    assert result.returncode in (1, 4)
    assert "missing" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_state_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A collector without a place for its state names the option."""
    (tmp_path / "file").write_text("")
    result = shmtel("collector", "--state-dir", str(tmp_path / "file" / "x"))
    assert result.returncode != 0
    assert "--state-dir" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_hub_ends_when_its_file_cannot_be_written(tmp_path: Path) -> None:
    """A full disk ends the hub, which would acknowledge what nobody keeps."""
    with started_line(tmp_path, Path("/dev/full")) as line:
        assert line.hub_process.wait(15) == 1
        _, stderr = line.hub_process.communicate()
        assert "the hub does not run without its sink" in stderr
        assert "/dev/full" in stderr
        assert "Traceback" not in stderr
        assert _ledger(line)["total"]["delivered"] == 0


def test_what_a_full_disk_refuses_is_written_by_the_next_hub(line: Line) -> None:
    """Each event is in the file once, though the first hub's disk was full."""
    size = line.jsonl.stat().st_size + 10_000
    resource.prlimit(line.hub_process.pid, resource.RLIMIT_FSIZE, (size, size))
    assert line.hub_process.wait(15) == 1
    next_hub = start_shmtel("hub", "--listen", line.hub, "--jsonl", str(line.jsonl))
    with stopped_at_exit(next_hub):
        _finish_worker(line)
        total = _ledger(line, "--assert")["total"]
        next_hub.terminate()
        assert next_hub.wait(10) == 0
    seqs = [event["seq"] for event in json_lines(line.jsonl)]
    assert seqs == list(range(1, total["committed"] + 1))
    assert total["delivered"] == total["committed"]
