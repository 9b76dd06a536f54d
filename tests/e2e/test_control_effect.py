"""Control by its effect: what the hub receives, against a naive model of policies.

256 event names, forked workers, a real hub and a real collector; `make
control-chaos` does the same with many more seeds.
"""

from pathlib import Path

import pytest

from support import effect_scenarios


@pytest.mark.parametrize("seed", range(3))
def test_what_arrives_is_what_the_model_says(seed: int, tmp_path: Path) -> None:
    """After a change was waited for, event by event, also of late workers."""
    effect_scenarios.exact(seed, tmp_path, rounds=6)


@pytest.mark.parametrize("seed", range(2))
def test_changes_under_load_tear_nothing(seed: int, tmp_path: Path) -> None:
    """Spans have both ends or none, IDs outside the band are whole or absent."""
    effect_scenarios.under_load(seed, tmp_path, changes=30)
