"""Guard rails and the configuration file that they stand in."""

from pathlib import Path
from typing import Any

import pytest

from shmtel.errors import ConfigurationError
from shmtel.policy.model import GUARD, Filter, Layer, Rule, Sampling, Selector, Toggle
from shmtel_collector.guard import Guard, guard_of_table
from shmtel_collector.settings_file import read_settings


def _rule(action: Any, **selector: str) -> Rule:
    return Rule(Selector(**selector), action)


def test_every_way_to_write_a_limit() -> None:
    """Shorthands are for all workers; rules have selectors."""
    table = {
        "remote_control": False,
        "max_rate": 0.5,
        "deny": ["secret.*"],
        "rules": [
            {"worker": "w-*", "toggle": False},
            {"pool": "batch", "rate": 0.1, "patterns": ["db.*"]},
            {"node": "n", "service": "s", "allow": ["a.*"]},
        ],
    }
    rules = (
        _rule(Sampling(0.5)),
        _rule(Filter((), ("secret.*",))),
        _rule(Toggle(False), worker="w-*"),
        _rule(Sampling(0.1, ("db.*",)), pool="batch"),
        _rule(Filter(("a.*",)), node="n", service="s"),
    )
    guard = guard_of_table(table)
    assert guard == Guard(Layer(GUARD, rules, is_guard=True), remote_control=False)
    assert guard.is_set()


def test_no_limits() -> None:
    """An empty table limits nothing."""
    assert guard_of_table({}) == Guard()
    assert not Guard().is_set()


def test_no_limit_replaces_another() -> None:
    """Of two rates for the same the stricter holds, and patterns add up."""
    table = {
        "max_rate": 0.2,
        "deny": ["a"],
        "rules": [
            {"rate": 0.9},
            {"deny": ["b"]},
            {"worker": "w", "toggle": False},
            {"worker": "w", "toggle": False},
        ],
    }
    assert guard_of_table(table).layer.rules == (
        _rule(Sampling(0.2)),
        _rule(Filter((), ("a", "b"))),
        _rule(Toggle(False), worker="w"),
    )


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ([], "is a table"),
        ({"max_rat": 1}, "did you mean 'max_rate'"),
        ({"remote_control": "no"}, "`remote_control` is true or false"),
        ({"max_rate": 2}, "`max_rate`: a sampling rate is between 0 and 1"),
        ({"max_rate": "x"}, "`max_rate`: `rate` is a number"),
        ({"deny": "x"}, "`deny`: `deny` is a list"),
        ({"rules": {}}, r"\[\[guard.rules\]\]"),
        ({"rules": [{"toggle": False}, {"rat": 1}]}, "rule 2: .*'rate'"),
        ({"rules": [{"toggle": True}]}, "rule 1: a guard rail can only switch off"),
        ({"deny": ["x"] * 40, "rules": [{"deny": ["y"] * 40}]}, "at most 64"),
    ],
)
def test_wrong_limit_is_refused(table: object, text: str) -> None:
    """The text says which and why; a limit is never left out silently."""
    with pytest.raises(ConfigurationError, match=text):
        guard_of_table(table)


def test_file_holds_what_the_flags_do(tmp_path: Path) -> None:
    """Values by the name of the flag, and the limits."""
    path = tmp_path / "collector.toml"
    path.write_text(
        'hub = "h:1"\nnamespace = "web"\nsocket = "/s"\ncatalog = ["a", "b"]\n'
        "[guard]\nmax_rate = 0.5\n"
    )
    settings = read_settings(path)
    texts = {"hub": "h:1", "namespace": "web", "socket": "/s"}
    assert settings.values == {**texts, "catalog": ["a", "b"]}
    assert settings.guard.layer.rules == (_rule(Sampling(0.5)),)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"hub = ", "is not TOML"),
        (b"\xff", "is not TOML"),
        (b"hubb = 'x'", "did you mean 'hub'"),
        (b"hub = 1", "`hub` is a text in quotes"),
        (b"hub = ''", "`hub` is a text in quotes"),
        (b"catalog = 'x'", "`catalog` is a list of texts"),
        (b"catalog = ['']", "`catalog` is a text in quotes"),
        (b"namespace = 'a b'", "namespace 'a b' is refused"),
        (b"guard = 1", r"\[guard\]: `guard` is a table"),
        (b"[guard]\nmax_rate = 7", r"\[guard\]: `max_rate`"),
    ],
)
def test_wrong_file_is_refused(tmp_path: Path, content: bytes, text: str) -> None:
    """The error names the file and what is wrong in it."""
    path = tmp_path / "collector.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"collector.toml.*{text}"):
        read_settings(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that was named has to be there; without it the limits are missing."""
    with pytest.raises(ConfigurationError, match="--config"):
        read_settings(tmp_path / "none.toml")
