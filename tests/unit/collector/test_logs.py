"""A condition that lasts is one line, not many."""

import logging

import pytest

from shmtel_collector.logs import MAX_CONDITIONS, REPEAT_SECONDS, ConditionLog


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_repeats_are_held_back_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Within a minute a condition is logged once; the next line says how often."""
    clock = Clock()
    log = ConditionLog(logging.getLogger("test"), clock)
    for _ in range(3):
        log.warning("hub", "hub %s is away", "a")
    log.warning("ring", "another condition")
    clock.now += REPEAT_SECONDS
    log.warning("hub", "hub %s is away", "a")
    assert caplog.messages == [
        "hub a is away",
        "another condition",
        "hub a is away (and 2 more)",
    ]


def test_condition_that_ended_is_logged_when_it_returns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A second outage is news, however soon it comes."""
    log = ConditionLog(logging.getLogger("test"), Clock())
    log.warning("hub", "away")
    log.cleared("hub")
    log.warning("hub", "away")
    assert caplog.messages == ["away", "away"]


def test_conditions_do_not_pile_up() -> None:
    """Conditions of rings that are long gone are forgotten."""
    clock = Clock()
    log = ConditionLog(logging.Logger("quiet"), clock)
    for number in range(3 * MAX_CONDITIONS):
        clock.now += 1.0
        log.warning(f"ring {number}", "damaged")
    assert len(log._last) <= MAX_CONDITIONS
