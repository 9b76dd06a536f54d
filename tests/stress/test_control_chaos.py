"""Control by its effect with many seeds: random policies, exact and under load."""

import os
from pathlib import Path

import pytest

from support import effect_scenarios

pytestmark = pytest.mark.stress

SEEDS = range(1_000, 1_000 + int(os.environ.get("SEEDS", "2")))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_arrives_is_what_the_model_says(seed: int, tmp_path: Path) -> None:
    """Twenty policies, each waited for, and every event as the model says."""
    effect_scenarios.exact(seed, tmp_path, rounds=20)


@pytest.mark.parametrize("seed", SEEDS)
def test_changes_under_load_tear_nothing(seed: int, tmp_path: Path) -> None:
    """A hundred changes while workers emit: no span torn, no ID split, no loss."""
    effect_scenarios.under_load(seed, tmp_path, changes=100)
