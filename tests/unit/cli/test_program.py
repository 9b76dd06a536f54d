"""The program's own manners: help, version, usage, exit codes."""

import pytest

from shmtel.cli.errors import EXTRAS
from support.program import shmtel


def test_help_lists_every_verb() -> None:
    """The root's help names each verb with a line about it."""
    result = shmtel("--help")
    assert result.returncode == 0
    lines = result.stdout.partition("Commands:")[2].split("\n")
    shown = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert set(shown) == set(EXTRAS)
    assert all(shown.values())


@pytest.mark.parametrize("verb", sorted(EXTRAS))
def test_each_verb_has_help(verb: str) -> None:
    """`shmtel VERB --help` works and says how the verb is used."""
    result = shmtel(verb, "--help")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"Usage: shmtel {verb}")


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("stat", "--nonsense"), ("stat", "--namespace", "a/b"), ("run",)],
    ids=" ".join,
)
def test_wrong_use_exits_2(arguments: tuple[str, ...]) -> None:
    """A command line that makes no sense is refused on stderr."""
    result = shmtel(*arguments)
    assert result.returncode == 2
    assert result.stderr
    assert result.stdout == ""


def test_the_version_is_the_distribution_s() -> None:
    """`--version` prints name and version."""
    assert shmtel("--version").stdout.startswith("shmtel, version 0.")
