"""A scrape as text: foreign names are bounded, values of equal labels add up."""

import pytest

from shmtel.endpoints import exposition as module
from shmtel.endpoints.exposition import BUILD_INFO, Family, Samples, exposition
from shmtel.safe_text import LABEL_MAX, OTHER, label
from support.http import by_label, samples, total

FAMILIES = (
    Family("shmtel_things_total", "counter", "Things.", ("service", "reason")),
    Family("shmtel_fill", "gauge", "Fill."),
    BUILD_INFO,
)


def _text(values: Samples, accept: str = "") -> str:
    return exposition(FAMILIES, values, accept)[0].decode()


def test_values_come_back() -> None:
    """Counters and gauges stand under their names, with their labels."""
    values = Samples(FAMILIES)
    values.add_counts("shmtel_things_total", {"a": 1, "b": 2}, "shop")
    values.add("shmtel_things_total", 3, "shop", "a")
    values.add("shmtel_fill", 0.5)
    found = samples(_text(values))
    assert total(found, "shmtel_things_total", service="shop", reason="a") == 4
    assert total(found, "shmtel_things_total") == 6
    assert total(found, "shmtel_fill") == 0.5
    assert total(found, "shmtel_build_info") == 1
    assert total(found, "process_start_time_seconds") > 0


def test_a_family_without_values_is_named() -> None:
    """Who looks for a metric that has not counted yet finds that it exists."""
    text = _text(Samples(FAMILIES))
    assert "# TYPE shmtel_things_total counter" in text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain"),
        ("text/plain", "text/plain"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_the_format_is_agreed_on(accept: str, kind: str) -> None:
    """OpenMetrics is for those who ask for it."""
    body, content_type = exposition(FAMILIES, Samples(FAMILIES), accept)
    assert content_type.startswith(kind)
    assert body.endswith(b"# EOF\n") == (kind != "text/plain")


@pytest.mark.parametrize(
    "name", ['quo"te', "back\\slash", "new\nline", "\x1b[2J", "\ud800", "x" * 10_000]
)
def test_foreign_names_do_no_harm(name: str) -> None:
    """A worker cannot forge a line, drive a terminal, or make a scrape grow."""
    values = Samples(FAMILIES)
    values.add("shmtel_things_total", 1, name, "r")
    values.add("shmtel_things_total", 2, "other", "r")
    found = by_label(samples(_text(values)), "shmtel_things_total", "service")
    assert found == {label(name): 1, "other": 2}
    assert len(label(name)) <= LABEL_MAX
    assert label(name).isprintable()


def test_series_are_bounded() -> None:
    """What is beyond is not left out, it only has no name."""
    values = Samples(FAMILIES)
    for number in range(module.SERIES_MAX + 5):
        values.add("shmtel_things_total", 1, f"service-{number}", "r")
    series = values.of("shmtel_things_total")
    assert len(series) == module.SERIES_MAX + 1
    assert series[OTHER, OTHER] == 5
