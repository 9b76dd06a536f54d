"""A few seeds of chaos; `make chaos SEEDS=200` runs as many as one likes.

Where a mount namespace is permitted the runs fill up disks as well.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.chaos.plan import NEEDS_DISK, Fault, make_plan
from support.chaos.points import COLLECTOR, HUB, POINTS
from support.native_build import NATIVE, core_with_points
from support.program import clean_environment

pytestmark = pytest.mark.timeout(300)

SECONDS = 4.0


def run_chaos(
    directory: Path, seed: int, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run one seed, as `make chaos` does."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "support.chaos", "--seed", str(seed)),
            *("--seconds", str(SECONDS), "--directory", str(directory)),
            *("--core", str(core_with_points()), *options),
        ],
        env=clean_environment(PYTHONPATH=str(NATIVE.parent)),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_wrong_after_chaos(tmp_path: Path, seed: int) -> None:
    """Whatever a seed does to the line, the oracle has nothing to say."""
    done = run_chaos(tmp_path / "runs", seed)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"seed {seed}: clean" in done.stdout


@pytest.mark.parametrize(
    ("sabotage", "words"),
    [("lie_in_a_segment", "left out as malformed"), ("deliver_later", "arrive")],
)
def test_sabotage_is_found(tmp_path: Path, sabotage: str, words: str) -> None:
    """A line that breaks a rule is reported for it, with all that was left."""
    done = run_chaos(tmp_path / "runs", 3, "--sabotage", sabotage)
    assert done.returncode == 1, done.stdout + done.stderr
    assert words in done.stdout
    found = re.search(r"all of it is in (\S+); again: make chaos SEED=3", done.stdout)
    assert found is not None, done.stdout
    kept = Path(found[1])
    assert (kept / "kept" / "hub" / "events.jsonl").exists()
    assert (kept / "flaws").read_text()
    assert (kept / "collector.log").exists()


def test_a_seed_is_a_plan() -> None:
    """The same seed does the same, another one something else."""
    assert make_plan(7, 10) == make_plan(7, 10)
    assert make_plan(7, 10) != make_plan(8, 10)


def test_seeds_cover_every_fault_and_point() -> None:
    """Two hundred of them leave nothing out."""
    plans = [make_plan(seed, 10) for seed in range(1, 201)]
    faults = {fault for plan in plans for fault in plan.faults()}
    assert faults == set(Fault)
    for program in (COLLECTOR, HUB):
        first_lives = [life for plan in plans for life in plan.lives[program][:3]]
        assert any(life.jumps for life in first_lives)
        arms = [arm for life in first_lives for arm in life.arms]
        assert any(arm.is_stop for arm in arms)
        points = {point.name for point in POINTS if point.program == program}
        assert {arm.point for arm in arms} == points


def test_without_disks_nothing_is_filled_up() -> None:
    """And everything else happens as it does with them."""
    for seed in range(20):
        whole, part = make_plan(seed, 10), make_plan(seed, 10, has_disks=False)
        rest = [act for act in whole.acts if act.fault not in NEEDS_DISK]
        assert list(part.acts) == rest
        assert whole.lives == part.lives
