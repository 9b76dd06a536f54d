"""`shmtel stat` again and again: rates, a terminal, and how it ends."""

import json
import os
import pty
import re
import signal
import subprocess
from contextlib import ExitStack
from typing import Any

import pytest

from support.emitter import Emitter
from support.home import HOME
from support.processes import wait_until
from support.program import (
    PROGRAM,
    clean_environment,
    shmtel,
    start_shmtel,
    stopped_at_exit,
)


def _next(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    document: dict[str, Any] = json.loads(process.stdout.readline())
    return document


def test_json_lines_with_rates(namespace: str) -> None:
    """One document per look; the second knows what happened since the first."""
    place = ("--namespace", namespace)
    with (
        Emitter(namespace, SHMTEL_WORKER_ID="w") as worker,
        stopped_at_exit(start_shmtel("stat", "--json", "-i", "0.2", *place)) as process,
    ):
        worker.emit(1)
        before = _next(process)
        while not before["rings"]:
            before = _next(process)
        worker.emit(1_000)
        while (now := _next(process))["rings"][0]["committed"] < 1_001:
            before = now
        (ring,) = now["rings"]
        committed = ring["committed"] - before["rings"][0]["committed"]
        elapsed_s = (now["time_ns"] - before["time_ns"]) / 1e9
        rate = ring["per_second"]["committed"]
        assert committed > 0
        assert committed / elapsed_s / 2 < rate < committed / elapsed_s * 2
        assert ring["per_second"]["committed_bytes"] > rate * 40
        name = worker.ring_name()
        HOME.unlink(name)
        wait_until(lambda: _next(process)["rings"][0]["state"] == "gone")
        assert _next(process)["rings"] == []
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_without_a_terminal_it_looks_once(namespace: str) -> None:
    """A script that calls it gets an answer, and its prompt back."""
    with Emitter(namespace) as worker:
        worker.emit(3)
        result = shmtel("stat", "--namespace", namespace)
    assert result.returncode == 0
    assert "COMMITTED/S" not in result.stdout


def test_repeated_tables_have_no_control_characters(namespace: str) -> None:
    """Off a terminal each look is a table of its own."""
    with (
        Emitter(namespace, SHMTEL_WORKER_ID="w") as worker,
        stopped_at_exit(
            start_shmtel("stat", "-i", "0.1", "--namespace", namespace)
        ) as stat,
    ):
        worker.emit(1)
        assert stat.stdout is not None
        lines: list[str] = []
        while sum("COMMITTED/S" in line for line in lines) < 2:
            lines.append(stat.stdout.readline())
        assert all(line.rstrip("\n").isprintable() for line in lines)
        assert "\n" in lines


def _screen(namespace: str, *arguments: str, environment: dict[str, str]) -> bytes:
    """Run it on a terminal of 5 lines until it has drawn three times."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "stat", "--namespace", namespace, *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=clean_environment(**environment),
    )
    os.close(terminal)
    drawn = b""
    while drawn.count(b"WORKER") < 3:
        drawn += os.read(master, 4096)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    os.close(master)
    return drawn


def test_a_terminal_is_drawn_over(namespace: str) -> None:
    """In place, without colours, and never past its lower edge."""
    size = {"LINES": "5", "COLUMNS": "40", "TERM": "dumb"}
    with ExitStack() as stack:
        for number in range(6):
            worker = Emitter(namespace, SHMTEL_WORKER_ID=f"w-{number}")
            stack.enter_context(worker).emit(1)
        drawn = _screen(namespace, "-i", "0.1", environment=size).decode()
    assert set(re.findall(r"\x1b\[[0-9;]*[A-Za-z]", drawn)) == {"\x1b[1A", "\x1b[2K"}
    lines = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", drawn).split("\r\n")
    assert max(map(len, lines)) < 40
    tables = [number for number, line in enumerate(lines) if "WORKER" in line]
    first = lines[tables[0] : tables[1]]
    assert len(first) == 4
    assert "lines more" in first[-1]


def test_some_workers(namespace: str) -> None:
    """Globs choose by worker id."""
    with (
        Emitter(namespace, SHMTEL_WORKER_ID="w.1") as first,
        Emitter(namespace, SHMTEL_WORKER_ID="v.2") as second,
    ):
        first.emit(1)
        second.emit(1)
        place = ("--json", "--once", "--namespace", namespace)
        document = json.loads(shmtel("stat", "w.*", "x*", *place).stdout)
    assert [ring["worker_id"] for ring in document["rings"]] == ["w.1"]


@pytest.mark.parametrize(
    "arguments", [("-1", "-i", "1"), ("-i", "0"), ("-i", "nan"), ("-i", "soon")]
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    """Exit code 2 and the reason."""
    result = shmtel("stat", *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
