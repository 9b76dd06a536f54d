"""`shmtel ctl show` and `ctl workers`: rules, words and workers for people.

The other side is a service whose answers the test decides.
"""

import json
import time
from pathlib import Path
from typing import Any

from shmtel import _ring
from shmtel.policy.model import (
    Filter,
    Layer,
    PolicyStatus,
    Rejection,
    Rule,
    Sampling,
    Selector,
    Toggle,
)
from shmtel.policy.verdicts import Verdict
from shmtel.wire.control import Explanation, HostReport, PolicyReport, WorkerStatus
from shmtel.wire.frames import Worker
from support.control_server import ControlServer, ctl

MINUTE_NS = 60_000_000_000
ANYBODY = Selector()
EVERYBODY = Rule(ANYBODY, Toggle(False))


def _json(runtime: Path, *arguments: str) -> dict[str, Any]:
    document = json.loads(ctl(runtime, *arguments, "--json").stdout)
    assert isinstance(document, dict)
    return document


def test_the_rules_by_layer(runtime: Path, server: ControlServer) -> None:
    """Layers, deadlines, covered rules, and what hosts made of them."""
    now_ns = time.time_ns()
    rules = (
        Rule(ANYBODY, Sampling(0.5)),
        Rule(ANYBODY, Sampling(0.25), now_ns + 10 * MINUTE_NS + 10**10),
    )
    guard = Layer("guard", (Rule(ANYBODY, Filter((), ("secret.*",))),), True)
    status = PolicyStatus("origin", 7, Rejection(2, "why"), "origin", 6)
    server.policy = PolicyReport(
        "origin",
        7,
        (Layer("fleet", rules), Layer("night", (EVERYBODY,)), guard),
        (HostReport("node-1", "id", status),),
    )
    text = ctl(runtime, "show").stdout
    lines = [line.strip() for line in text.splitlines()]
    assert "the fleet's policy:" in lines
    assert "1  sampling 0.5  (covered by rule 2)" in lines
    assert "2  sampling 0.25  (10m left)" in [
        line.replace("10m 9s", "10m").replace("10m 8s", "10m") for line in lines
    ]
    assert "overlay 'night':" in lines
    assert "1  toggle off" in lines
    assert "the guard rails of the host:" in lines
    assert "node-1: version 6 in force" in lines
    assert "version 7 rejected: rule 2: why" in lines
    document = _json(runtime, "show")
    assert document["schema"] == "shmtel/ctl/policy/v1"
    assert document["layers"][0]["rules"][0] == {"rate": 0.5, "expires_ns": 0}
    assert document["layers"][2]["guard"] is True
    assert document["hosts"][0]["status"]["rejection"] == {"rule": 2, "reason": "why"}


def _explained() -> Explanation:
    rate = Rule(ANYBODY, Sampling(0.25), time.time_ns() + 2 * MINUTE_NS - 10**9)
    deny = Rule(ANYBODY, Filter((), ("secret.*",)))
    return Explanation(
        node="node-1",
        worker=Worker("w-1", "web", "shop", 42, worker_index=3),
        ring_id=b"1" * 16,
        enabled=Verdict(_ring.RING_ON),
        other=Verdict(_ring.WORD_UNSET),
        events={
            "a.b": Verdict(3 << 30, "night", rate),
            "evil\x1b[2J": Verdict(_ring.WORD_KEEP_NONE, "fleet", rate),
            "secret.x": Verdict(_ring.WORD_DENIED, "guard", deny),
            "zero": Verdict(0, "fleet", Rule(ANYBODY, Sampling(1.0))),
        },
    )


def test_what_is_in_force_is_explained(runtime: Path, server: ControlServer) -> None:
    """For each name its word in human terms, the rule, its layer and time left."""
    server.explanations = [_explained()]
    text = ctl(runtime, "show", "--effective", "w-*").stdout
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "worker w-1 pool web service shop node node-1 pid 42" in lines
    assert "telemetry on: no rule" in lines
    assert "a.b rate 0.25 overlay 'night': sampling 0.25 (1m 58s left)" in [
        line.replace("1m 57s", "1m 58s") for line in lines
    ]
    guarded = "secret.x denied the guard rails of the host: filter deny secret.*"
    assert guarded in lines
    assert "zero all kept the fleet's policy: sampling 1" in lines
    assert "(any other name) as the worker says the worker's own setting" in lines
    assert any("none kept (rate 0)" in line for line in lines)
    assert "\x1b" not in text


def test_what_is_in_force_as_json(runtime: Path, server: ControlServer) -> None:
    """The same for scripts, with the words themselves."""
    server.explanations = [_explained()]
    document = _json(runtime, "show", "--effective", "*")
    assert document["schema"] == "shmtel/ctl/effective/v1"
    (worker,) = document["workers"]
    assert (worker["worker_id"], worker["worker_index"]) == ("w-1", 3)
    assert worker["enabled"] == {"on": True, "word": 1, "layer": None, "rule": None}
    event = worker["events"]["a.b"]
    assert (event["says"], event["rate"], event["layer"]) == ("rate", 0.25, "night")
    assert worker["events"]["secret.x"]["says"] == "denied"
    assert worker["other"]["says"] == "own"


def test_nobody_to_explain(runtime: Path, server: ControlServer) -> None:
    """A glob that matches no worker is answered, not with an empty page."""
    result = ctl(runtime, "show", "--effective", "nobody-*")
    assert result.returncode == 1
    assert "no worker matches 'nobody-*'" in result.stderr


def test_the_workers(runtime: Path, server: ControlServer) -> None:
    """A line per ring, and all of it as JSON."""
    worker = Worker("w-1", "web", "", 42)
    server.workers = [WorkerStatus("node-1", worker, b"1" * 16, 9, {}, False)]
    row = ctl(runtime, "workers").stdout.splitlines()[1].split()
    assert row == ["w-1", "web", "-", "node-1", "live", "42", "-", "9"]
    (entry,) = _json(runtime, "workers")["workers"]
    assert (entry["pool_name"], entry["worker_index"]) == ("web", None)
