"""The hub's configuration file: what it says, and where it is wrong."""

from pathlib import Path

import pytest

from shmtel.errors import ConfigurationError
from shmtel.hub.bridges.statsd import StatsdSettings
from shmtel.hub.measures.defaults import default_metrics
from shmtel.hub.settings_file import HubSettings, read_settings

GOOD = """
default_metrics = false

[[metrics]]
kind = "counter"
name = "orders"
event = ["shop.order.*", "shop.basket.stop"]
tags = ["country", "plan"]
keep = { plan = ["pro*", "team"], is_test = false }

[[metrics]]
kind = "distribution"
name = "checkout.duration"
event = "shop.checkout.stop"
measurement = "duration"
unit = "ns->s"
buckets = [0.1, 1]
tags = { region = "country" }
series_max = 10
description = "Checkouts."
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a file."""
    return tmp_path / "hub.toml"


def test_it_says_what_python_says(path: Path) -> None:
    """Each kind with its own keys."""
    path.write_text(GOOD)
    settings = read_settings(path)
    orders, checkout = settings.metrics
    assert settings.default_metrics is False
    assert orders.patterns == ("shop.order.*", "shop.basket.stop")
    assert orders.keep == {"plan": ("pro*", "team"), "is_test": (False,)}
    assert checkout.buckets == (0.1, 1.0)
    assert (checkout.tags, checkout.series_max) == ({"region": "country"}, 10)


def test_an_empty_one_says_nothing(path: Path) -> None:
    """All is as without it."""
    path.write_text("")
    assert read_settings(path) == HubSettings()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "counter"', "", ":4: metric 1: `kind` is one of counter, sum, last"),
        ('kind = "counter"', 'kind = "count"', ":5: metric 1: `kind` is one of"),
        (
            "unit =",
            "units =",
            ":16: metric 2: unknown key 'units'; did you mean 'unit'",
        ),
        ('unit = "ns->s"', 'unit = "ns->h"', ":16: metric 2: `unit`: 'ns' is not"),
        ("buckets = [0.1, 1]", 'buckets = "x"', ":17: metric 2: `buckets` is a list"),
        ("[0.1, 1]", "[1, 0.1]", ":17: metric 2: `buckets` rise"),
        ("[0.1, 1]", "[true]", ":17: metric 2: `buckets` is a list of numbers"),
        ("series_max = 10", "series_max = 1.5", ":19: metric 2: `series_max` is a"),
        ('measurement = "duration"', "", ":11: metric 2: `measurement` is missing"),
        ('"checkout.duration"', '"orders"', ":11: metric 2: there are two metrics"),
        ('"orders"', '"shmtel.hub.x"', ":4: metric 1: metric 'shmtel.hub.x' would"),
        ("default_metrics", "defaults", ":2: unknown key 'defaults'; did you mean"),
        ("= false\n\n", "= 0\n\n", ":2: `default_metrics` is true or false, not 0"),
        ("[0.1, 1]", "[0.1, ", ":18: this is no TOML: "),
        ("[0.1, 1]", "[" * 5_000, ":1: it is nested too deeply; write it flat"),
    ],
)
def test_errors_name_file_line_and_cure(
    path: Path, old: str, new: str, message: str
) -> None:
    """So that nobody has to search."""
    assert GOOD.count(old) == 1
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigurationError) as raised:
        read_settings(path)
    assert str(raised.value).startswith(f"{path}{message}")


def test_a_clash_with_a_default_one_has_its_line(path: Path) -> None:
    """Unless the file says that there are none of these."""
    text = '[[metrics]]\nkind = "counter"\nname = "shmtel.events"\nevent = "x"\n'
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r":1: metric 1: there are two"):
        read_settings(path, default_metrics())
    path.write_text("default_metrics = false\n" + text)
    assert len(read_settings(path, default_metrics()).metrics) == 1


def test_one_that_is_not_there(path: Path) -> None:
    """It says how to name another."""
    with pytest.raises(ConfigurationError, match="--config"):
        read_settings(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('dialect = "x"', ":4: statsd: `dialect` is statsd or dogstatsd, not 'x'"),
        ("addr = 1", ":4: statsd: unknown key 'addr'; did you mean 'address'"),
        ('tags = { env = "prod" }', ":4: statsd: `tags` are of DogStatsD"),
    ],
)
def test_errors_of_the_table_for_statsd(path: Path, text: str, message: str) -> None:
    """They have their line, too."""
    path.write_text(f'default_metrics = true\n[statsd]\nprefix = "x"\n{text}\n')
    with pytest.raises(ConfigurationError) as raised:
        read_settings(path)
    assert str(raised.value).startswith(f"{path}{message}")


def test_where_metrics_are_sent(path: Path) -> None:
    """A table is enough, and what it says is read."""
    path.write_text('[statsd]\nprefix = "shop"\n')
    assert read_settings(path).statsd == StatsdSettings(prefix="shop")
