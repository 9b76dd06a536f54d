"""The guide for StatsD says what there is."""

import re
from dataclasses import fields
from pathlib import Path

from shmtel.hub.bridges.statsd import StatsdSettings
from shmtel.hub.settings_file import read_settings

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "statsd.md"


def block(language: str) -> str:
    """Return the only block of a language."""
    text = GUIDE.read_text()
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)
    return str(code)


def test_its_keys_are_those_of_the_table() -> None:
    """All of them, in their order."""
    table = GUIDE.read_text().split("| key | means")[1].split("\n\n")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.M)
    assert named == [field.name for field in fields(StatsdSettings)]


def test_its_file_is_one(tmp_path: Path) -> None:
    """The hub reads it."""
    file = tmp_path / "hub.toml"
    file.write_text(block("toml"))
    settings = read_settings(file).statsd
    assert settings is not None
    assert (settings.dialect, settings.tags) == ("dogstatsd", {"env": "prod"})


def test_its_program_runs() -> None:
    """A hub with a bridge around it starts and ends."""
    defined: dict[str, object] = {}
    exec(block("python").replace(":4737", ":0"), defined)
    calls: list[None] = []
    run = defined["run"]
    assert callable(run)
    run(lambda: calls.append(None))
    assert len(calls) == 1
