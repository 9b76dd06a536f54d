"""Control judged by its effect: what arrives is what a naive model says.

Random policies are set through the `Control` service of hub and collector; after
each call has returned, forked workers emit, and the hub's events are compared
with the model, one by one. `make control-chaos SEEDS=` runs more of the same.
"""

from pathlib import Path

import pytest

from support.control_load import run_load
from support.control_rounds import run_restarts, run_rounds


@pytest.mark.parametrize("seed", range(3))
def test_what_arrives_is_what_the_policy_says(seed: int, tmp_path: Path) -> None:
    """After a change has returned, each event and span of each worker obeys it."""
    run_rounds(seed, tmp_path, rounds=10)


def test_policy_acts_while_hub_and_collector_are_away(tmp_path: Path) -> None:
    """What is emitted meanwhile obeys the policy too, also that of new workers."""
    run_restarts(0, tmp_path, rounds=6)


@pytest.mark.parametrize("seed", range(2))
def test_changes_under_load_tear_nothing(seed: int, tmp_path: Path) -> None:
    """Spans have both ends or none, IDs outside the band are whole or absent."""
    run_load(seed, tmp_path, changes=40)
