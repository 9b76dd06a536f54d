"""`shmtel ctl`: what it asks for, and how it says what it was answered.

The other side is a service whose answers the test decides.
"""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from shmtel.policy.model import (
    Filter,
    PolicyStatus,
    Rejection,
    Rule,
    Sampling,
    Selector,
    Toggle,
    Traits,
    WorkerResult,
)
from shmtel.wire.control import (
    ChangeReport,
    ChangeRequest,
    HostReport,
    RemoveRule,
    ReplaceRules,
    SetRule,
    SetRules,
)
from support.control_server import ControlServer, ctl, serving

MINUTE_NS = 60_000_000_000
ANYBODY = Selector()


def _ask(runtime: Path, server: ControlServer, *arguments: str) -> ChangeRequest:
    result = ctl(runtime, *arguments)
    assert result.returncode == 0, result.stderr
    return server.changes[-1]


def _json(runtime: Path, *arguments: str) -> dict[str, Any]:
    document = json.loads(ctl(runtime, *arguments, "--json").stdout)
    assert isinstance(document, dict)
    return document


EVERYBODY = Rule(ANYBODY, Toggle(False))
CHANGES = [
    ("toggle off", SetRule(EVERYBODY)),
    ("toggle on --pool p", SetRule(Rule(Selector(pool="p"), Toggle(True)))),
    (
        "sampling 0.5 a.* b --worker w --service s --node n",
        SetRule(
            Rule(Selector("w", service="s", node="n"), Sampling(0.5, ("a.*", "b")))
        ),
    ),
    (
        "sampling 0.1 --keep-errors",
        SetRules(
            (
                Rule(ANYBODY, Sampling(0.1)),
                Rule(ANYBODY, Sampling(1.0, ("*.exception",))),
            )
        ),
    ),
    (
        "filter --allow a --allow b --deny c",
        SetRule(Rule(ANYBODY, Filter(("a", "b"), ("c",)))),
    ),
    ("filter --clear", SetRule(Rule(ANYBODY, Filter()))),
    ("remove toggle", RemoveRule(Rule(ANYBODY, Toggle(True)))),
    (
        "remove sampling a.* --worker w",
        RemoveRule(Rule(Selector("w"), Sampling(1.0, ("a.*",)))),
    ),
    ("remove filter", RemoveRule(Rule(ANYBODY, Filter()))),
    ("reset", ReplaceRules()),
]


@pytest.mark.parametrize(("line", "change"), CHANGES, ids=[line for line, _ in CHANGES])
def test_a_verb_asks_for_its_change(
    runtime: Path, server: ControlServer, line: str, change: object
) -> None:
    """Each verb becomes one change, for this host's collector by default."""
    request = _ask(runtime, server, *line.split())
    assert request == ChangeRequest(change)  # type: ignore[arg-type]


def test_how_long_how_patient_and_where(runtime: Path, server: ControlServer) -> None:
    """Deadline, wait and overlay go along with any change."""
    line = "toggle off --for 1h30m --wait=2.5 --overlay night"
    request = _ask(runtime, server, *line.split())
    assert request.lifetime_ms == 5_400_000
    assert request.wait_ms == 2_500
    assert request.overlay == "night"
    assert _ask(runtime, server, "toggle", "on", "--wait").wait_ms == 5_000


def test_a_file_of_rules(runtime: Path, server: ControlServer, tmp_path: Path) -> None:
    """All rules are replaced by those of the file, in its order."""
    file = tmp_path / "rules.toml"
    file.write_text(
        '[[rules]]\ntoggle = false\nworker = "w"\n[[rules]]\nrate = 0.5\n'
        'patterns = ["a.*"]\n[[rules]]\ndeny = ["b"]\n'
    )
    assert _ask(runtime, server, "apply", str(file)).change == ReplaceRules(
        (
            Rule(Selector("w"), Toggle(False)),
            Rule(ANYBODY, Sampling(0.5, ("a.*",))),
            Rule(ANYBODY, Filter((), ("b",))),
        )
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate = 0.5", "unknown key 'rate'"),
        ("", "write each as a table [[rules]]"),
        ("rules = 5", "write each as a table [[rules]]"),
        ("[[rules]]\ntoggle = true\n[[rules]]\nrate = 2", "rule 2: a sampling rate"),
        ("[[rules]]\ntogle = true", "rule 1: unknown key 'togle'; did you mean 'tog"),
        ("[[rules]", "is no TOML"),
        ("\x00", "is no TOML"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(
    runtime: Path, server: ControlServer, tmp_path: Path, text: str, said: str
) -> None:
    """The message names the file and the rule, and nothing is asked for."""
    file = tmp_path / "rules.toml"
    file.write_text(text)
    result = ctl(runtime, "apply", str(file))
    assert result.returncode == 2
    assert said in result.stderr
    assert str(file) in result.stderr
    assert server.changes == []


def test_a_file_that_is_not_there(runtime: Path, server: ControlServer) -> None:
    """It is named."""
    result = ctl(runtime, "apply", "/nowhere/rules.toml")
    assert result.returncode == 1
    assert "/nowhere/rules.toml" in result.stderr


def _answered(*workers: WorkerResult, rejection: Rejection | None = None) -> HostReport:
    status = PolicyStatus("origin", 7, rejection, "origin", 7, workers)
    return HostReport("node-1", "id", status)


GOOD = WorkerResult(b"1" * 16, Traits("w-1"))
BAD = WorkerResult(b"2" * 16, Traits("w-2"), "its ring is damaged")
MISSING = HostReport("node-2", "id-2", None, "its stream has ended")


@pytest.mark.parametrize(
    ("hosts", "code", "said"),
    [
        ((_answered(GOOD, GOOD),), 0, ["applied by 2 of 2 workers in 12 ms"]),
        (
            (_answered(GOOD, BAD),),
            1,
            ["applied by 1 of 2 workers in 12 ms", "w-2", "its ring is damaged"],
        ),
        (
            (_answered(rejection=Rejection(3, "no")), _answered(GOOD)),
            1,
            ["rule 3", "rejected", "no"],
        ),
        ((_answered(GOOD), MISSING), 7, ["node-2", "its stream has ended"]),
    ],
    ids=["all", "not all", "rejected", "no answer"],
)
def test_waiting_tells_who_and_who_not(
    runtime: Path,
    server: ControlServer,
    hosts: tuple[HostReport, ...],
    code: int,
    said: list[str],
) -> None:
    """The exit code tells scripts what the text tells people."""
    server.report = ChangeReport("origin", 7, hosts, 12_000_000)
    result = ctl(runtime, "toggle", "off", "--wait")
    assert result.returncode == code
    assert all(text in result.stdout for text in said), result.stdout


def test_without_waiting_nothing_is_claimed(
    runtime: Path, server: ControlServer
) -> None:
    """Who has not waited learns the version, and how to wait."""
    server.report = ChangeReport("origin", 7, (_answered(BAD),))
    result = ctl(runtime, "toggle", "off")
    assert result.returncode == 0
    assert "version 7" in result.stdout
    assert "applied" not in result.stdout.replace("has applied", "")
    document = _json(runtime, "toggle", "off")
    assert (document["waited"], document["complete"]) == (False, None)


def test_a_change_as_json(runtime: Path, server: ControlServer) -> None:
    """Scripts get the numbers, and each host's answer."""
    server.report = ChangeReport("origin", 7, (_answered(GOOD, BAD), MISSING), 5)
    document = _json(runtime, "toggle", "off", "--wait")
    assert document["schema"] == "shmtel/ctl/change/v1"
    assert (document["version"], document["complete"]) == (7, False)
    assert (document["applied"], document["workers"]) == (1, 2)
    first, second = document["hosts"]
    assert first["status"]["workers"][1]["failure"] == "its ring is damaged"
    assert second["status"] is None
    assert second["missing"] == "its stream has ended"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.PERMISSION_DENIED, 4),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 7),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 1),
        (grpc.StatusCode.UNKNOWN, 1),
    ],
)
def test_a_refusal_has_an_exit_code(
    runtime: Path, server: ControlServer, status: grpc.StatusCode, code: int
) -> None:
    """What the other side says is said, with the code that scripts rely on."""
    server.refusal = (status, "that is why")
    result = ctl(runtime, "toggle", "off", "--wait")
    assert result.returncode == code
    assert "that is why" in result.stderr
    assert "Traceback" not in result.stderr


def test_no_collector_on_this_host(runtime: Path) -> None:
    """The message names the namespace, the socket, and the cures."""
    result = ctl(runtime, "show")
    assert result.returncode == 5
    assert len(result.stderr.splitlines()) == 1
    for text in ("'there'", "there.sock", "shmtel collector", "--hub"):
        assert text in result.stderr


def test_a_socket_that_nobody_serves(runtime: Path) -> None:
    """What a killed collector left behind is not taken for one."""
    with serving(runtime / "x.sock"):
        (runtime / "there.sock").hardlink_to(runtime / "x.sock")
    result = ctl(runtime, "show")
    assert result.returncode == 5
    assert "nobody listens there" in result.stderr


@pytest.mark.parametrize(
    "line",
    [
        "sampling 1.5",
        "sampling nan",
        "sampling 0.5 --wait=nan",
        "sampling 0.5 --wait=0",
        "toggle perhaps",
        "filter",
        "filter --clear --deny a",
        "remove toggle a.*",
        "remove everything",
        "toggle on --for 10",
        "toggle on --for 0s",
        "toggle on --for 10y",
        "toggle on --for 400d",
        "toggle on --for 10m5",
        "toggle on --hub h:1 --overlay night",
        "toggle on --hub h:1 --socket /s",
        "reset --for 10m",
    ],
)
def test_wrong_usage_asks_for_nothing(
    runtime: Path, server: ControlServer, line: str
) -> None:
    """Exit code 2, the reason, and no change."""
    result = ctl(runtime, *line.split())
    assert result.returncode == 2
    assert result.stderr
    assert "Traceback" not in result.stderr
    assert server.changes == []
