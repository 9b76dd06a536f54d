"""`shmtel demo`: what it shows, and that it tells the truth with its exit code."""

import os

import pytest

from support.home import HOME
from support.program import shmtel


@pytest.mark.timeout(90)
def test_the_demonstration() -> None:
    """Every step holds, nothing is unaccounted, nothing is left behind."""
    result = shmtel("demo", "--workers", "3")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "FAIL" not in result.stdout
    assert result.stdout.count("  ok  ") >= 6
    assert "unaccounted" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_its_rings_are_gone_afterwards() -> None:
    """No demonstration leaves a ring in shared memory."""
    left = [name for name in os.listdir(HOME.directory) if ".demo-" in name]
    assert left == []
