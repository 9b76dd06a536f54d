"""Control by its effect with many seeds: exact, with restarts, and under load."""

import os
from pathlib import Path

import pytest

from support.control_load import run_load
from support.control_rounds import run_restarts, run_rounds

pytestmark = pytest.mark.stress

SEEDS = range(1_000, 1_000 + int(os.environ.get("SEEDS", "1")))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_arrives_is_what_the_policy_says(seed: int, tmp_path: Path) -> None:
    """After each of twenty changes every event of every worker obeys it."""
    run_rounds(seed, tmp_path, rounds=20)


@pytest.mark.parametrize("seed", SEEDS)
def test_policy_acts_while_hub_and_collector_are_away(
    seed: int, tmp_path: Path
) -> None:
    """What is emitted meanwhile obeys the policy too, also that of new workers."""
    run_restarts(seed, tmp_path, rounds=12)


@pytest.mark.parametrize("seed", SEEDS)
def test_changes_under_load_tear_nothing(seed: int, tmp_path: Path) -> None:
    """A hundred changes while workers emit: no span torn, no ID split, no loss."""
    run_load(seed, tmp_path, changes=100)
