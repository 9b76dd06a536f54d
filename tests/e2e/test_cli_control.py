"""`shmtel ctl` against a hub program, a collector program and a busy worker."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
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
