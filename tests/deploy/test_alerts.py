"""The alerts ask for what there is, name a cure, and are tested and explained."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.exposed import TARGET, exposed, faults

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GROUPS = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
BY_REASON = TARGET | {"node", "reason"}
KNOWN = exposed() | {r["record"]: BY_REASON for r in RULES if "record" in r}
GUIDE = (ROOT / "docs" / "guides" / "monitoring.md").read_text()


def of_alerts() -> list[Any]:
    """Return the alerts, each under its name."""
    return [pytest.param(rule, id=rule["alert"]) for rule in ALERTS]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.get("alert", r.get("record")))
def test_expressions_ask_for_what_is_exposed(rule: dict[str, Any]) -> None:
    """Metrics and labels; a recorded series is known by its rule."""
    assert faults(rule["expr"], KNOWN) == []


@pytest.mark.parametrize("rule", of_alerts())
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    """In sentences, with labels that there are; and the guide explains it."""
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    texts = rule["annotations"]
    assert texts.keys() == {"summary", "description"}
    assert all(text.endswith(".") for text in texts.values())
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(texts.values())))
    metrics = [word for word in re.findall(r"[\w:]+", rule["expr"]) if word in KNOWN]
    assert named <= frozenset().union(*(KNOWN[metric] for metric in metrics))
    assert GUIDE.count(f"| `{rule['alert']}` |") == 1


def test_every_alert_is_seen_to_fire() -> None:
    """The scene in which everything is wrong has each of them."""
    tests = (PROMETHEUS / "alerts_test.yml").read_text()
    fires = set(re.findall(r'alertname="(\w+)", severity', tests))
    assert fires == {rule["alert"] for rule in ALERTS}


def test_the_example_s_jobs_are_those_of_the_alerts() -> None:
    """Who scrapes as the example does is told when a daemon is down."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    asked = {
        job for rule in RULES for job in re.findall(r'job="([^"]*)"', rule["expr"])
    }
    assert asked == jobs
