"""How it is said what is measured of workers, and how often."""

from pathlib import Path

import pytest

from shmtel.errors import ConfigurationError
from shmtel_collector.measurements import (
    COSTLY,
    DEFAULT_MEASUREMENTS,
    MEASUREMENTS,
    interval_ns_of,
    resource_settings_of,
)
from shmtel_collector.settings_file import read_settings


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("1m30s", 90), ("1s", 1), ("0", 0), ("0s", 0)]
)
def test_intervals(text: str, seconds: int) -> None:
    """As other spans of time; 0 is never."""
    assert interval_ns_of(text) == seconds * 1_000_000_000


@pytest.mark.parametrize("text", ["", "10", "500ms", "-1s", "often"])
def test_no_intervals(text: str) -> None:
    """The text says what can be written instead."""
    with pytest.raises(ConfigurationError, match=r"or 0"):
        interval_ns_of(text)


def test_what_costs_is_measured_for_whoever_asks() -> None:
    """By default the kernel walks no page tables."""
    assert set(DEFAULT_MEASUREMENTS) == set(MEASUREMENTS) - set(COSTLY)
    assert resource_settings_of("5s", None).measurements == DEFAULT_MEASUREMENTS
    assert resource_settings_of("5s", ("uss",)).measurements == ("uss",)


def test_a_file_says_both(tmp_path: Path) -> None:
    """Its intervals are defaults of the flags, as its other keys are."""
    path = tmp_path / "c.toml"
    path.write_text(
        'status_interval = "5s"\n'
        '[resources]\ninterval = "1m"\nmeasurements = ["rss", "uss", "rss"]\n'
    )
    settings = read_settings(path)
    assert settings.values == {"status_interval": "5s", "resources_interval": "1m"}
    assert settings.measurements == ("rss", "uss")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('status_interval = "soon"', "soon"),
        ("resources = 1", "table"),
        ('[resources]\nintervall = "1s"', "did you mean 'interval'"),
        ('[resources]\ninterval = "1"', "interval"),
        ('[resources]\nmeasurements = ["heat"]', "'heat' is none of rss"),
        ('[resources]\nmeasurements = "rss"', "list"),
    ],
)
def test_a_file_that_is_wrong_is_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    """The error names the file, the place and the cure."""
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=complaint) as error:
        read_settings(path)
    assert str(path) in str(error.value)
