"""Rules in configuration files."""

import pytest

from shmtel.errors import ConfigurationError
from shmtel.policy.model import Filter, Rule, Sampling, Selector, Toggle
from shmtel.policy.tables import rule_of_table, table_of_rule

RULES = [
    (Rule(Selector(), Toggle(False)), {"toggle": False}),
    (Rule(Selector("w-*"), Sampling(0.5)), {"worker": "w-*", "rate": 0.5}),
    (
        Rule(Selector(pool="p", node="n?"), Sampling(0.0, ("a.*", "b"))),
        {"pool": "p", "node": "n?", "rate": 0.0, "patterns": ["a.*", "b"]},
    ),
    (
        Rule(Selector(service="s"), Filter(("a",), ("b",))),
        {"service": "s", "allow": ["a"], "deny": ["b"]},
    ),
    (Rule(Selector(), Filter((), ("b",))), {"deny": ["b"]}),
    (Rule(Selector(), Filter()), {"allow": []}),
]


@pytest.mark.parametrize(("rule", "table"), RULES)
def test_a_rule_is_a_table_and_back(rule: Rule, table: dict[str, object]) -> None:
    """Every kind of rule with every selector, in both directions."""
    assert rule_of_table(table) == rule
    assert table_of_rule(rule) == table


def test_a_whole_number_is_a_rate() -> None:
    """TOML tells 1 from 1.0; who writes a file does not."""
    assert rule_of_table({"rate": 1}) == Rule(Selector(), Sampling(1.0))


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (
            {"rate": 0.1, "pattern": ["a"]},
            "unknown key 'pattern'; did you mean 'patter",
        ),
        ({"rate": 0.1, "workers": "a"}, "did you mean 'worker'"),
        ({"rate": 0.1, "zzz": "a"}, "known: worker, pool"),
        ({}, "either `toggle`"),
        ({"worker": "w"}, "either `toggle`"),
        ({"toggle": True, "rate": 0.5}, "either `toggle`"),
        ({"toggle": 0}, "true or false, not 0"),
        ({"rate": True}, "a number from 0 to 1, not True"),
        ({"rate": "0.5"}, "a number from 0 to 1, not '0.5'"),
        ({"patterns": ["a"]}, "a number from 0 to 1, not None"),
        ({"rate": 1.5}, "between 0 and 1"),
        ({"rate": float("nan")}, "between 0 and 1"),
        ({"rate": 0.5, "patterns": "a.*"}, "`patterns` is a list"),
        ({"deny": [1]}, "`deny` is a list"),
        ({"deny": [""]}, "1 to 255 characters"),
        ({"toggle": True, "worker": ["w"]}, "`worker` is a pattern in quotes"),
        ({"toggle": True, "worker": ""}, "1 to 255 characters"),
        ("toggle", "a table of keys"),
        ([], "a table of keys"),
    ],
)
def test_what_is_no_rule_is_refused(table: object, text: str) -> None:
    """The text says what is wrong, so that whoever wrote the file can mend it."""
    with pytest.raises(ConfigurationError) as refused:
        rule_of_table(table)
    assert text in str(refused.value)
