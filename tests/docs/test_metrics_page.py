"""The page of metrics against what the daemons expose."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from shmtel.endpoints.exposition import Family
from shmtel.hub.metrics import FAMILIES as HUB
from shmtel_collector.metrics import FAMILIES as COLLECTOR

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
ROW = re.compile(r"\| `(shmtel_\w+)` \| (\w+) \| ([^|]*) \|")


def _told(section: str) -> set[tuple[str, str, tuple[str, ...]]]:
    text = PAGE.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return {
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in ROW.findall(text)
    }


@pytest.mark.parametrize(
    ("section", "families"), [("Collector", COLLECTOR), ("Hub", HUB)]
)
def test_every_metric_is_on_the_page(section: str, families: Sequence[Family]) -> None:
    """Name, kind and labels, of each daemon; and nothing that is not exposed."""
    assert _told(section) == {(f.name, f.kind, f.labels) for f in families}


@pytest.mark.parametrize("families", [COLLECTOR, HUB])
def test_names_follow_the_habits_of_prometheus(families: Sequence[Family]) -> None:
    """One prefix, `_total` for what only grows, base units, and a help text."""
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.name.startswith("shmtel_")
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert not re.search(r"_(ms|ns|milliseconds|mb)(_|$)", family.name)
        assert family.text.endswith(".")


def test_what_to_watch_exists() -> None:
    """Expressions that are recommended name metrics that there are."""
    names = {family.name for family in (*COLLECTOR, *HUB)}
    text = PAGE.read_text().split("## What to watch")[1]
    watched = set(re.findall(r"shmtel_\w+", text))
    assert watched
    assert watched <= names
