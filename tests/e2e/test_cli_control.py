"""`shmtel ctl` against a hub program, a collector program and a busy worker."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from support.line import Line, running_line
from support.program import shmtel


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """Give a hub, a collector and a worker that emits `a.b` and `c.d` for ever."""
    with running_line(tmp_path) as running:
        yield running


def _eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _control(line: Line, *arguments: str) -> dict[str, Any]:
    result = shmtel("ctl", *arguments, "--json", "--hub", line.hub)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


def _ring(line: Line) -> dict[str, Any]:
    result = shmtel("stat", "--json", "--namespace", line.namespace)
    rings = json.loads(result.stdout)["rings"]
    (ring,) = [ring for ring in rings if ring["worker_id"] == line.worker_id]
    return ring


def _grows(line: Line, counter: str) -> bool:
    before = _ring(line)[counter]
    return _eventually(lambda: _ring(line)[counter] > before, 5.0)


def test_toggle_off_and_on(line: Line) -> None:
    """A worker that is switched off counts its events as disabled, then goes on."""
    _control(line, "toggle", "off")
    assert _grows(line, "disabled")
    _control(line, "toggle", "on")
    assert _grows(line, "committed")


def test_sampling_of_a_pattern(line: Line) -> None:
    """At rate 0 the events of the pattern are sampled out, the others are kept."""
    _control(line, "sampling", "0", "a.*")
    assert _grows(line, "sampled_out")
    assert _grows(line, "committed")


def test_filter_by_deny(line: Line) -> None:
    """Denied events are counted as filtered."""
    _control(line, "filter", "--deny", "c.*")
    assert _grows(line, "filtered")
    assert _grows(line, "committed")


def test_filter_by_allow(line: Line) -> None:
    """What is not allowed is counted as filtered, until the filter is cleared."""
    _control(line, "filter", "--allow", "nothing.*")
    assert _grows(line, "filtered")
    _control(line, "filter", "--clear")
    assert _grows(line, "committed")


def test_another_worker_is_not_touched(line: Line) -> None:
    """A rule for other workers leaves this one alone."""
    _control(line, "toggle", "off", "--worker", "another-*")
    _control(line, "filter", "--deny", "c.*", "--worker", f"{line.worker_id}*")
    assert _grows(line, "filtered")
    assert _ring(line)["disabled"] == 0


def test_the_answer_names_the_version(line: Line) -> None:
    """Each rule makes a new version."""
    first = _control(line, "sampling", "0.5")
    second = _control(line, "sampling", "0.25")
    assert second["version"] == first["version"] + 1


@pytest.mark.parametrize(
    "arguments",
    [("sampling", "1.5"), ("sampling", "nan"), ("toggle", "perhaps"), ("filter",)],
    ids=" ".join,
)
def test_a_rule_that_makes_no_sense_exits_2(
    line: Line, arguments: tuple[str, ...]
) -> None:
    """A bad rate, state or filter is refused with a reason and no traceback."""
    result = shmtel("ctl", *arguments, "--hub", line.hub)
    assert result.returncode == 2
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_a_hub_that_is_not_there_exits_5() -> None:
    """The message names the address."""
    result = shmtel("ctl", "toggle", "on", "--hub", "127.0.0.1:1")
    assert result.returncode == 5
    assert "127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr


def _host(line: Line, *arguments: str) -> CompletedProcess[str]:
    """Ask the collector of this host, as without --hub."""
    return shmtel("ctl", *arguments, "--namespace", line.namespace)


def test_waiting_says_who_has_applied_it(line: Line) -> None:
    """By the hub and by the collector of the host, in the same words."""
    for ask in (_host, lambda line, *a: shmtel("ctl", *a, "--hub", line.hub)):
        result = ask(line, "sampling", "0.5", "--wait")
        assert result.returncode == 0, result.stderr
        assert re.fullmatch(r"applied by 1 of 1 worker in \d+ ms\n", result.stdout)


def test_an_overlay_reverts_by_itself(line: Line) -> None:
    """It acts at once, is shown with its time left, and is gone after it."""
    assert _host(line, "toggle", "off", "--for", "2s", "--wait").returncode == 0
    assert _grows(line, "disabled")
    shown = _host(line, "show").stdout
    assert "overlay 'local':" in shown
    assert re.search(r"toggle off  \((1s|less than 1s) left\)", shown)
    assert _grows(line, "committed")
    assert "toggle off" not in _host(line, "show").stdout


def test_what_is_in_force_is_explained_by_both(line: Line) -> None:
    """Hub and collector name the same rule for the same event."""
    _control(line, "sampling", "0.25", "a.*", "--wait")
    _host(line, "filter", "--deny", "c.*", "--overlay", "night", "--wait")
    expected = {
        "a.b": ("rate", 0.25, "fleet"),
        "c.d": ("denied", None, "night"),
    }
    for target in (("--hub", line.hub), ("--namespace", line.namespace)):
        result = shmtel("ctl", "show", "--effective", "busy", "--json", *target)
        (worker,) = json.loads(result.stdout)["workers"]
        found = {
            name: (event["says"], event["rate"], event["layer"])
            for name, event in worker["events"].items()
        }
        assert found == expected


def test_a_file_is_applied_and_reset(line: Line, tmp_path: Path) -> None:
    """All rules at once, and none."""
    file = tmp_path / "rules.toml"
    file.write_text('[[rules]]\ndeny = ["c.*"]\n[[rules]]\nrate = 0\n')
    assert _host(line, "apply", str(file), "--wait").returncode == 0
    assert _grows(line, "filtered")
    assert _grows(line, "sampled_out")
    assert _host(line, "remove", "filter", "--wait").returncode == 0
    assert _host(line, "reset", "--wait").returncode == 0
    assert _grows(line, "committed")
    result = _host(line, "remove", "filter")
    assert result.returncode == 2
    assert "there is no such rule" in result.stderr


def test_the_workers_of_a_host(line: Line) -> None:
    """The collector itself is none of them."""
    result = _host(line, "workers", "--json")
    (worker,) = json.loads(result.stdout)["workers"]
    assert worker["worker_id"] == "busy"
