"""The endpoints of the daemons as programs: on, off, and where somebody else is."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.http import get, samples, total
from support.program import fresh_namespace, shmtel, start_shmtel, stopped_at_exit

WAIT_S = 20.0


@pytest.fixture
def start(tmp_path: Path) -> Iterator["Start"]:
    """Start daemons that are ended with the test."""
    with ExitStack() as stack:
        namespace = stack.enter_context(fresh_namespace())
        yield Start(stack, namespace, tmp_path)


class Start:
    """Starts a hub or a collector, and reads what it says."""

    def __init__(self, stack: ExitStack, namespace: str, directory: Path) -> None:
        self._stack = stack
        self._namespace = namespace
        self._directory = directory
        self._count = 0

    def __call__(self, verb: str, http: str) -> subprocess.Popen[str]:
        """Start a daemon with its endpoints somewhere."""
        self._count += 1
        place = self._directory / f"{verb}-{self._count}"
        options = {
            "hub": ("--listen", f"unix:{place}.sock"),
            "collector": (
                *("--hub", "127.0.0.1:1", "--socket", f"{place}.ctl"),
                *("--namespace", f"{self._namespace}-{self._count}"),
            ),
        }[verb]
        arguments = (verb, "--state-dir", str(place), "--http", http, *options)
        return self._stack.enter_context(stopped_at_exit(start_shmtel(*arguments)))


def _said(process: subprocess.Popen[str], pattern: str) -> str:
    """Read what a daemon says until it says that."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        found = re.search(pattern, line)
        if found is not None:
            return found[1]
    raise AssertionError("".join(lines))


URL = r"metrics at (http://\S+)/metrics"


@pytest.mark.parametrize("verb", ["hub", "collector"])
def test_a_daemon_alone_is_alive_and_ready(start: Start, verb: str) -> None:
    """Without anybody on the other end it exposes its metrics all the same."""
    process = start(verb, "127.0.0.1:0")
    url = _said(process, URL)
    assert get(f"{url}/livez").status == 200
    assert get(f"{url}/readyz").status == 200
    values = samples(get(f"{url}/metrics").text)
    assert total(values, "shmtel_build_info") == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0


@pytest.mark.parametrize("verb", ["hub", "collector"])
def test_an_address_in_use_is_one_warning(start: Start, verb: str) -> None:
    """The daemon does its work without, and says what to do."""
    address = _said(start("hub", "127.0.0.1:0"), URL).removeprefix("http://")
    process = start(verb, address)
    warning = _said(process, "(no metrics over HTTP .*)")
    assert address in warning
    assert "--http off" in warning
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0


@pytest.mark.parametrize("verb", ["hub", "collector"])
def test_what_is_no_address_is_refused(verb: str) -> None:
    """A misspelt address is no reason to listen elsewhere."""
    result = shmtel(verb, "--http", "9748")
    assert result.returncode == 2
    assert "HOST:PORT" in result.stderr


def test_the_file_of_a_collector_may_say_where(tmp_path: Path) -> None:
    """A wrong address there stops the start as any other wrong value does."""
    path = tmp_path / "c.toml"
    path.write_text('http = "nowhere"\n')
    result = shmtel("collector", "--config", str(path))
    assert result.returncode == 6
    assert "HOST:PORT" in result.stderr
