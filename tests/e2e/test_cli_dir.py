"""`--dir`: every verb that finds rings finds them where they are put."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from shmtel.segments import POSIX, home_of
from support.line import wait_for_text
from support.processes import run_python, wait_until
from support.program import (
    fresh_namespace,
    json_lines,
    shmtel,
    start_shmtel,
    stopped_at_exit,
    worker_program,
)

EMIT = 'import shmtel; shmtel.emit("a.b", {"n": 1})'


@pytest.fixture
def directory() -> Iterator[str]:
    """A directory on a tmpfs."""
    with TemporaryDirectory(dir=POSIX.directory) as name:
        yield name


@pytest.fixture
def namespace(directory: str) -> Iterator[str]:
    """A namespace with the ring of a worker that has gone, in that directory."""
    with fresh_namespace() as name:
        run_python(EMIT, name, SHMTEL_DIR=directory)
        yield name


def _look(*arguments: str, **environment: str) -> str:
    result = shmtel(*arguments, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_observers_find_the_rings(namespace: str, directory: str) -> None:
    """stat, tail and ledger look where the flag says, or else the variable."""
    for where in ({"flag": ("--dir", directory)}, {"variable": directory}):
        flag = where.get("flag", ())
        variables = {"SHMTEL_DIR": where.get("variable", "/nowhere")}
        flags = ("--namespace", namespace, "--json", *flag)
        stat = json.loads(_look("stat", *flags, **variables))
        assert [ring["committed"] for ring in stat["rings"]] == [1]
        assert json.loads(_look("tail", "-d", *flags, **variables))["event"] == "a.b"
        ledger = json.loads(_look("ledger", *flags, **variables))
        assert ledger["total"]["in_ring"] == 1


def test_rings_elsewhere_are_not_seen(namespace: str) -> None:
    """A collector's home is one place; rings in another are none of its own."""
    flags = ("--namespace", namespace, "--json", "--dir", POSIX.directory)
    assert json.loads(_look("stat", *flags))["rings"] == []


def test_missing_directory_is_a_wrong_use(tmp_path: Path) -> None:
    """A directory that is not there is named, not taken for an empty one."""
    result = shmtel("stat", "--dir", str(tmp_path / "nowhere"))
    assert result.returncode == 2
    assert "nowhere" in result.stderr


@pytest.mark.parametrize("way", ["flag", "variable", "file"])
def test_collector_drains_the_directory(
    namespace: str, directory: str, tmp_path: Path, way: str
) -> None:
    """By flag, variable or configuration file it finds, delivers and removes."""
    hub, events = f"unix:{tmp_path / 'hub.sock'}", tmp_path / "events.jsonl"
    config = tmp_path / "collector.toml"
    config.write_text(f'dir = "{directory if way == "file" else "/nowhere"}"\n')
    # Without VARIABLES of the suite's own, which would count before the file.
    variables = {"SHMTEL_DIR": {"variable": directory, "file": ""}.get(way, "/nowhere")}
    flags = ("--dir", directory) if way == "flag" else ()
    listening = start_shmtel("hub", "--listen", hub, "--jsonl", str(events))
    collector = start_shmtel(
        *("collector", "--hub", hub, "--namespace", namespace, *flags),
        *("--state-dir", str(tmp_path), "--config", str(config)),
        *("--socket", str(tmp_path / "c.sock")),
        **variables,
    )
    with stopped_at_exit(listening), stopped_at_exit(collector):
        wait_for_text(events, "a.b")
        wait_until(lambda: home_of(directory).scan(namespace) == [])


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_run_hands_the_directory_on(tmp_path: Path, directory: str, way: str) -> None:
    """The program and its children make their rings there, and all is delivered."""
    program = worker_program(
        tmp_path / "worker.py",
        [
            f'assert os.environ["SHMTEL_DIR"] == "{directory}"',
            'shmtel.emit("parent", {})',
            f'assert any(".run-" in name for name in os.listdir("{directory}"))',
            'if os.fork() == 0: shmtel.emit("child", {}); os._exit(0)',
            "os.wait()",
        ],
    )
    events = tmp_path / "out.jsonl"
    flags = ("--dir", directory) if way == "flag" else ()
    variables = {"SHMTEL_DIR": directory if way == "variable" else "/nowhere"}
    arguments = ("--jsonl", str(events), *flags, "--", sys.executable, str(program))
    result = shmtel("run", *arguments, **variables)
    assert result.returncode == 0, result.stderr
    assert sorted(event["event"] for event in json_lines(events)) == ["child", "parent"]
    assert not any(".run-" in name.name for name in Path(directory).iterdir())
