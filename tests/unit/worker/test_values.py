"""The table of docs/reference/values.md: what it says is what emit does."""

import re
from pathlib import Path
from typing import Any

import pytest

import shmtel
from support.own_ring import Event, OwnRing
from support.value_table import ABSENT, INVALID, ROWS, RULES

PAGE = Path(__file__).parents[3] / "docs/reference/values.md"
TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("|")
]
COLUMNS = TABLE[0][1:]
CELLS = {row[0]: dict(zip(COLUMNS, row[1:], strict=True)) for row in TABLE[2:]}


def test_table_and_examples_have_the_same_rows() -> None:
    """Each row of the page has its examples here, in the same order."""
    assert list(CELLS) == [label for label, _ in ROWS]


def test_each_word_of_the_table_has_a_meaning() -> None:
    """No cell says what is not checked, and no rule is left over."""
    assert {word for cells in CELLS.values() for word in cells.values()} == set(RULES)


def _cases(column: str) -> list[Any]:
    cases: list[Any] = []
    for label, examples in ROWS:
        for number, value in enumerate(examples):
            word = CELLS.get(label, {}).get(column, "its text")
            cases.append(pytest.param(value, word, id=f"{label} {number}"))
    return cases


def _arrived(ring: OwnRing, *arguments: Any) -> Event | None:
    """Emit, and return the event; None if it was counted as invalid instead."""
    before = shmtel.stats()
    shmtel.emit(*arguments)
    after = shmtel.stats()
    events = ring.events()
    assert after["emitted"] == before["emitted"] + 1
    is_invalid = after["dropped"]["invalid"] - before["dropped"]["invalid"]
    assert len(events) + is_invalid == 1
    return events[0] if events else None


def _same(one: Any, other: Any) -> bool:
    """Compare what == does not tell apart, and what it does: types, -0.0, NaN."""
    return (type(one), repr(one)) == (type(other), repr(other))


def _check(event: Event | None, word: str, value: Any, take: Any) -> None:
    expected = RULES[word](value)
    if expected is INVALID:
        assert event is None
        return
    assert event is not None
    found = take(event)
    assert _same(found, None if expected is ABSENT else expected), (found, expected)


@pytest.mark.parametrize(("value", "word"), _cases("in metadata"))
def test_in_metadata(ring: OwnRing, value: Any, word: str) -> None:
    """A value of metadata arrives as the table says, whatever stands beside it."""
    event = _arrived(ring, "e", {}, {"before": 1, "value": value, "after": [2]})
    assert event is not None
    assert event.metadata is not None
    assert (event.metadata["before"], event.metadata["after"]) == (1, [2])
    _check(event, word, value, lambda event: event.metadata["value"])


@pytest.mark.parametrize(("value", "word"), _cases("as a measurement"))
def test_as_a_measurement(ring: OwnRing, value: Any, word: str) -> None:
    """A measurement is a number, as the table says, or the event is none."""
    event = _arrived(ring, "e", {"value": value, "n": 1})
    _check(event, word, value, lambda event: event.measurements["value"])


@pytest.mark.parametrize(("value", "word"), _cases("as a key"))
def test_as_a_key(ring: OwnRing, value: Any, word: str) -> None:
    """Keys are text, as the table says, in both maps and at any depth."""
    try:
        key = {value: 2}
    except Exception:  # what cannot be hashed is no key
        key = None
    if key is None:
        return
    event = _arrived(ring, "e", key, {"inner": [key]} | key)
    _check(event, word, value, lambda event: next(iter(event.measurements)))
    _check(event, word, value, lambda event: list(event.metadata)[1])
    _check(event, word, value, lambda event: next(iter(event.metadata["inner"][0])))


@pytest.mark.parametrize(("value", "word"), _cases("as an event's name"))
def test_as_a_name(ring: OwnRing, value: Any, word: str) -> None:
    """Only a text names an event."""
    _check(_arrived(ring, value, {}), word, value, lambda event: event.name)


@pytest.mark.parametrize(("value", "word"), _cases("as a correlation ID"))
def test_as_a_correlation_id(ring: OwnRing, value: Any, word: str) -> None:
    """A correlation ID is text, as the table says, or the event is none."""
    event = _arrived(ring, "e", {}, None, value)
    _check(event, word, value, lambda event: event.correlation_id)


def test_links() -> None:
    """There is one table, and the README and the guide lead to it."""
    root = PAGE.parents[2]
    for page in ("README.md", "docs/guides/worker.md"):
        assert "reference/values.md" in (root / page).read_text()
    others = set(root.glob("docs/**/*.md")) - {PAGE}
    assert not [
        page for page in others if re.search(r"^\| .*Decimal", page.read_text())
    ]
