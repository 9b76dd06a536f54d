"""The page of metrics against what the daemons expose."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from shmtel.endpoints.exposition import Family
from shmtel.hub.measures import Metric
from shmtel.hub.measures.conditions import conditions_of
from shmtel.hub.measures.defaults import default_metrics
from shmtel.hub.measures.instrument import Instrument
from shmtel.hub.measures.names import family_name, label_names
from shmtel.hub.metrics import FAMILIES as HUB
from shmtel.hub.settings_file import read_settings
from shmtel_collector.metrics import FAMILIES as COLLECTOR

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference" / "metrics.md"
GUIDE = DOCS / "guides" / "metrics.md"
KINDS = {
    "counter": ("counter", "_total"),
    "sum": ("counter", "_total"),
    "last_value": ("gauge", ""),
    "summary": ("summary", ""),
    "distribution": ("histogram", ""),
}
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


def test_every_default_metric_is_on_the_page() -> None:
    """As Prometheus sees it: name, kind and labels."""
    exposed = {
        (family_name(m) + KINDS[m.kind][1], KINDS[m.kind][0], label_names(m))
        for m in default_metrics()
    }
    assert _told("Events") == exposed
    taken = {f.name.removesuffix("_total") for f in (*COLLECTOR, *HUB)}
    assert taken.isdisjoint(map(family_name, default_metrics()))


def test_the_guide_s_definitions_are_ones(tmp_path: Path) -> None:
    """In Python and in a file, and both are the same."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(), re.S | re.M)
    (python,) = (code for language, code in blocks if language == "python")
    attached: list[Metric] = []

    class Hub:
        def __init__(self, _address: str) -> None:
            self.attach_metrics = attached.extend

    exec(python.replace("import Hub, measures", "import measures"), {"Hub": Hub})
    file = tmp_path / "hub.toml"
    file.write_text(next(code for _, code in blocks if "[[metrics]]" in code))
    read = read_settings(file).metrics
    told = [Instrument(metric).fingerprint for metric in attached]
    assert told == [Instrument(metric).fingerprint for metric in read]
    conditions = next(code for language, code in blocks if code.startswith("keep"))
    conditions_of(tomllib.loads(conditions)["keep"])


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
