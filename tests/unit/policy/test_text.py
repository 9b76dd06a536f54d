"""Rules in words."""

import pytest

from shmtel.policy.model import Filter, Rule, Sampling, Selector, Toggle
from shmtel.policy.text import printable, rule_text


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule(Selector(), Toggle(True)), "toggle on"),
        (Rule(Selector("w-*"), Toggle(False)), "toggle off for worker=w-*"),
        (Rule(Selector(), Sampling(0.25)), "sampling 0.25"),
        (
            Rule(Selector("w", "p", "s", "n"), Sampling(1.0, ("a.*", "b"))),
            "sampling 1 of a.*, b for worker=w pool=p service=s node=n",
        ),
        (Rule(Selector(), Filter(("a",), ("b", "c"))), "filter allow a deny b, c"),
        (Rule(Selector(), Filter()), "filter nothing"),
        (Rule(Selector(), None), "a kind of rule that is not known here"),
    ],
)
def test_a_rule_in_words(rule: Rule, text: str) -> None:
    """Each kind is said with what it holds and whom it is for."""
    assert rule_text(rule) == text


def test_a_hostile_rule_is_harmless() -> None:
    """What cannot be printed is escaped, and the text is bounded."""
    text = rule_text(Rule(Selector("\x1b[2J"), Filter((), ("x" * 255,) * 64)))
    assert text.isprintable()
    assert len(text) < 300
    assert printable("é\n") == r"é\n"
