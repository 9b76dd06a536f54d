"""The dashboard is what its program makes, and asks for what there is."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.exposed import exposed, faults, groupings

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
TEXT = (GRAFANA / "shmtel.json").read_text()
DASHBOARD = json.loads(TEXT)
KNOWN = exposed()
# Ids of Grafana's, each with the ends of what it is right for.
UNITS = {
    "s": r"_seconds(_bucket|_count|_sum)?$",
    "bytes": r"_bytes(_count|_sum)?$",
    "Bps": r"_bytes(_total|_sum)$",
    "percentunit": r"_(ratio|bytes|fds|cpu_seconds_total)$",
    "eps": r"_total$",
    "cps": r"_(total|count)$",
    "ops": r"_total$",
    "short": r"(?<!_seconds)(?<!_bytes)$",
}
UNITLESS = {"changes", "shmtel_build_info"}


def panels() -> Iterator[dict[str, Any]]:
    """Return all panels, also those in closed rows."""
    for panel in DASHBOARD["panels"]:
        yield from (p for p in (panel, *panel.get("panels", [])) if p["type"] != "row")


def targets() -> list[Any]:
    """Return all expressions, each under the name of its panel."""
    return [
        pytest.param(panel, target, id=f"{panel['title']}-{target['refId']}")
        for panel in panels()
        for target in panel["targets"]
    ]


def test_it_is_what_its_program_makes() -> None:
    """Whoever changes a panel makes the file again, by `make dashboard`."""
    made = subprocess.run(
        [sys.executable, "-B", GRAFANA / "make_dashboard.py"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert made.stdout == TEXT


@pytest.mark.parametrize(("panel", "target"), targets())
def test_expressions_ask_for_what_is_exposed(panel: Any, target: Any) -> None:
    """Metrics and labels, also those that name the series."""
    expression = target["expr"]
    assert faults(expression, KNOWN) == []
    named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    left = groupings(expression)
    if left is None:
        metrics = [word for word in re.findall(r"\w+", expression) if word in KNOWN]
        left = KNOWN[metrics[0]]
    assert named <= left
    assert panel["type"] == "stat" or target["legendFormat"] != ""


@pytest.mark.parametrize(("panel", "target"), targets())
def test_units_are_those_of_the_metrics(panel: Any, target: Any) -> None:
    """Seconds are not shown as bytes, and a rate is one of something."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    expression = target["expr"]
    words = re.findall(r"\w+", expression)
    metrics = [word for word in words if word in KNOWN]
    if UNITLESS.isdisjoint(words):
        assert re.search(UNITS[unit], metrics[0]), metrics
    is_rate = "rate(" in expression and "histogram_quantile" not in expression
    assert is_rate or unit not in ("eps", "cps", "ops", "Bps")


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sum(rate(shmtel_event_total[5m]))", "nobody exposes shmtel_event_total"),
        ("shmtel_ready or shmtel_redy", "nobody exposes shmtel_redy"),
        ("summ(shmtel_ready)", "nobody exposes summ"),
        ("sum by (node) (shmtel_ready)", "shmtel_ready has no label node"),
        ('shmtel_events_total{evnt="a"}', "shmtel_events_total has no label evnt"),
        ("shmtel_worker_start_up_seconds", "nobody exposes shmtel_worker_start_up_s"),
        (
            "shmtel_ready and on (node) shmtel_fleet_host_connected",
            "shmtel_ready has no label node",
        ),
        (
            "shmtel_fleet_host_connected and on (node) shmtel_ready",
            "shmtel_ready has no label node",
        ),
        ("sum by (le) (shmtel_events_total)", "shmtel_events_total has no label le"),
    ],
)
def test_what_nobody_exposes_is_found(expression: str, fault: str) -> None:
    """Names of metrics, functions and labels, wherever they stand."""
    (found,) = faults(expression, KNOWN)
    assert found.startswith(fault)


def test_the_variables_choose_what_is_exposed() -> None:
    """Each has values of a label that there is, and each that is used exists."""
    variables = {v["name"]: v for v in DASHBOARD["templating"]["list"]}
    for variable in variables.values():
        if variable["type"] == "query":
            query = variable["query"]["query"]
            metric, label = re.fullmatch(
                r"label_values\((\w+), (\w+)\)", query
            ).groups()
            assert label in KNOWN[metric]
    used = set(re.findall(r"\$\{?([a-z]\w*)", TEXT))
    assert used == variables.keys()


def test_it_can_be_imported_anywhere() -> None:
    """No data source is written down, and ids and places are of one panel each."""
    assert set(re.findall(r'"uid": "([^"]*)"', TEXT)) == {"${datasource}", "shmtel"}
    everything = [
        p for row in DASHBOARD["panels"] for p in (row, *row.get("panels", []))
    ]
    ids = [panel["id"] for panel in everything]
    assert len(set(ids)) == len(ids)
    for row in (DASHBOARD, *DASHBOARD["panels"]):
        taken: set[tuple[int, int]] = set()
        for panel in row.get("panels", []):
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert taken.isdisjoint(cells), panel["title"]
            taken |= cells


def test_every_panel_says_what_to_make_of_it() -> None:
    """In sentences; and no two panels have one title."""
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
