"""`shmtel catalog`: what it shows, and its exit codes."""

import json
from pathlib import Path

import pytest

from shmtel import catalog
from shmtel.cli.catalog_diff import differences
from shmtel.cli.catalog_text import document, event_lines, table_lines
from shmtel.cli.errors import ExitCode
from support.program import shmtel

OWN = """
[limits]
keys = 64
[[modes]]
pattern = "shop.*"
mode = "reject"
[events."shop.order"]
measurements = { total = "EUR" }
metadata = ["country"]
[events."tool.result_size"]
measurements = { rows = "1" }
"""
ADDED = [
    "+ shop.order: total (EUR), country",
    "~ tool.result_size: + rows (1)",
    "+ mode shop.*: reject",
    "~ limit keys: 1024 -> 64",
]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a file of a user."""
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    return path


def test_an_event_is_told_in_full(own: Path) -> None:
    """Each fact on a line, with the mode of what is not known of it."""
    known = catalog.load([own])
    entry = known.entry("shop.order")
    assert entry is not None
    name, blank, *facts = event_lines(known, entry)
    assert (name, blank) == ("shop.order", "")
    told = dict(line.split("  ", 1) for line in facts)
    assert told["measurements"] == "total (EUR)"
    assert told["metadata"].strip() == "country"
    assert told["mode"].strip() == "reject"
    assert told["from the hub"].startswith("node, ")


def test_many_events_are_a_table_by_layer(own: Path) -> None:
    """Layers in the order of the model, each event below its own."""
    lines = list(table_lines(catalog.load([own]).events.values()))
    titles = [line for line in lines if line.startswith("--")]
    assert titles == [
        *("-- infrastructure", "-- execution", "-- bridge", "-- shmtel"),
        "-- application",
    ]
    assert lines[-1].split()[:3] == ["shop.order", "point", "application"]
    assert len(lines) == 1 + len(titles) + len(catalog.load([own]).events)


def test_what_is_more_less_and_otherwise_is_told(own: Path, tmp_path: Path) -> None:
    """From shmtel's own catalog to a file's, back, and between two files."""
    mine, built_in = catalog.load([own]), catalog.load()
    assert list(differences(built_in, mine)) == ADDED
    assert list(differences(mine, built_in)) == [
        "- shop.order",
        "~ tool.result_size: - rows (1)",
        "- mode shop.*: reject",
        "~ limit keys: 64 -> 1024",
    ]
    assert list(differences(mine, mine)) == []
    other = tmp_path / "other.toml"
    other.write_text(
        OWN.replace("EUR", "ct").replace("metadata", 'kind = "sample"\nmetadata')
    )
    assert list(differences(mine, catalog.load([other]))) == [
        "~ shop.order: + total (ct), - total (EUR), kind 'point' -> 'sample'"
    ]


def test_the_document_is_json(own: Path) -> None:
    """Each event with its mode, and what is around them."""
    known = catalog.load([own])
    made = json.loads(json.dumps(document(known, known.events.values())))
    (event,) = [e for e in made["events"] if e["name"] == "shop.order"]
    assert event["measurements"] == {"total": "EUR"}
    assert event["mode"] == "reject"
    assert made["limits"]["keys"] == 64
    assert made["modes"] == [{"pattern": "shop.*", "mode": "reject"}]


def test_show_reads_what_the_variable_names(own: Path) -> None:
    """A name shows that event; a glob the table of those that match."""
    result = shmtel("catalog", "show", "shop.order", SHMTEL_CATALOG=str(own))
    assert result.returncode == ExitCode.OK, result.stderr
    assert result.stdout.startswith("shop.order\n")
    result = shmtel("catalog", "show", "*.result_size", "--catalog", str(own), "--json")
    (event,) = json.loads(result.stdout)["events"]
    assert event["measurements"] == {"bytes": "bytes", "rows": "1"}


def test_show_of_nothing_fails(own: Path) -> None:
    """With the nearest name."""
    result = shmtel("catalog", "show", "tool.result_sise")
    assert result.returncode == ExitCode.FAILED
    assert "did you mean tool.result_size?" in result.stderr
    assert result.stdout == ""


def test_check_says_what_a_file_adds(own: Path) -> None:
    """And so does diff; a file that adds nothing is said to."""
    for verb in ("check", "diff"):
        result = shmtel("catalog", verb, str(own))
        assert result.returncode == ExitCode.OK, result.stderr
        assert result.stdout.splitlines() == ADDED
    result = shmtel("catalog", "diff", str(own), str(own))
    assert (result.returncode, result.stdout) == (ExitCode.OK, "")
    assert "no difference" in result.stderr


def test_check_refuses_a_file_that_is_wrong(tmp_path: Path) -> None:
    """With file, line and cure, and the exit code of a wrong configuration."""
    path = tmp_path / "wrong.toml"
    path.write_text('\n[events."a"]\nmeasurments = {}\n')
    result = shmtel("catalog", "check", str(path))
    assert result.returncode == ExitCode.INVALID_CONFIGURATION
    assert f"{path}:3: " in result.stderr
    assert "did you mean 'measurements'?" in result.stderr
