"""Deadlines by their effect: what was there before is in force again, by itself."""

import time
from pathlib import Path

import pytest

from shmtel.cli.control_client import ControlClient, host_target
from shmtel.policy.model import Rule, Sampling, Selector, Toggle
from shmtel.wire.control import ChangeRequest, SetRule
from support.control_rounds import Rounds
from support.policy_draws import WAIT_MS
from support.processes import wait_until
from support.steered_line import SteeredLine

LIFETIME_MS = 1_500
EVERYBODY = Selector()


def _has_deadlines(line: SteeredLine) -> bool:
    """Ask the collector whether a rule is in force that is about to end."""
    soon_ns = time.time_ns() + 60 * 10**9
    with ControlClient(host_target(line.namespace, line.collector.socket)) as client:
        rules = [rule for layer in client.policy().layers for rule in layer.rules]
    return any(0 < rule.expires_ns < soon_ns for rule in rules)


def _have_passed(line: SteeredLine) -> bool:
    """Say whether the deadlines have passed by our clock, as the model sees them."""
    rules = [rule for layer in line.book.layers() for rule in layer.rules]
    soon_ns = time.time_ns() + 60 * 10**9
    return not any(time.time_ns() < rule.expires_ns < soon_ns for rule in rules)


@pytest.mark.parametrize("seed", range(2))
def test_deadlines_pass_with_the_hub_away(seed: int, tmp_path: Path) -> None:
    """Of the fleet's policy and of an overlay, under random rules that stay."""
    with SteeredLine(tmp_path) as line:
        run = Rounds(seed, line)
        for _ in range(5):
            run.change()
        for overlay, action in (("", Sampling(0.0)), ("trial", Toggle(False))):
            change = SetRule(Rule(EVERYBODY, action))
            line.change(ChangeRequest(change, WAIT_MS, LIFETIME_MS, overlay))
        assert _has_deadlines(line)
        line.hub.stop()
        wait_until(lambda: _have_passed(line) and not _has_deadlines(line))
        run.check("after the deadlines", between=line.start_hub)
        line.wait_connected()
        line.check_accounts()
