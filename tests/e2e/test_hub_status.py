"""`shmtel hub` shows what it does: on a terminal, and in a log."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from support.program import PROGRAM, clean_environment, shmtel
from support.uplink import ScriptedCollector, connected, make_segment

WAIT_S = 30.0
_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class _Hub:
    """A hub whose stderr is read as it comes."""

    def __init__(self, process: subprocess.Popen[bytes], stderr: int) -> None:
        self.process = process
        self._stderr = stderr
        self.said = ""

    def wait_said(self, pattern: str) -> "re.Match[str]":
        """Read until it has said something."""
        deadline = time.monotonic() + WAIT_S
        while (found := re.search(pattern, self.said, re.DOTALL)) is None:
            left_s = deadline - time.monotonic()
            ready, _, _ = select.select([self._stderr], [], [], max(left_s, 0))
            assert ready, self.said
            self.said += os.read(self._stderr, 65_536).decode()
        return found

    def collect(self) -> ScriptedCollector:
        """Dial it."""
        address = self.wait_said(r"listening on (\S+)")[1]
        return ScriptedCollector(address)

    def interrupt(self) -> None:
        """Press Ctrl-C, and see it end in good order."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(WAIT_S) == 0


@contextmanager
def _hub(directory: Path, stderr: int, read: int, *options: str) -> Iterator[_Hub]:
    arguments = (
        *("--listen", "127.0.0.1:0", "--http", "off"),
        *("--state-dir", str(directory), *options),
    )
    process = subprocess.Popen(
        [PROGRAM, "hub", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=clean_environment(LINES="30", COLUMNS="70", TERM="xterm"),
    )
    try:
        yield _Hub(process, read)
    finally:
        process.kill()
        process.wait()


def _send(collector: ScriptedCollector, events: int) -> None:
    ring = collector.open(names=["tool.call.stop"])
    collector.wait_acked(collector.send(make_segment(0, events, ring)))


def test_a_terminal_is_drawn_over(tmp_path: Path) -> None:
    """In place, with what is logged above it; Ctrl-C leaves it as it was."""
    master, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    options = ("--status", "0.1", "--jsonl", str(tmp_path / "events.jsonl"))
    with _hub(tmp_path, terminal, master, *options) as hub:
        collector = hub.collect()
        _send(collector, 7)
        hub.wait_said(r"1 host connected.*tool\.call\.stop +7 ")
        collector.send_raw(b"\xff")  # it is logged, while the table is there
        hub.wait_said(r"ended: [^\n]*\n.*hub on .*streams ended for what they sent: 1")
        collector.cut()
        hub.interrupt()
        assert termios.tcgetattr(terminal) == before
    assert set(_CODES.findall(hub.said)) == {"\x1b[1A", "\x1b[2K"}
    lines = _CODES.sub("", hub.said).splitlines()
    tables = [line for line in lines if not re.match(r"\d{4}-|\(", line)]
    assert max(map(len, tables)) < 70
    os.close(master)
    os.close(terminal)


def test_a_log_gets_lines(tmp_path: Path) -> None:
    """One when something has happened, and none when nothing has."""
    read, write = os.pipe()
    with _hub(tmp_path, write, read, "--status", "0.1") as hub:
        hub.wait_said("INFO [^\n]*: 0 hosts connected; 0 events delivered")
        with connected(hub.wait_said(r"listening on (\S+)")[1]) as collector:
            _send(collector, 7)
            hub.wait_said(r"INFO [^\n]*: 1 host connected; 7 events delivered")
        hub.wait_said(r"0 hosts connected, 1 away; 7 events delivered \(0/s\)")
        hub.interrupt()
    assert "\x1b" not in hub.said
    lines = [line for line in hub.said.splitlines() if "events delivered" in line]
    said = [re.sub(r" \(\d+/s\)", "", line.partition(": ")[2]) for line in lines]
    assert all(one != other for one, other in pairwise(said))
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("status", ["soon", "nan", "1e9"])
def test_what_is_no_period_is_refused(status: str) -> None:
    """With what there is."""
    result = shmtel("hub", "--status", status)
    assert result.returncode == 2
    assert "'auto'" in result.stderr
