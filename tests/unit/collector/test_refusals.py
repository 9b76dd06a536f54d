"""Counts of refused rings, as text and over restarts."""

from pathlib import Path

import pytest

from shmtel_collector.refusals import Refusals, from_text, to_text
from shmtel_collector.state import State, read_refusals


def test_counts_survive_as_text() -> None:
    """What was written is what is read."""
    refusals = Refusals({"link": 2}, {"names": 1})
    assert from_text(to_text(refusals)) == refusals


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "no json",
        "[]",
        "3",
        '{"refused": 3}',
        '{"refused": {"a": "b", "c": -1}}',
    ],
)
def test_what_is_no_count_is_none(text: str | None) -> None:
    """Counts only inform: a damaged text must not keep a collector from its start."""
    assert from_text(text) == Refusals()


def test_counts_add_up_over_restarts(tmp_path: Path) -> None:
    """The next collector goes on where the last one stood."""
    path = tmp_path / "ns.db"
    assert read_refusals(path) == Refusals()
    for _ in range(2):
        state = State(path)
        state.note_refusals(state.refusals_before.plus({"link": 1}, {"names": 2}))
        state.close()
    assert read_refusals(path) == Refusals({"link": 2}, {"names": 4})
